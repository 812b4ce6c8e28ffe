package auth

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// The bounds of a named token.
const (
	maxTokenName   = 128 // characters
	maxNamedTokens = 100 // of a user
	maxScopeApps   = 100
	maxLifetime    = 10 * 366 * 24 * time.Hour // ten years, whatever years they are
)

// Tokens lists the caller's named tokens, by name.
func (a *Auth) Tokens(ctx context.Context, caller platform.Caller) (tokens []platform.Token, err error) {
	if _, err := account(caller, ""); err != nil {
		return nil, err
	}
	err = a.store.Read(ctx, func(tx *store.Tx) (err error) {
		tokens, err = tx.NamedTokens(caller.User)
		return err
	})
	return tokens, err
}

// CreateToken makes a named token for the caller and returns its secret, which
// is kept nowhere. lifetime 0 is for ever, and ten years the longest other. A
// scope may name only apps the caller has to do with. FieldErrors are of
// "name", "role", "apps" and "expires_in".
func (a *Auth) CreateToken(ctx context.Context, caller platform.Caller, name string, scope platform.Scope, lifetime time.Duration) (secret string, token platform.Token, err error) {
	if _, err := account(caller, ""); err != nil {
		return "", platform.Token{}, err
	}
	if err := errors.Join(validTokenName(name), validScope(scope), validLifetime(lifetime)); err != nil {
		return "", platform.Token{}, err
	}
	scope.Apps = slices.Compact(slices.Sorted(slices.Values(scope.Apps)))
	secret = newToken()
	token = platform.Token{Name: name, User: caller.User, Scope: scope, Created: time.Now().UTC().Truncate(time.Microsecond)}
	if lifetime > 0 {
		token.Expires = token.Created.Add(lifetime)
	}
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		if err := mayMint(tx, caller); err != nil {
			return err
		}
		if err := tokenFits(tx, caller, token); err != nil {
			return err
		}
		if err := tx.InsertToken(digest(secret), token, true); err != nil {
			return err
		}
		return record(tx, caller, "token.created", "token", name, "role", string(scope.Role),
			"apps", strings.Join(scope.Apps, " "), "expires", expiryText(token))
	})
	if err != nil {
		return "", platform.Token{}, err
	}
	a.log.Info("token created", "user", caller.User, "token", name)
	return secret, token, nil
}

// RevokeToken ends a named token of the caller at once.
func (a *Auth) RevokeToken(ctx context.Context, caller platform.Caller, name string) error {
	if _, err := account(caller, ""); err != nil {
		return err
	}
	err := a.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteToken(caller.User, name); err != nil {
			return err
		}
		return record(tx, caller, "token.revoked", "token", name)
	})
	if err == nil {
		a.log.Info("token revoked", "user", caller.User, "token", name)
	}
	return err
}

// mayMint refuses a caller who came with a token that expires what would
// outlive it: another token, a key, a password. It also notices that the token
// was revoked since it was shown.
func mayMint(tx *store.Tx, caller platform.Caller) error {
	if caller.Token == "" {
		return nil
	}
	tokens, err := tx.NamedTokens(caller.User)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(tokens, func(t platform.Token) bool { return t.Name == caller.Token })
	switch {
	case at < 0:
		return unauthenticated("Invalid token.")
	case !tokens[at].Expires.IsZero():
		return &platform.UserError{
			Kind: platform.ErrForbidden, Message: noPermission,
			Cure: "The token expires, and makes nothing that outlives it: log in for this.",
		}
	}
	return nil
}

// tokenFits checks what only the store knows: how many there are, and the apps.
func tokenFits(tx *store.Tx, caller platform.Caller, token platform.Token) error {
	tokens, err := tx.NamedTokens(caller.User)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(tokens, func(t platform.Token) bool { return t.Name == token.Name }) {
		return platform.Invalid("name", "Token with this name already exists.")
	}
	if len(tokens) >= maxNamedTokens {
		return platform.Invalid("name", "You have %d tokens: revoke one first.", len(tokens))
	}
	for _, id := range token.Scope.Apps {
		if err := mayName(tx, caller, id); err != nil {
			return err
		}
	}
	return nil
}

// mayName refuses an app the caller has nothing to do with, one that is not
// there alike: such a token could do nothing, or one day too much.
func mayName(tx *store.Tx, caller platform.Caller, id string) error {
	app, err := tx.App(id)
	if err != nil && !errors.Is(err, platform.ErrNotFound) {
		return err
	}
	known := err == nil
	if known && !caller.Admin && app.Owner != caller.User {
		role, err := tx.RoleOf(id, caller.User)
		if err != nil {
			return err
		}
		known = role != ""
	}
	if !known {
		return platform.Invalid("apps", "You have no app %s.", id)
	}
	return nil
}

func validTokenName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return platform.Invalid("name", "This field may not be blank.")
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }):
		return platform.Invalid("name", "Only printable characters are allowed.")
	}
	return atMost("name", name, maxTokenName)
}

var appForm = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

func validScope(scope platform.Scope) error {
	if scope.Role != "" && !scope.Role.Grantable() && scope.Role != platform.RoleOwner {
		return platform.Invalid("role", "%q is none of viewer, deployer, operator, admin and owner.", shortened(string(scope.Role)))
	}
	if len(scope.Apps) > maxScopeApps {
		return platform.Invalid("apps", "Ensure this list has no more than %d apps.", maxScopeApps)
	}
	for _, id := range scope.Apps {
		if !appForm.MatchString(id) {
			return platform.Invalid("apps", "%q is no name of an app.", shortened(id))
		}
	}
	return nil
}

func validLifetime(lifetime time.Duration) error {
	if lifetime < 0 || lifetime > maxLifetime {
		return platform.Invalid("expires_in", "A token lives at most ten years, or for ever with 0.")
	}
	return nil
}

// shortened is what a message repeats of an input.
func shortened(text string) string {
	if len(text) > 64 {
		return text[:64] + "…"
	}
	return text
}

func expiryText(token platform.Token) string {
	if token.Expires.IsZero() {
		return "never"
	}
	return token.Expires.UTC().Format(time.RFC3339)
}

// noteUse remembers when a named token was used last, to ten minutes.
func (a *Auth) noteUse(ctx context.Context, secret string, token platform.Token) {
	now := time.Now()
	if token.Name == "" || now.Sub(token.LastUsed) < useGrain {
		return
	}
	hash := digest(secret)
	a.uses.note(hash, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), useTimeout)
		defer cancel()
		err := a.store.Write(ctx, func(tx *store.Tx) error { return tx.TouchToken(hash, now) })
		if err != nil && !errors.Is(err, platform.ErrNotFound) {
			a.log.Warn("last use of a token not noted", "user", token.User, "err", err)
		}
	})
}
