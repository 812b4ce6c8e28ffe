package store

import (
	"errors"

	"github.com/slipway-paas/slipway/internal/platform"
)

const stackColumns = "name, image, source, system, size, in_force, owner, created, updated"

func scanStack(row scanner) (s platform.Stack, err error) {
	err = row.Scan(&s.Name, &s.Image, &s.Source, &s.System, &s.Size, &s.InForce, &s.Owner, at(&s.Created), at(&s.Updated))
	return s, err
}

// Stacks lists the stacks by name.
func (tx *Tx) Stacks() ([]platform.Stack, error) {
	return all(tx, scanStack, "SELECT "+stackColumns+" FROM stacks ORDER BY name")
}

// Stack is the stack of that name.
func (tx *Tx) Stack(name string) (platform.Stack, error) {
	return one(tx, &platform.NotFoundError{Kind: "Stack", ID: name}, scanStack, "SELECT "+stackColumns+" FROM stacks WHERE name = ?", name)
}

// StackInForce is the one that slugs are laid on, or nil.
func (tx *Tx) StackInForce() (*platform.Stack, error) {
	s, err := one(tx, platform.ErrNotFound, scanStack, "SELECT "+stackColumns+" FROM stacks WHERE in_force")
	if errors.Is(err, platform.ErrNotFound) {
		return nil, nil
	}
	return &s, err
}

// PutStack adds a stack, or replaces all of that name but when it was created.
// Whether it is in force is for UseStack alone to change.
func (tx *Tx) PutStack(s platform.Stack) error {
	_, err := tx.exec("INSERT INTO stacks ("+stackColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET image = excluded.image, source = excluded.source, system = excluded.system,
			size = excluded.size, owner = excluded.owner, updated = excluded.updated`,
		s.Name, s.Image, s.Source, s.System, s.Size, false, s.Owner, micros(s.Created), micros(s.Updated))
	return err
}

// UseStack puts the stack of that name in force, and no other; empty: none.
func (tx *Tx) UseStack(name string) error {
	if _, err := tx.exec("UPDATE stacks SET in_force = ? WHERE in_force", false); err != nil || name == "" {
		return err
	}
	return tx.change(&platform.NotFoundError{Kind: "Stack", ID: name}, "UPDATE stacks SET in_force = ? WHERE name = ?", true, name)
}

// RemoveStack forgets a stack. Slugs that lie on it stay as they are.
func (tx *Tx) RemoveStack(name string) error {
	return tx.change(&platform.NotFoundError{Kind: "Stack", ID: name}, "DELETE FROM stacks WHERE name = ?", name)
}
