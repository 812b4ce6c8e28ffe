package store_test

import (
	"context"
	"database/sql"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// A big platform: what its rows are, for both engines.
var big = []string{
	`INSERT INTO users (username, email, first_name, last_name, superuser, active, password, last_login, joined)
		WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
		SELECT 'user' || i, '', '', '', FALSE, TRUE, '', 0, 0 FROM n`,
	`INSERT INTO apps (uuid, id, owner, formation, created, updated)
		WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
		SELECT 'app-' || i, 'app' || i, 'user' || (i % 1000), '{"web":2}', i, i FROM n`,
	`INSERT INTO collaborators (app, username, role, created) SELECT id, 'user7', 'operator', 0 FROM apps WHERE created % 100 = 1`,
	`INSERT INTO domains (domain, app, owner, created, updated) SELECT id, id, owner, 0, 0 FROM apps`,
	`INSERT INTO configs (uuid, app, owner, vars, memory, cpu, healthchecks, grace, created, updated, sealed_under)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
		SELECT 'config-' || apps.created || '-' || i, id, owner, 'sealed:1:000000000000:' || id, '{}', '{}', '{}', '{}', i, i, '000000000000' FROM apps, n`,
	`INSERT INTO releases (uuid, app, owner, version, summary, state, exception, config, receipt, created, updated)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
		SELECT 'release-' || apps.created || '-' || i, id, owner, i, owner || ' deployed 0123abcd', CASE WHEN apps.created % 1000 = 1 AND i = 20 THEN 'deploying' ELSE 'succeeded' END,
			'', 'config-' || apps.created || '-' || i, '', i, i FROM apps, n`,
	`INSERT INTO events (id, at, name, app, username, attrs)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
		SELECT apps.created * 20 + i, apps.created * 20 + i, 'release.deployed', id, owner, '{}' FROM apps, n`,
}

// desk is what the lists of the REST API ask for.
var desk = map[string]func(*store.Tx) error{
	"apps of all": func(tx *store.Tx) error { _, _, err := tx.Apps("", platform.Page{}); return err },
	"the last apps of all": func(tx *store.Tx) error {
		_, _, err := tx.Apps("", platform.Page{Offset: 9900})
		return err
	},
	"apps of an owner":     func(tx *store.Tx) error { _, _, err := tx.Apps("user500", platform.Page{}); return err },
	"apps somebody shares": func(tx *store.Tx) error { _, _, err := tx.Apps("user7", platform.Page{}); return err },
	"ids of an owner":      func(tx *store.Tx) error { _, err := tx.AppIDs("user7", platform.RoleDeployer); return err },
	"ids of all":           func(tx *store.Tx) error { _, err := tx.AllAppIDs(); return err },
	"releases":             func(tx *store.Tx) error { _, _, err := tx.Releases("app5000", platform.Page{}); return err },
	"current release":      func(tx *store.Tx) error { _, err := tx.CurrentRelease("app5000"); return err },
	"unfinished releases":  func(tx *store.Tx) error { _, err := tx.UnfinishedReleases(""); return err },
	"domains":              func(tx *store.Tx) error { _, _, err := tx.Domains("app5000", platform.Page{}); return err },
	"events of all":        func(tx *store.Tx) error { _, _, err := tx.EventLog(platform.EventQuery{}); return err },
	"events of an app":     func(tx *store.Tx) error { _, _, err := tx.EventLog(platform.EventQuery{App: "app5000"}); return err },
	"events of a user":     func(tx *store.Tx) error { _, _, err := tx.EventLog(platform.EventQuery{User: "user7"}); return err },
	"events of an hour": func(tx *store.Tx) error {
		_, _, err := tx.EventLog(platform.EventQuery{Since: time.UnixMicro(100_000), Until: time.UnixMicro(100_500)})
		return err
	},
}

func anEvent(tx *store.Tx) error {
	return tx.InsertEvent(platform.Event{At: time.Now(), Name: "app.created", App: "app5000"})
}

// BenchmarkTheDeskOfABigPlatform has 10,000 apps with 20 releases each.
func BenchmarkTheDeskOfABigPlatform(b *testing.B) {
	for _, engine := range []struct{ name, driver, url string }{
		{"SQLite", "sqlite", filepath.Join(b.TempDir(), "slipway.db")},
		{"PostgreSQL", "pgx", server.Database(b)},
	} {
		s, err := store.Open(b.Context(), quiet(), engine.url, ring)
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		fill(b, engine.driver, engine.url)
		for _, name := range slices.Sorted(maps.Keys(desk)) {
			b.Run(engine.name+"/"+name, func(b *testing.B) { measure(b, s.Read, desk[name]) })
		}
		b.Run(engine.name+"/an event", func(b *testing.B) { measure(b, s.Write, anEvent) })
	}
}

func fill(b *testing.B, driver, url string) {
	b.Helper()
	db, err := sql.Open(driver, url)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for _, statement := range append(big, "ANALYZE") {
		if driver == "sqlite" && statement == "ANALYZE" {
			continue // no platform runs it: plans must be good without
		}
		if _, err := db.Exec(statement); err != nil {
			b.Fatal(err, statement)
		}
	}
}

// measure asks again and again, and reports the slowest of a hundred.
func measure(b *testing.B, in func(context.Context, func(*store.Tx) error) error, ask func(*store.Tx) error) {
	b.Helper()
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		if err := in(b.Context(), ask); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms-p99")
}
