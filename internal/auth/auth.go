// Package auth says who is asking: it is handed a password, a token or an SSH
// key, checks it against the store or the operator's directory, and hands on a
// platform.Caller. It also keeps the users themselves: registering, leaving,
// their keys, tokens and passwords.
package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

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
	// Directory is asked for a password before the store is; nil: there is none.
	Directory *Directory
	// Cancelled is told of every user who has left, whose certificates went too.
	Cancelled func(ctx context.Context, username string)
}

// Auth knows the users. Safe for concurrent use.
//
// Its errors are of platform's kinds: a *FieldError for each broken rule of an
// input (joined when there are several), ErrUnauthenticated for a credential
// that is not valid, ErrForbidden for what the caller may not do. None of them
// holds a secret. Every change writes its event in its transaction.
type Auth struct {
	log       *slog.Logger
	store     *store.Store
	options   Options
	directory *Directory
	hasher    *hasher
	throttle  *throttle
	uses      *uses
}

// New makes an Auth over an open store. Close it before the store.
func New(log *slog.Logger, db *store.Store, options Options) *Auth {
	if options.Cancelled == nil {
		options.Cancelled = func(context.Context, string) {}
	}
	if options.Registration == "" {
		options.Registration = RegistrationAdminOnly
	}
	return &Auth{
		log: log, store: db, options: options, directory: options.Directory,
		hasher: newHasher(), throttle: newThrottle(), uses: newUses(),
	}
}

// Close waits until what was noted of the use of tokens is written. The verbs
// answer on, and note nothing more.
func (a *Auth) Close() { a.uses.close() }

// ByToken finds who holds the token. The Caller's From is left to the door;
// its Token and Scope are of a named token, and empty for one of a login.
func (a *Auth) ByToken(ctx context.Context, secret string) (platform.Caller, platform.User, error) {
	if secret == "" {
		return platform.Caller{}, platform.User{}, unauthenticated(noCredentials)
	}
	if !isToken(secret) {
		return platform.Caller{}, platform.User{}, unauthenticated("Invalid token.")
	}
	var token platform.Token
	var user platform.User
	err := a.store.Read(ctx, func(tx *store.Tx) (err error) {
		token, user, err = tx.Token(digest(secret))
		return err
	})
	if errors.Is(err, platform.ErrNotFound) {
		err = unauthenticated("Invalid token.")
	}
	if err == nil && expired(token, time.Now()) {
		err = unauthenticated("Token has expired.")
	}
	caller, user, err := identify(user, err)
	if err != nil {
		return platform.Caller{}, platform.User{}, err
	}
	caller.Token, caller.Scope = token.Name, token.Scope
	a.noteUse(ctx, secret, token)
	return caller, user, nil
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

const (
	noCredentials = "Authentication credentials were not provided."
	noPermission  = "You do not have permission to perform this action."
)

func unauthenticated(message string) error {
	return &platform.UserError{Kind: platform.ErrUnauthenticated, Message: message}
}

func forbidden(message string) error {
	return &platform.UserError{Kind: platform.ErrForbidden, Message: message}
}

// account is the gate of every verb on users, keys and tokens: it resolves the
// user a caller means, "" being the caller, and refuses others to all but
// administrators. A token of bounded scope reaches apps alone, and so nobody.
func account(caller platform.Caller, username string) (string, error) {
	switch {
	case caller.User == "":
		return "", unauthenticated(noCredentials)
	case caller.Scope.Bounded():
		return "", &platform.UserError{
			Kind: platform.ErrForbidden, Message: noPermission,
			Cure: "The token is bounded to apps: log in, or use one without a scope.",
		}
	case username == "" || username == caller.User:
		return caller.User, nil
	case !caller.Admin:
		return "", fmt.Errorf("user %s: %w", username, platform.ErrForbidden)
	}
	return username, nil
}

// administrator is account for what administrators alone may.
func administrator(caller platform.Caller) error {
	if _, err := account(caller, ""); err != nil {
		return err
	}
	if !caller.Admin {
		return fmt.Errorf("user %s is no administrator: %w", caller.User, platform.ErrForbidden)
	}
	return nil
}

// record writes the event of a change into its transaction. attrs are names
// and values in turn, and hold no secret.
func record(tx *store.Tx, caller platform.Caller, name string, attrs ...string) error {
	event := platform.Event{
		At: time.Now(), Name: name, User: caller.User, From: caller.From, Token: caller.Token, Attrs: make(map[string]string),
	}
	for pair := range slices.Chunk(attrs, 2) {
		event.Attrs[pair[0]] = pair[1]
	}
	return tx.InsertEvent(event)
}
