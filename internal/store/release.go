package store

import (
	"database/sql"
	"encoding/json"
	"strconv"

	"github.com/slipway-paas/slipway/internal/platform"
)

const releaseColumns = "uuid, app, owner, version, summary, state, exception, config, build, receipt, created, updated"

func scanRelease(row scanner) (r platform.Release, err error) {
	var build sql.NullString
	var receipt string
	err = row.Scan(&r.UUID, &r.App, &r.Owner, &r.Version, &r.Summary, &r.State, &r.Exception, &r.Config, &build, &receipt,
		at(&r.Created), at(&r.Updated))
	if err != nil {
		return r, err
	}
	r.Build = build.String
	if receipt != "" {
		err = json.Unmarshal([]byte(receipt), &r.Receipt)
	}
	return r, err
}

func noRelease(app string, version int) error {
	return &platform.NotFoundError{Kind: "Release", ID: app + " v" + strconv.Itoa(version)}
}

func receiptText(r *platform.Receipt) (string, error) {
	if r == nil {
		return "", nil
	}
	text, err := json.Marshal(r)
	return string(text), err
}

// InsertRelease adds the app's next release and returns it with its version:
// one more than the highest, failed ones included, so that versions have no gap.
// The Version of r is ignored.
func (tx *Tx) InsertRelease(r platform.Release) (platform.Release, error) {
	receipt, err := receiptText(r.Receipt)
	if err != nil {
		return platform.Release{}, err
	}
	highest, err := tx.count("SELECT COALESCE(MAX(version), 0) FROM releases WHERE app = ?", r.App)
	if err != nil {
		return platform.Release{}, err
	}
	r.Version = highest + 1
	_, err = tx.exec("INSERT INTO releases ("+releaseColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		r.UUID, r.App, r.Owner, r.Version, r.Summary, string(r.State), r.Exception, r.Config,
		orNull(r.Build), receipt, micros(r.Created), micros(r.Updated))
	if err != nil {
		return platform.Release{}, err
	}
	return r, nil
}

// Release is the app's release of that version.
func (tx *Tx) Release(app string, version int) (platform.Release, error) {
	return one(tx, noRelease(app, version), scanRelease,
		"SELECT "+releaseColumns+" FROM releases WHERE app = ? AND version = ?", app, version)
}

// Releases lists a page of the app's releases, newest first, and how many there are.
func (tx *Tx) Releases(app string, page platform.Page) ([]platform.Release, int, error) {
	return window(tx, page, scanRelease, selection{
		columns: releaseColumns, from: "releases WHERE app = ?", order: "version DESC", args: []any{app},
	})
}

// CurrentRelease is the app's newest release that succeeded.
func (tx *Tx) CurrentRelease(app string) (platform.Release, error) {
	return one(tx, &platform.NotFoundError{Kind: "Release", ID: app}, scanRelease,
		"SELECT "+releaseColumns+" FROM releases WHERE app = ? AND state = ? ORDER BY version DESC LIMIT 1",
		app, string(platform.ReleaseSucceeded))
}

// UnfinishedReleases lists the releases of the app, or of all apps when app is
// empty, that neither succeeded nor failed, by app, oldest first.
func (tx *Tx) UnfinishedReleases(app string) ([]platform.Release, error) {
	query := "SELECT " + releaseColumns + " FROM releases WHERE state NOT IN ('succeeded', 'failed')"
	var args []any
	if app != "" {
		query += " AND app = ?"
		args = append(args, app)
	}
	return all(tx, scanRelease, query+" ORDER BY app COLLATE BINARY, version", args...)
}

// UpdateRelease stores the state, summary, exception, receipt and updated time
// of r, which is found by app and version. All else of a release is immutable.
func (tx *Tx) UpdateRelease(r platform.Release) error {
	receipt, err := receiptText(r.Receipt)
	if err != nil {
		return err
	}
	return tx.change(noRelease(r.App, r.Version),
		"UPDATE releases SET state = ?, summary = ?, exception = ?, receipt = ?, updated = ? WHERE app = ? AND version = ?",
		string(r.State), r.Summary, r.Exception, receipt, micros(r.Updated), r.App, r.Version)
}
