package auth

import (
	"context"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// Users lists a page of all users by name, and how many there are, for
// administrators.
func (a *Auth) Users(ctx context.Context, caller platform.Caller, page platform.Page) (users []platform.User, count int, err error) {
	if err := administrator(caller); err != nil {
		return nil, 0, err
	}
	err = a.store.Read(ctx, func(tx *store.Tx) (err error) {
		users, count, err = tx.Users(page)
		return err
	})
	return users, count, err
}

// Superusers lists a page of the administrators by name, and how many there
// are, for administrators.
func (a *Auth) Superusers(ctx context.Context, caller platform.Caller, page platform.Page) (users []platform.User, count int, err error) {
	if err := administrator(caller); err != nil {
		return nil, 0, err
	}
	err = a.store.Read(ctx, func(tx *store.Tx) (err error) {
		users, count, err = tx.Administrators(page)
		return err
	})
	return users, count, err
}

// SetSuperuser makes a user an administrator, or an ordinary user again.
// Administrators only. Idempotent. The last administrator may step down when
// there is no app: who registers next is the first again.
func (a *Auth) SetSuperuser(ctx context.Context, caller platform.Caller, username string, superuser bool) error {
	if err := administrator(caller); err != nil {
		return err
	}
	event := "admin.revoked"
	if superuser {
		event = "admin.granted"
	}
	changed := false
	err := a.store.Write(ctx, func(tx *store.Tx) error {
		user, err := tx.User(username)
		changed = err == nil && user.Superuser != superuser
		if err != nil || !changed {
			return err
		}
		if err := tx.SetSuperuser(username, superuser); err != nil {
			return err
		}
		if user.Superuser {
			if err := keepsAdministrator(tx, username); err != nil {
				return err
			}
		}
		return record(tx, caller, event, "user", username)
	})
	if err == nil && changed {
		a.log.Info("administrators changed", "user", username, "superuser", superuser, "by", caller.User)
	}
	return err
}

// keepsAdministrator refuses that the last administrator has just gone while
// there are apps: whoever registered next would have them all.
func keepsAdministrator(tx *store.Tx, gone string) error {
	left, err := tx.Superusers()
	if err != nil || left > 0 {
		return err
	}
	_, apps, err := tx.Apps("", platform.Page{Limit: 1})
	if err != nil || apps == 0 {
		return err
	}
	return &platform.UserError{
		Kind:    platform.ErrConflict,
		Message: gone + " is the last administrator, and there are applications",
		Cure:    "Make somebody else an administrator first, or destroy the applications.",
	}
}
