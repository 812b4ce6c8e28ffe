package auth

import (
	"context"
	"errors"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// maxTokens is how many tokens a user keeps: a login beyond ends the oldest.
const maxTokens = 100

// Login returns a token of its own for a user's password: 40 lower-case hex
// digits that hold until RegenerateTokens or, after maxTokens more logins, the
// token's turn to go. from is the remote address, with or without a port.
//
// A wrong name and a wrong password are one *platform.FieldError of
// "non_field_errors", after the same time. After too many of them the answer
// is a *ThrottledError.
func (a *Auth) Login(ctx context.Context, username, password, from string) (string, error) {
	if err := a.check(ctx, username, password, from); err != nil {
		if errors.Is(err, errMismatch) {
			return "", platform.Invalid("non_field_errors", "Unable to log in with provided credentials.")
		}
		return "", err
	}
	token := newToken()
	now := time.Now()
	err := a.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.SetLastLogin(username, now); err != nil {
			return err
		}
		if err := tx.InsertToken(digest(token), platform.Token{User: username, Name: "login", Created: now}, false); err != nil {
			return err
		}
		return tx.TrimTokens(username, maxTokens)
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

var errMismatch = errors.New("no such user with that password")

// check returns nil when the password is the active user's; errMismatch when
// it is not.
func (a *Auth) check(ctx context.Context, username, password, from string) error {
	attempt, err := a.throttle.begin(username, from)
	if err != nil {
		a.log.Warn("password attempts throttled", "from", from, "err", err)
		return err
	}
	encoded, err := a.passwordHash(ctx, username)
	if err != nil {
		attempt.forgive()
		return err
	}
	matches, err := a.hasher.matches(ctx, password[:min(len(password), maxPassword+1)], encoded)
	if err != nil {
		attempt.forgive()
		return err
	}
	if !matches {
		a.log.Info("password did not match", "from", from, "known", encoded != "")
		return errMismatch
	}
	attempt.succeed()
	return nil
}

// passwordHash is empty for who may not log in.
func (a *Auth) passwordHash(ctx context.Context, username string) (encoded string, err error) {
	err = a.store.Read(ctx, func(tx *store.Tx) error {
		user, err := tx.User(username)
		if err != nil || !user.Active {
			return err
		}
		encoded, err = tx.PasswordHash(username)
		return err
	})
	if errors.Is(err, platform.ErrNotFound) {
		return "", nil
	}
	return encoded, err
}
