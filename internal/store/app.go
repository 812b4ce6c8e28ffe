package store

import (
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

const appColumns = "uuid, id, owner, formation, created, updated"

func scanApp(row scanner) (a platform.App, err error) {
	err = row.Scan(&a.UUID, &a.ID, &a.Owner, fromJSON(&a.Formation), at(&a.Created), at(&a.Updated))
	return a, err
}

func noApp(id string) error { return &platform.NotFoundError{Kind: "App", ID: id} }

// InsertApp adds an app. A taken id is a FieldError of "id".
func (tx *Tx) InsertApp(a platform.App) error {
	_, err := tx.exec("INSERT INTO apps (uuid, id, owner, formation, created, updated) VALUES (?, ?, ?, ?, ?, ?)",
		a.UUID, a.ID, a.Owner, asJSON(a.Formation), micros(a.Created), micros(a.Updated))
	return err
}

// App looks an app up by its id.
func (tx *Tx) App(id string) (platform.App, error) {
	return one(tx, noApp(id), scanApp, "SELECT "+appColumns+" FROM apps WHERE id = ?", id)
}

// Apps lists a page of the apps that user owns or shares, or of all when user
// is empty, by id, and how many there are.
func (tx *Tx) Apps(user string, page platform.Page) ([]platform.App, int, error) {
	s := selection{columns: appColumns, from: "apps", order: "id COLLATE BINARY"}
	if user != "" {
		s.from += " WHERE owner = ? OR EXISTS (SELECT 1 FROM collaborators WHERE app = apps.id AND username = ?)"
		s.args = []any{user, user}
	}
	return window(tx, page, scanApp, s)
}

// AllAppIDs lists the ids of all apps in order.
func (tx *Tx) AllAppIDs() ([]string, error) {
	return all(tx, scanText, "SELECT id FROM apps ORDER BY id COLLATE BINARY")
}

// SetFormation stores how many instances of each process type are wanted.
func (tx *Tx) SetFormation(app string, formation map[string]int) error {
	return tx.change(noApp(app), "UPDATE apps SET formation = ?, updated = ? WHERE id = ?", asJSON(formation), micros(time.Now()), app)
}

// DeleteApp removes an app with all of its rows but its events.
func (tx *Tx) DeleteApp(id string) error {
	return tx.change(noApp(id), "DELETE FROM apps WHERE id = ?", id)
}
