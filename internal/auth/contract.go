package auth

import (
	"context"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// SetSuperuser makes a user an administrator, or an ordinary user again.
// Administrators only. Idempotent.
func (a *Auth) SetSuperuser(ctx context.Context, caller platform.Caller, username string, superuser bool) error {
	return platform.ErrUnavailable
}

// Superusers lists a page of the administrators by name, and how many there
// are, for administrators.
func (a *Auth) Superusers(ctx context.Context, caller platform.Caller, page platform.Page) ([]platform.User, int, error) {
	return nil, 0, platform.ErrUnavailable
}

// Tokens lists the caller's named tokens, by name.
func (a *Auth) Tokens(ctx context.Context, caller platform.Caller) ([]platform.Token, error) {
	return nil, platform.ErrUnavailable
}

// CreateToken makes a named token for the caller and returns its secret, which
// is kept nowhere. lifetime 0 is for ever. A taken name is a FieldError of "name".
func (a *Auth) CreateToken(ctx context.Context, caller platform.Caller, name string, scope platform.Scope, lifetime time.Duration) (secret string, token platform.Token, err error) {
	return "", platform.Token{}, platform.ErrUnavailable
}

// RevokeToken ends a named token of the caller at once.
func (a *Auth) RevokeToken(ctx context.Context, caller platform.Caller, name string) error {
	return platform.ErrUnavailable
}

// KeyByMD5 finds a key, whoever owns it, by its contract fingerprint.
func (a *Auth) KeyByMD5(ctx context.Context, fingerprint string) (platform.Key, error) {
	return platform.Key{}, platform.ErrUnavailable
}

// KeysOf lists the keys of a user, for the builder.
func (a *Auth) KeysOf(ctx context.Context, username string) ([]platform.Key, error) {
	return nil, platform.ErrUnavailable
}
