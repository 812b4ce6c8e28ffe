package store_test

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
	"github.com/slipway-paas/slipway/internal/store"
)

// onEachURL runs a test on a database of each engine that is not there yet.
// raw opens it behind the store's back.
func onEachURL(t *testing.T, test func(t *testing.T, url string, raw func() *sql.DB)) {
	t.Helper()
	opener := func(t *testing.T, driver, url string) func() *sql.DB {
		t.Helper()
		return func() *sql.DB {
			db, err := sql.Open(driver, url)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			return db
		}
	}
	t.Run("SQLite", func(t *testing.T) {
		url := filepath.Join(t.TempDir(), "slipway.db")
		test(t, url, opener(t, "sqlite", url))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		url := server.Database(t)
		test(t, url, opener(t, "pgx", url))
	})
}

// ringOf holds a key for each n, the first the newest.
func ringOf(t *testing.T, numbers ...byte) *secret.Ring {
	t.Helper()
	var keys []string
	for _, n := range numbers {
		keys = append(keys, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{n}, 32)))
	}
	r, err := secret.FromEnvironment(strings.Join(keys, ","))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func openWith(t *testing.T, url string, r *secret.Ring) *store.Store {
	t.Helper()
	return openLogging(t, url, r, quiet())
}

func openLogging(t *testing.T, url string, r *secret.Ring, log *slog.Logger) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), log, url, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) // most tests close it themselves
	return s
}

const password = "correct horse battery staple"

// withSecrets adds a config, a registry and an attached certificate that hold
// the password.
func withSecrets(t *testing.T, s *store.Store) {
	t.Helper()
	withCertificate(t, s)
	write(t, s, func(tx *store.Tx) error {
		c := aCertificate("sealed")
		c.Key = password
		_, err := tx.InsertCertificate(c)
		return errors.Join(err, tx.AttachCertificate("a.foo.com", "sealed"), tx.InsertConfig(platform.Config{
			UUID: "config-2", App: "blog", Owner: "ann",
			Values: map[string]string{"PASSWORD": password}, Registry: map[string]string{"password": password},
		}))
	})
}

func wantSecrets(t *testing.T, s *store.Store) {
	t.Helper()
	config := read(t, s, func(tx *store.Tx) (platform.Config, error) { return tx.Config("config-2") })
	same(t, config.Values, map[string]string{"PASSWORD": password})
	same(t, config.Registry, map[string]string{"password": password})
	certificates := edge(t, s)
	if len(certificates) != 1 || certificates[0].Key != password {
		t.Errorf("got %+v", certificates)
	}
}

func sealedUnder(t *testing.T, s *store.Store) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for _, under := range read(t, s, func(tx *store.Tx) ([]store.Sealed, error) { return tx.SealedUnder() }) {
		counts[under.Key] = under.Rows
	}
	return counts
}

// wantNowhere reads every file below dir for the text.
func wantNowhere(t *testing.T, dir, text string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(text)) {
			t.Errorf("%s is in %s", text, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNoSecretStandsInTheDatabase(t *testing.T) {
	onEachURL(t, func(t *testing.T, url string, raw func() *sql.DB) {
		s := openWith(t, url, ring)
		withSecrets(t, s)
		wantSecrets(t, s)
		for _, column := range []string{"configs.vars", "configs.registry", "certificates.key"} {
			table, name, _ := strings.Cut(column, ".")
			var all string
			aggregate := "group_concat(" + name + ")"
			if strings.HasPrefix(url, "postgres") {
				aggregate = "string_agg(" + name + ", ',')"
			}
			if err := raw().QueryRow("SELECT " + aggregate + " FROM " + table).Scan(&all); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(all, password) || strings.Contains(all, "PASSWORD") || strings.Count(all, "sealed:1:"+ring.Newest()) != 2 {
				t.Errorf("%s: %s", column, all)
			}
		}
		if !strings.HasPrefix(url, "postgres") {
			wantNowhere(t, filepath.Dir(url), password) // with the log, while it is open
		}
	})
}

func TestASecretIsBoundToItsRow(t *testing.T) {
	onEachURL(t, func(t *testing.T, url string, raw func() *sql.DB) {
		s := openWith(t, url, ring)
		withSecrets(t, s)
		if _, err := raw().Exec("UPDATE configs SET vars = (SELECT vars FROM configs WHERE uuid = 'config-2') WHERE uuid = 'config-1'"); err != nil {
			t.Fatal(err)
		}
		err := s.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.Config("config-1"); return err })
		if !errors.Is(err, platform.ErrUnavailable) || !strings.Contains(err.Error(), "the config of app blog cannot be opened") {
			t.Errorf("got %v", err)
		}
	})
}

// oldRows is more than two batches.
const oldRows = 450

// fromBefore makes a database of the first version with configs in it.
func fromBefore(t *testing.T, url string, db *sql.DB) {
	t.Helper()
	dialect := goose.DialectSQLite3
	if strings.HasPrefix(url, "postgres") {
		dialect = goose.DialectPostgres
	}
	provider, err := goose.NewProvider(dialect, db, os.DirFS("migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	exec := func(statement string) {
		t.Helper()
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	exec("INSERT INTO users VALUES ('ann', '', '', '', FALSE, TRUE, '', 0, 0)")
	exec("INSERT INTO apps VALUES ('app-1', 'blog', 'ann', '{}', 0, 0)")
	for n := range oldRows {
		exec(fmt.Sprintf(`INSERT INTO configs VALUES ('config-%d', 'blog', 'ann', '{"PASSWORD":"%s %d"}', '{}', '{}', '{}', '{}', 0, 0)`, n, password, n))
	}
	exec("INSERT INTO events VALUES (7, 0, 'app.created', 'blog', 'ann', '{}')")
}

func TestRowsFromBeforeAreSealedOnTheFirstStart(t *testing.T) {
	onEachURL(t, func(t *testing.T, url string, raw func() *sql.DB) {
		before := raw()
		fromBefore(t, url, before)
		before.Close()
		s := openWith(t, url, ring)
		same(t, sealedUnder(t, s), map[string]int{ring.Newest(): oldRows})
		for _, n := range []int{0, 201, oldRows - 1} {
			config := read(t, s, func(tx *store.Tx) (platform.Config, error) { return tx.Config(fmt.Sprint("config-", n)) })
			same(t, config.Values, map[string]string{"PASSWORD": fmt.Sprint(password, " ", n)})
			same(t, config.Registry, map[string]string{})
		}
		write(t, s, func(tx *store.Tx) error { return tx.InsertEvent(platform.Event{Name: "app.renamed", App: "blog"}) })
		if !strings.HasPrefix(url, "postgres") {
			wantNowhere(t, filepath.Dir(url), password)
		}
	})
}

func TestRowsUnderOlderKeysAreSealedAnewOnTheStart(t *testing.T) {
	onEachURL(t, func(t *testing.T, url string, _ func() *sql.DB) {
		s := openWith(t, url, ringOf(t, 1))
		withSecrets(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		both := ringOf(t, 2, 1)
		s = openWith(t, url, both)
		same(t, sealedUnder(t, s), map[string]int{both.Newest(): 4})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantSecrets(t, openWith(t, url, ringOf(t, 2))) // the old key is not needed any more
	})
}

func TestARowWhoseKeyIsGoneFailsAlone(t *testing.T) {
	onEachURL(t, func(t *testing.T, url string, _ func() *sql.DB) {
		s := openWith(t, url, ringOf(t, 1))
		withSecrets(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		var lines bytes.Buffer
		s = openLogging(t, url, ringOf(t, 2), slog.New(slog.NewTextHandler(&lines, nil)))
		gone := ringOf(t, 1).Newest()
		if !strings.Contains(lines.String(), "key="+gone+" rows=2") {
			t.Errorf("the start said %q", lines.String())
		}
		err := s.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.Config("config-2"); return err })
		if !errors.Is(err, platform.ErrUnavailable) || !strings.Contains(err.Error(), "the config of app blog is sealed under key "+gone) {
			t.Errorf("got %v", err)
		}
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(
				tx.InsertConfig(platform.Config{UUID: "config-3", App: "blog", Owner: "ann", Values: map[string]string{"A": "1"}}),
				tx.InsertDomain(platform.Domain{Domain: "b.foo.com", App: "blog", Owner: "ann"}))
		})
		same(t, read(t, s, func(tx *store.Tx) (platform.Config, error) { return tx.Config("config-3") }).Values, map[string]string{"A": "1"})
		same(t, edge(t, s), []platform.Certificate{})
		same(t, read(t, s, func(tx *store.Tx) (platform.Certificate, error) { return tx.CertificateByName("sealed") }).CommonName, "*.foo.com")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantSecrets(t, openWith(t, url, ringOf(t, 2, 1))) // the cure
	})
}

func TestADamagedRowStopsNoRotation(t *testing.T) {
	onEachURL(t, func(t *testing.T, url string, raw func() *sql.DB) {
		s := openWith(t, url, ringOf(t, 1))
		withSecrets(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := raw().Exec("UPDATE configs SET vars = 'sealed:1:" + ringOf(t, 1).Newest() + ":AAAA' WHERE uuid = 'config-1'"); err != nil {
			t.Fatal(err)
		}
		both := ringOf(t, 2, 1)
		s = openWith(t, url, both)
		wantSecrets(t, s)
		same(t, sealedUnder(t, s), map[string]int{both.Newest(): 3, ringOf(t, 1).Newest(): 1})
	})
}

func TestTheAuditTrailCanOnlyGrow(t *testing.T) {
	onEachURL(t, func(t *testing.T, url string, raw func() *sql.DB) {
		s := openWith(t, url, ring)
		for range 2 {
			write(t, s, func(tx *store.Tx) error {
				return tx.InsertEvent(platform.Event{At: moment, Name: "app.created", App: "blog"})
			})
		}
		statements := []string{
			"UPDATE events SET name = 'nothing'", "UPDATE events SET at = 0 WHERE id = 1", "DELETE FROM events", "DELETE FROM events WHERE id = 1",
		}
		if strings.HasPrefix(url, "postgres") {
			statements = append(statements, "TRUNCATE events")
		} else {
			statements = append(statements, "INSERT OR REPLACE INTO events (id, at, name, app, username, attrs) VALUES (1, 0, 'nothing', '', '', '{}')")
		}
		db := raw()
		for _, statement := range statements {
			if _, err := db.Exec(statement); err == nil || !strings.Contains(err.Error(), "events ") {
				t.Errorf("%s: got %v", statement, err)
			}
		}
		events := read(t, s, func(tx *store.Tx) ([]platform.Event, error) {
			events, _, err := tx.EventLog(platform.EventQuery{})
			return events, err
		})
		same(t, len(events), 2)
		for i, e := range events {
			same(t, e, platform.Event{ID: int64(2 - i), At: moment, Name: "app.created", App: "blog", Attrs: map[string]string{}})
		}
	})
}
