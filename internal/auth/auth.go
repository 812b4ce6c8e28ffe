// Package auth says who is asking: it is handed a password, a token or an SSH
// key, checks it against the store, and hands on a platform.Caller. It also
// keeps the users themselves: registering, leaving, their keys and passwords.
package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// The values of Options.Registration.
const (
	// RegistrationEnabled: anybody may register.
	RegistrationEnabled = "enabled"
	// RegistrationAdminOnly: administrators register others, and as long as
	// there is no administrator anybody registers as the first.
	RegistrationAdminOnly = "admin_only"
	// RegistrationDisabled: nobody may register.
	RegistrationDisabled = "disabled"
)

// Options of an Auth.
type Options struct {
	// Registration is who may register: RegistrationAdminOnly when empty. With
	// RegistrationEnabled the whole internet may. Other values are as disabled.
	Registration string
}

// Auth knows the users. Safe for concurrent use.
//
// Its errors are of platform's kinds: a *FieldError for each broken rule of an
// input (joined when there are several), ErrUnauthenticated for a credential
// that is not valid, ErrForbidden for what the caller may not do. None of them
// holds a secret.
type Auth struct {
	log      *slog.Logger
	store    *store.Store
	options  Options
	hasher   *hasher
	throttle *throttle
}

// New makes an Auth over an open store.
func New(log *slog.Logger, db *store.Store, options Options) *Auth {
	if options.Registration == "" {
		options.Registration = RegistrationAdminOnly
	}
	return &Auth{log: log, store: db, options: options, hasher: newHasher(), throttle: newThrottle()}
}

// ByToken finds who holds the token. The Caller's From is left to the door.
func (a *Auth) ByToken(ctx context.Context, token string) (platform.Caller, platform.User, error) {
	if token == "" {
		return platform.Caller{}, platform.User{}, unauthenticated("Authentication credentials were not provided.")
	}
	if !isToken(token) {
		return platform.Caller{}, platform.User{}, unauthenticated("Invalid token.")
	}
	var user platform.User
	err := a.store.Read(ctx, func(tx *store.Tx) (err error) {
		user, err = tx.TokenUser(digest(token))
		return err
	})
	if errors.Is(err, platform.ErrNotFound) {
		err = unauthenticated("Invalid token.")
	}
	return identify(user, err)
}

// ByKey finds who holds the SSH key, given in wire format (RFC 4253, 6.6). That
// the peer can sign with it is for the caller to check.
func (a *Auth) ByKey(ctx context.Context, wire []byte) (platform.Caller, platform.Key, error) {
	var key platform.Key
	var user platform.User
	err := a.store.Read(ctx, func(tx *store.Tx) (err error) {
		if key, err = tx.KeyByFingerprint(fingerprint(wire)); err != nil {
			return err
		}
		user, err = tx.User(key.Owner)
		return err
	})
	if errors.Is(err, platform.ErrNotFound) {
		err = unauthenticated("This SSH key belongs to no user. Add it with the keys command.")
	}
	caller, _, err := identify(user, err)
	if err != nil {
		return platform.Caller{}, platform.Key{}, err
	}
	return caller, key, nil
}

// identify makes a caller of the user a credential belongs to.
func identify(user platform.User, err error) (platform.Caller, platform.User, error) {
	if err == nil && !user.Active {
		err = unauthenticated("User inactive or deleted.")
	}
	if err != nil {
		return platform.Caller{}, platform.User{}, err
	}
	return platform.Caller{User: user.Username, Admin: user.Superuser}, user, nil
}

func unauthenticated(message string) error {
	return &platform.UserError{Kind: platform.ErrUnauthenticated, Message: message}
}

// self resolves the user a caller means, "" being the caller, and refuses
// others to all but administrators.
func self(caller platform.Caller, username string) (string, error) {
	switch {
	case caller.User == "":
		return "", unauthenticated("Authentication credentials were not provided.")
	case username == "" || username == caller.User:
		return caller.User, nil
	case !caller.Admin:
		return "", fmt.Errorf("user %s: %w", username, platform.ErrForbidden)
	}
	return username, nil
}
