package store

import (
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

const eventColumns = "id, at, name, app, username, source, token, attrs"

func scanEvent(row scanner) (e platform.Event, err error) {
	err = row.Scan(&e.ID, at(&e.At), &e.Name, &e.App, &e.User, &e.From, &e.Token, fromJSON(&e.Attrs))
	return e, err
}

// InsertEvent adds an event under the next id; the ID of e is ignored. The
// database itself refuses to change or remove an event.
func (tx *Tx) InsertEvent(e platform.Event) error {
	_, err := tx.exec("INSERT INTO events ("+eventColumns+") VALUES ((SELECT COALESCE(MAX(id), 0) + 1 FROM events), ?, ?, ?, ?, ?, ?, ?)",
		micros(e.At), e.Name, e.App, e.User, e.From, e.Token, asJSON(e.Attrs))
	return err
}

// EventLog lists a page of the events that match, newest first, and how many
// there are. They outlive the app and the user they name. Since is the first
// moment that counts, Until the first that does not.
func (tx *Tx) EventLog(q platform.EventQuery) ([]platform.Event, int, error) {
	var where []string
	var args []any
	filter := func(given bool, condition string, arg any) {
		if given {
			where, args = append(where, condition), append(args, arg)
		}
	}
	filter(q.App != "", "app = ?", q.App)
	filter(q.User != "", "username = ?", q.User)
	filter(q.Name != "", "name = ?", q.Name)
	filter(!q.Since.IsZero(), "at >= ?", micros(q.Since))
	filter(!q.Until.IsZero(), "at < ?", micros(q.Until))
	s := selection{columns: eventColumns, from: "events", order: "at DESC, id DESC", args: args}
	if len(where) > 0 {
		s.from += " WHERE " + strings.Join(where, " AND ")
	} else {
		// Numbered from 1 without a gap, and none ever goes: no need to count millions.
		s.count = "SELECT COALESCE(MAX(id), 0) FROM events"
	}
	return window(tx, q.Page, scanEvent, s)
}
