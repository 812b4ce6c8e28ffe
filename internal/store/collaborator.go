package store

import "time"

// Collaborators lists who shares the app, by name, without its owner.
func (tx *Tx) Collaborators(app string) ([]string, error) {
	return all(tx, scanText, "SELECT username FROM collaborators WHERE app = ? ORDER BY username COLLATE BINARY", app)
}

// AddCollaborator lets the user share the app. Idempotent.
func (tx *Tx) AddCollaborator(app, user string) error {
	if _, err := tx.App(app); err != nil {
		return err
	}
	if _, err := tx.User(user); err != nil {
		return err
	}
	_, err := tx.exec("INSERT INTO collaborators (app, username, created) VALUES (?, ?, ?) ON CONFLICT (app, username) DO NOTHING",
		app, user, micros(time.Now()))
	return err
}

// RemoveCollaborator ends that. Idempotent.
func (tx *Tx) RemoveCollaborator(app, user string) error {
	_, err := tx.exec("DELETE FROM collaborators WHERE app = ? AND username = ?", app, user)
	return err
}

// IsCollaborator reports whether the user shares the app; its owner does not.
func (tx *Tx) IsCollaborator(app, user string) (bool, error) {
	n, err := tx.count("SELECT COUNT(*) FROM collaborators WHERE app = ? AND username = ?", app, user)
	return n > 0, err
}
