package store

import "github.com/slipway-paas/slipway/internal/platform"

const eventColumns = "id, at, name, app, username, attrs"

func scanEvent(row scanner) (e platform.Event, err error) {
	err = row.Scan(&e.ID, at(&e.At), &e.Name, &e.App, &e.User, fromJSON(&e.Attrs))
	return e, err
}

// InsertEvent adds an event under the next id; the ID of e is ignored.
func (tx *Tx) InsertEvent(e platform.Event) error {
	_, err := tx.exec("INSERT INTO events ("+eventColumns+") SELECT COALESCE(MAX(id), 0) + 1, ?, ?, ?, ?, ? FROM events",
		micros(e.At), e.Name, e.App, e.User, asJSON(e.Attrs))
	return err
}

// Events lists a page of the app's events, newest first, and how many there
// are. They outlive the app.
func (tx *Tx) Events(app string, page platform.Page) ([]platform.Event, int, error) {
	return window(tx, page, scanEvent, selection{
		columns: eventColumns, from: "events WHERE app = ?", order: "id DESC", args: []any{app},
	})
}
