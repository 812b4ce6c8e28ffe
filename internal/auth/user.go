package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// User is the caller's own account.
func (a *Auth) User(ctx context.Context, caller platform.Caller) (platform.User, error) {
	var user platform.User
	if _, err := self(caller, ""); err != nil {
		return user, err
	}
	err := a.store.Read(ctx, func(tx *store.Tx) (err error) {
		user, err = tx.User(caller.User)
		return err
	})
	return user, err
}

// Users lists a page of all users by name, and how many there are, for
// administrators.
func (a *Auth) Users(ctx context.Context, caller platform.Caller, page platform.Page) (users []platform.User, count int, err error) {
	if !caller.Admin {
		return nil, 0, fmt.Errorf("users: %w", platform.ErrForbidden)
	}
	err = a.store.Read(ctx, func(tx *store.Tx) (err error) {
		users, count, err = tx.Users(page)
		return err
	})
	return users, count, err
}

// SetPassword changes the password of a user, "" being the caller. The old
// one is needed of all but administrators, who alone may name others; tokens
// stay valid.
func (a *Auth) SetPassword(ctx context.Context, caller platform.Caller, username, old, new string) error {
	username, err := self(caller, username)
	if err != nil {
		return err
	}
	if new == "" {
		return platform.Invalid("", "new_password is a required field")
	}
	if err := validPassword("new_password", new); err != nil {
		return err
	}
	if !caller.Admin {
		if err := a.confirm(ctx, caller, old); err != nil {
			return err
		}
	}
	// Before the costly hash, so that it is not made for nobody.
	if err := a.store.Read(ctx, func(tx *store.Tx) error { _, err := tx.User(username); return err }); err != nil {
		return err
	}
	hash, err := a.hasher.hash(ctx, new)
	if err != nil {
		return err
	}
	if err := a.store.Write(ctx, func(tx *store.Tx) error { return tx.SetPassword(username, hash) }); err != nil {
		return err
	}
	a.log.Info("password changed", "user", username, "by", caller.User)
	return nil
}

// confirm checks the caller's own password.
func (a *Auth) confirm(ctx context.Context, caller platform.Caller, password string) error {
	if password == "" {
		return platform.Invalid("", "password is a required field")
	}
	err := a.check(ctx, caller.User, password, caller.From)
	if errors.Is(err, errMismatch) {
		return unauthenticated("Current password does not match")
	}
	return err
}

// Cancel removes a user, "" being the caller, with keys, tokens and
// collaborations; only administrators may name others. A user who owns apps is
// refused with an error that matches platform.ErrConflict.
func (a *Auth) Cancel(ctx context.Context, caller platform.Caller, username string) error {
	username, err := self(caller, username)
	if err != nil {
		return err
	}
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.DeleteUser(username); err != nil {
			return err
		}
		return tx.InsertEvent(platform.Event{
			At: time.Now(), Name: "user.cancelled", User: caller.User, Attrs: map[string]string{"user": username},
		})
	})
	if err != nil {
		return err
	}
	a.log.Info("user cancelled", "user", username, "by", caller.User)
	return nil
}
