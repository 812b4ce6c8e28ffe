package store

import (
	"database/sql"

	"github.com/slipway-paas/slipway/internal/platform"
)

func scanTLS(row scanner) (t platform.TLS, err error) {
	var enforced, automatic sql.NullBool
	err = row.Scan(&t.UUID, &t.App, &t.Owner, &enforced, &automatic, at(&t.Created), at(&t.Updated))
	if enforced.Valid {
		t.Enforced = &enforced.Bool
	}
	if automatic.Valid {
		t.Automatic = &automatic.Bool
	}
	return t, err
}

// TLS says how the app treats plain HTTP; not found is of kind "App", for
// every app has it. One nobody ever put is made of the app's own row.
func (tx *Tx) TLS(app string) (platform.TLS, error) {
	return one(tx, noApp(app), scanTLS, `SELECT COALESCE(tls.uuid, apps.uuid), apps.id, COALESCE(tls.owner, apps.owner), tls.enforced, tls.automatic,
		COALESCE(tls.created, apps.created), COALESCE(tls.updated, apps.created)
		FROM apps LEFT JOIN tls ON tls.app = apps.id WHERE apps.id = ?`, app)
}

// PutTLS replaces that.
func (tx *Tx) PutTLS(t platform.TLS) error {
	_, err := tx.exec(`INSERT INTO tls (app, uuid, owner, enforced, automatic, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (app) DO UPDATE SET uuid = excluded.uuid, owner = excluded.owner, enforced = excluded.enforced, automatic = excluded.automatic,
			created = excluded.created, updated = excluded.updated`,
		t.App, t.UUID, t.Owner, orNoBool(t.Enforced), orNoBool(t.Automatic), micros(t.Created), micros(t.Updated))
	return err
}

func orNoBool(b *bool) sql.NullBool {
	if b == nil {
		return sql.NullBool{}
	}
	return sql.NullBool{Bool: *b, Valid: true}
}
