package store

import (
	"errors"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

func scanCollaborator(row scanner) (c platform.Collaborator, err error) {
	err = row.Scan(&c.User, &c.Role)
	return c, err
}

// Collaborators lists who shares the app, by name, without its owner.
func (tx *Tx) Collaborators(app string) ([]platform.Collaborator, error) {
	return all(tx, scanCollaborator, "SELECT username, role FROM collaborators WHERE app = ? ORDER BY username COLLATE BINARY", app)
}

// SetCollaborator lets the user share the app in a role, instead of the one
// they have on it, if any. Idempotent.
func (tx *Tx) SetCollaborator(app, user string, role platform.Role) error {
	if !role.Grantable() {
		return platform.Invalid("role", "%q is no role that can be given", role)
	}
	if _, err := tx.App(app); err != nil {
		return err
	}
	if _, err := tx.User(user); err != nil {
		return err
	}
	_, err := tx.exec(`INSERT INTO collaborators (app, username, role, created) VALUES (?, ?, ?, ?)
		ON CONFLICT (app, username) DO UPDATE SET role = excluded.role`, app, user, string(role), micros(time.Now()))
	return err
}

// RemoveCollaborator ends that. Idempotent.
func (tx *Tx) RemoveCollaborator(app, user string) error {
	_, err := tx.exec("DELETE FROM collaborators WHERE app = ? AND username = ?", app, user)
	return err
}

// RoleOf is the role in which the user shares the app; empty when they do not.
// The owner's own is not in it.
func (tx *Tx) RoleOf(app, user string) (platform.Role, error) {
	role, err := one(tx, errNoRole, scanText, "SELECT role FROM collaborators WHERE app = ? AND username = ?", app, user)
	if errors.Is(err, errNoRole) {
		return "", nil
	}
	return platform.Role(role), err
}

var errNoRole = errors.New("no role")
