package auth

import (
	"errors"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
	"github.com/slipway-paas/slipway/internal/store"
)

// TestALoginEndsWithWhatEndsWhileItIsUnderWay stops a login between the look at
// the password and the token, where no door can.
func TestALoginEndsWithWhatEndsWhileItIsUnderWay(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	admin := platform.Caller{User: "root", Admin: true}
	dora := platform.User{Username: "dora", Active: true}
	for name, c := range map[string]struct {
		by     string // the proof of
		change func(a *Auth) error
	}{
		"nothing":                  {by: "bob"},
		"nothing in the directory": {by: "dora"},
		"a new password":           {by: "bob", change: func(a *Auth) error { return a.SetPassword(t.Context(), admin, "bob", "", "new") }},
		"the account":              {by: "bob", change: func(a *Auth) error { return a.Cancel(t.Context(), admin, "bob") }},
		"the account's place": {by: "eve", change: func(a *Auth) error {
			_, err := a.Register(t.Context(), admin, NewUser{Username: "eve", Password: "eve"})
			return err
		}},
		"the right to come": {by: "dora", change: func(a *Auth) error {
			return a.store.Write(t.Context(), func(tx *store.Tx) error {
				dora := dora
				dora.Active = false
				return tx.PutDirectoryUser(dora, nil)
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			db, err := store.Open(t.Context(), log, filepath.Join(t.TempDir(), "slipway.db"), secret.New())
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			a := New(log, db, Options{})
			defer a.Close()
			_, first := a.Register(t.Context(), platform.Caller{}, NewUser{Username: "root", Password: "root"})
			_, second := a.Register(t.Context(), admin, NewUser{Username: "bob", Password: "bob"})
			third := db.Write(t.Context(), func(tx *store.Tx) error { return tx.PutDirectoryUser(dora, nil) })
			under := proof{username: c.by, person: &person{username: c.by}}
			if c.by == "bob" {
				under, err = a.proveLocal(t.Context(), "bob", "bob")
			}
			if err := errors.Join(first, second, third, err); err != nil {
				t.Fatal(err)
			}
			if c.change == nil {
				if _, err := a.admit(t.Context(), under, ""); err != nil {
					t.Error(err)
				}
				return
			}
			if err := c.change(a); err != nil {
				t.Fatal(err)
			}
			if token, err := a.admit(t.Context(), under, ""); !errors.Is(err, errMismatch) || token != "" {
				t.Errorf("got %q, %v", token, err)
			}
		})
	}
}
