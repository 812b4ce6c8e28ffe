package store

import (
	"errors"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

const appColumns = "uuid, id, owner, formation, renamed_from, created, updated"

// appRead is an app with the Procfile of its last build.
const appRead = appColumns + ", COALESCE((SELECT procfile FROM builds WHERE app = apps.id ORDER BY created DESC, uuid COLLATE BINARY LIMIT 1), 'null')"

func scanApp(row scanner) (a platform.App, err error) {
	err = row.Scan(&a.UUID, &a.ID, &a.Owner, fromJSON(&a.Formation), &a.RenamedFrom, at(&a.Created), at(&a.Updated), fromJSON(&a.Procfile))
	return a, err
}

func noApp(id string) error { return &platform.NotFoundError{Kind: "App", ID: id} }

// InsertApp adds an app. A taken id is a FieldError of "id".
func (tx *Tx) InsertApp(a platform.App) error {
	_, err := tx.exec("INSERT INTO apps ("+appColumns+") VALUES (?, ?, ?, ?, ?, ?, ?)",
		a.UUID, a.ID, a.Owner, asJSON(a.Formation), a.RenamedFrom, micros(a.Created), micros(a.Updated))
	return err
}

// App looks an app up by its id.
func (tx *Tx) App(id string) (platform.App, error) {
	return one(tx, noApp(id), scanApp, "SELECT "+appRead+" FROM apps WHERE id = ?", id)
}

// Apps lists a page of the apps that user owns or shares, or of all when user
// is empty, by id, and how many there are.
func (tx *Tx) Apps(user string, page platform.Page) ([]platform.App, int, error) {
	s := selection{columns: appRead, from: "apps", order: "id COLLATE BINARY"}
	if user != "" {
		s.from += " WHERE id IN (SELECT id FROM apps WHERE owner = ? UNION SELECT app FROM collaborators WHERE username = ?)"
		s.args = []any{user, user}
	}
	return window(tx, page, scanApp, s)
}

// AppIDs lists the ids of the apps that user owns or has a role on that covers
// need, in order.
func (tx *Tx) AppIDs(user string, need platform.Role) ([]string, error) {
	covering, args := "''", []any{user, user}
	for _, role := range []platform.Role{platform.RoleViewer, platform.RoleDeployer, platform.RoleOperator, platform.RoleAdmin} {
		if role.Covers(need) {
			covering, args = covering+", ?", append(args, string(role))
		}
	}
	return all(tx, scanText, `SELECT id FROM (SELECT id FROM apps WHERE owner = ?
		UNION SELECT app FROM collaborators WHERE username = ? AND role IN (`+covering+`)) AS mine ORDER BY id COLLATE BINARY`, args...)
}

// AllAppIDs lists the ids of all apps in order.
func (tx *Tx) AllAppIDs() ([]string, error) {
	return all(tx, scanText, "SELECT id FROM apps ORDER BY id COLLATE BINARY")
}

// SetFormation stores how many instances of each process type are wanted.
func (tx *Tx) SetFormation(app string, formation map[string]int) error {
	return tx.change(noApp(app), "UPDATE apps SET formation = ?, updated = ? WHERE id = ?", asJSON(formation), micros(time.Now()), app)
}

// ownedTables hold an owner beside the app's own.
var ownedTables = []string{"configs", "builds", "releases", "domains", "settings", "tls", "services"}

// SetOwner gives the app to another user: its row, and all of its rows the old
// owner had. The new owner's role on it, if any, ends; the old owner gets none.
func (tx *Tx) SetOwner(app, owner string) error {
	have, err := tx.App(app)
	if err != nil {
		return err
	}
	if _, err := tx.User(owner); err != nil {
		return err
	}
	if _, err := tx.exec("UPDATE apps SET owner = ?, updated = ? WHERE id = ?", owner, micros(time.Now()), app); err != nil {
		return err
	}
	for _, table := range ownedTables {
		if _, err := tx.exec("UPDATE "+table+" SET owner = ? WHERE app = ? AND owner = ?", owner, app, have.Owner); err != nil {
			return err
		}
	}
	return tx.RemoveCollaborator(app, owner)
}

// RenameApp gives the app another id, and the domain that is the old id the
// new one. All of its rows but its events follow, and the scopes of tokens;
// RenamedFrom becomes the old id. An id that is another app's, or a domain of one, is a FieldError of "id".
func (tx *Tx) RenameApp(old, id string) error {
	if old == id {
		_, err := tx.App(old)
		return err
	}
	err := tx.change(noApp(old), "UPDATE apps SET id = ?, renamed_from = ?, updated = ? WHERE id = ?", id, old, micros(time.Now()), old)
	if err != nil {
		return err
	}
	taken, err := tx.Domain(id)
	switch {
	case errors.Is(err, platform.ErrNotFound):
		_, err = tx.exec("UPDATE domains SET domain = ?, mirror = ?, updated = ? WHERE domain = ? AND app = ?", id, mirrored(id), micros(time.Now()), old, id)
	case err != nil:
	case taken.App == id: // it had both: the new one stays
		_, err = tx.exec("DELETE FROM domains WHERE domain = ? AND app = ?", old, id)
	default:
		err = platform.Invalid("id", "Domain is already in use by another application")
	}
	if err != nil {
		return err
	}
	// The registry links what is in the old id's repository into the new one's.
	// Other apps may have deployed from it.
	_, err = tx.exec("UPDATE builds SET image = CAST(? AS TEXT) || SUBSTR(image, ?) WHERE image LIKE ? OR image LIKE ?", id, len(old)+1, old+"@sha256:%", old+"/%@sha256:%")
	if err != nil {
		return err
	}
	// An id has nothing that is special to LIKE, nor a quote.
	_, err = tx.exec("UPDATE tokens SET apps = REPLACE(apps, ?, ?) WHERE apps LIKE ?", `"`+old+`"`, `"`+id+`"`, `%"`+old+`"%`)
	return err
}

// SetRenamedFrom notes which id still stands in for the app; empty: none.
func (tx *Tx) SetRenamedFrom(app, old string) error {
	return tx.change(noApp(app), "UPDATE apps SET renamed_from = ? WHERE id = ?", old, app)
}

// AppRenamedFrom is the id of the app that old stands in for.
func (tx *Tx) AppRenamedFrom(old string) (id string, err error) {
	if old == "" {
		return "", noApp(old)
	}
	return one(tx, noApp(old), scanText, "SELECT id FROM apps WHERE renamed_from = ? AND renamed_from <> ''", old)
}

// DeleteApp removes an app with all of its rows but its events.
func (tx *Tx) DeleteApp(id string) error {
	return tx.change(noApp(id), "DELETE FROM apps WHERE id = ?", id)
}
