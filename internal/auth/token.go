package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// tokenLength is of the hex form; the contract's clients expect 40.
const tokenLength = 40

// newToken is 160 random bits.
func newToken() string {
	secret := make([]byte, tokenLength/2)
	_, _ = rand.Read(secret) // never fails, see its documentation
	return hex.EncodeToString(secret)
}

// isToken reports whether text has the form of a token.
func isToken(text string) bool {
	return len(text) == tokenLength && strings.Trim(text, "0123456789abcdef") == ""
}

// digest is what is stored of a token. A token is random, so one plain round
// of a hash keeps it secret; being looked up by digest tells a timer nothing.
func digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

func expired(token platform.Token, now time.Time) bool {
	return !token.Expires.IsZero() && !now.Before(token.Expires)
}

// RegenerateTokens ends all tokens of a user, "" being the caller, named ones
// too, and returns a new one. Only administrators may name others.
func (a *Auth) RegenerateTokens(ctx context.Context, caller platform.Caller, username string) (string, error) {
	username, err := account(caller, username)
	if err != nil {
		return "", err
	}
	secret := newToken()
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		if err := mayMint(tx, caller); err != nil {
			return err
		}
		if _, err := tx.User(username); err != nil {
			return err
		}
		if err := tx.DeleteTokens(username); err != nil {
			return err
		}
		if err := tx.InsertToken(digest(secret), platform.Token{User: username, Created: time.Now()}, false); err != nil {
			return err
		}
		return record(tx, caller, "tokens.regenerated", "user", username)
	})
	if err != nil {
		return "", fmt.Errorf("tokens of %s: %w", username, err)
	}
	a.log.Info("tokens regenerated", "user", username, "by", caller.User)
	return secret, nil
}

// RegenerateAll ends every token of every user, the caller's too, so that all
// must log in again. Administrators only.
func (a *Auth) RegenerateAll(ctx context.Context, caller platform.Caller) error {
	if err := administrator(caller); err != nil {
		return err
	}
	err := a.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteAllTokens(); err != nil {
			return err
		}
		return record(tx, caller, "tokens.regenerated", "all", "true")
	})
	if err != nil {
		return fmt.Errorf("tokens of all users: %w", err)
	}
	a.log.Warn("all tokens of all users ended", "by", caller.User)
	return nil
}
