package store

import "github.com/slipway-paas/slipway/internal/platform"

const buildColumns = "uuid, app, owner, image, source, kind, stack, ports, size, sha, procfile, dockerfile, created, updated"

func scanBuild(row scanner) (b platform.Build, err error) {
	err = row.Scan(&b.UUID, &b.App, &b.Owner, &b.Image, &b.Source, &b.Kind, &b.Stack, fromJSON(&b.Ports), &b.Size, &b.SHA, fromJSON(&b.Procfile), &b.Dockerfile, at(&b.Created), at(&b.Updated))
	return b, err
}

// InsertBuild adds a build of an app.
func (tx *Tx) InsertBuild(b platform.Build) error {
	_, err := tx.exec("INSERT INTO builds ("+buildColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		b.UUID, b.App, b.Owner, b.Image, b.Source, b.Kind, b.Stack, asList(b.Ports), b.Size, b.SHA, asJSON(b.Procfile), b.Dockerfile, micros(b.Created), micros(b.Updated))
	return err
}

// Build is the app's build of that uuid.
func (tx *Tx) Build(app, uuid string) (platform.Build, error) {
	return one(tx, &platform.NotFoundError{Kind: "Build", ID: uuid}, scanBuild,
		"SELECT "+buildColumns+" FROM builds WHERE app = ? AND uuid = ?", app, uuid)
}

// Builds lists a page of the app's builds, newest first, and how many there are.
func (tx *Tx) Builds(app string, page platform.Page) ([]platform.Build, int, error) {
	return window(tx, page, scanBuild, selection{
		columns: buildColumns, from: "builds WHERE app = ?", order: "created DESC, uuid COLLATE BINARY", args: []any{app},
	})
}
