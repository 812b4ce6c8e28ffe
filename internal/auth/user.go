package auth

import (
	"context"
	"errors"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// User is the caller's own account.
func (a *Auth) User(ctx context.Context, caller platform.Caller) (user platform.User, err error) {
	if _, err := account(caller, ""); err != nil {
		return user, err
	}
	err = a.store.Read(ctx, func(tx *store.Tx) (err error) {
		user, err = tx.User(caller.User)
		return err
	})
	return user, err
}

// SetPassword changes the password of a user, "" being the caller. The old
// one is needed of all but administrators, who alone may name others; tokens
// stay valid. Users of the directory change theirs there.
func (a *Auth) SetPassword(ctx context.Context, caller platform.Caller, username, old, new string) error {
	username, err := account(caller, username)
	if err != nil {
		return err
	}
	if new == "" {
		return platform.Invalid("", "new_password is a required field")
	}
	if err := validPassword("new_password", new); err != nil {
		return err
	}
	// Before the costly hashes, so that they are not made for nobody.
	if err := a.store.Read(ctx, func(tx *store.Tx) error { return hasPassword(tx, username) }); err != nil {
		return err
	}
	var confirmed proof
	if !caller.Admin {
		if confirmed, err = a.confirm(ctx, caller, old); err != nil {
			return err
		}
	}
	hash, err := a.hasher.hash(ctx, new)
	if err != nil {
		return err
	}
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		if err := mayMint(tx, caller); err != nil {
			return err
		}
		if err := hasPassword(tx, username); err != nil {
			return err
		}
		if !caller.Admin { // another may have changed it meanwhile
			if err := confirmed.holds(tx); err != nil {
				return notCurrent(err)
			}
		}
		if err := tx.SetPassword(username, hash); err != nil {
			return err
		}
		return record(tx, caller, "password.changed", "user", username)
	})
	if err == nil {
		a.log.Info("password changed", "user", username, "by", caller.User)
	}
	return err
}

// hasPassword is nil for a user whose password is kept here.
func hasPassword(tx *store.Tx, username string) error {
	user, err := tx.User(username)
	if err == nil && user.Directory {
		return platform.Invalid("", "%s logs in at the directory (LDAP): the password is changed there, not here", username)
	}
	return err
}

// confirm checks the caller's own password.
func (a *Auth) confirm(ctx context.Context, caller platform.Caller, password string) (confirmed proof, err error) {
	if password == "" {
		return proof{}, platform.Invalid("", "password is a required field")
	}
	err = a.attempt(ctx, caller.User, caller.From, func() (string, error) {
		confirmed, err = a.proveLocal(ctx, caller.User, password)
		return caller.User, err
	})
	return confirmed, notCurrent(err)
}

// notCurrent words a mismatch for a change of the password.
func notCurrent(err error) error {
	if errors.Is(err, errMismatch) {
		return unauthenticated("Current password does not match")
	}
	return err
}

// Cancel removes a user, "" being the caller, with keys, tokens and
// collaborations; only administrators may name others, and the last of them may
// go too. A user who owns apps is refused with an error that matches
// platform.ErrConflict.
func (a *Auth) Cancel(ctx context.Context, caller platform.Caller, username string) error {
	username, err := account(caller, username)
	if err != nil {
		return err
	}
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		user, err := tx.User(username)
		if err != nil {
			return err
		}
		if err := tx.DeleteUser(username); err != nil {
			return err
		}
		if user.Superuser {
			if err := keepsAdministrator(tx, username); err != nil {
				return err
			}
		}
		return record(tx, caller, "user.cancelled", "user", username)
	})
	if err == nil {
		a.log.Info("user cancelled", "user", username, "by", caller.User)
		a.options.Cancelled(ctx, username)
	}
	return err
}
