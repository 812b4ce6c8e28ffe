package store_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// release is a change of two rows that belong together.
func release(tx *store.Tx, uuid string) error {
	config := platform.Config{UUID: "config of " + uuid, App: "blog", Owner: "ann"}
	if err := tx.InsertConfig(config); err != nil {
		return err
	}
	r, err := tx.InsertRelease(platform.Release{UUID: uuid, App: "blog", Owner: "ann", Config: config.UUID, State: platform.ReleasePending})
	if err != nil {
		return err
	}
	return tx.InsertEvent(platform.Event{Name: "release.created", App: "blog", Attrs: map[string]string{"release": r.Tag()}})
}

// wantLedger checks that versions go from 1 to n without a gap, each with its event.
func wantLedger(t *testing.T, s *store.Store, atLeast int) {
	t.Helper()
	err := s.Read(t.Context(), func(tx *store.Tx) error {
		releases, n, err := tx.Releases("blog", platform.Page{Limit: 1 << 20})
		if err != nil {
			return err
		}
		slices.Reverse(releases)
		for i, r := range releases {
			if r.Version != i+1 {
				t.Errorf("release %d has version %d", i+1, r.Version)
			}
		}
		events, count, err := tx.EventLog(platform.EventQuery{App: "blog", Page: platform.Page{Limit: 1 << 20}})
		if count != n || n < atLeast {
			t.Errorf("%d releases and %d events, want as many and at least %d", n, count, atLeast)
		}
		slices.SortFunc(events, func(a, b platform.Event) int { return int(a.ID - b.ID) })
		for i, e := range events {
			if e.ID != int64(i+1) {
				t.Errorf("event %d has id %d", i+1, e.ID)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWritersAtOnceLeaveNoGapInTheLedger(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		// Two stores on one database are two processes to each other.
		stores := []*store.Store{open(), open()}
		withApp(t, stores[0])
		var writers sync.WaitGroup
		for n := range 20 {
			writers.Go(func() {
				err := stores[n%2].Write(t.Context(), func(tx *store.Tx) error { return release(tx, fmt.Sprint("release-", n)) })
				if err != nil {
					t.Error(err)
				}
			})
		}
		writers.Wait()
		wantLedger(t, stores[0], 20)
	})
}

func TestTwoProcessesMayOpenAFreshDatabaseAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		var openers sync.WaitGroup
		for range 4 {
			openers.Go(func() { open() })
		}
		openers.Wait()
	})
}

// childURL names the database to a copy of this test that writes until it is killed.
const childURL = "SLIPWAY_STORE_TEST_CHILD"

// childMain is that copy: it prints a line after every committed release.
func childMain() {
	url := os.Getenv(childURL)
	if url == "" {
		return
	}
	s, err := store.Open(context.Background(), quiet(), url, ring)
	for n := 0; err == nil; n++ {
		err = s.Write(context.Background(), func(tx *store.Tx) error { return release(tx, fmt.Sprint(os.Getpid(), "-", n)) })
		fmt.Println(n)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func TestAKilledWriterLeavesWholeTransactionsAndAllItWasToldOf(t *testing.T) {
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			url := filepath.Join(t.TempDir(), "slipway.db")
			if engine == "PostgreSQL" {
				url = server.Database(t)
			}
			s, err := store.Open(t.Context(), quiet(), url, ring)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close() // closed below, too
			withApp(t, s)
			told := 0
			for round := range 5 {
				told += writeAndKill(t, url, 1+7*round)
				wantLedger(t, s, told)
			}
			write(t, s, func(tx *store.Tx) error { return release(tx, "after") })
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s, err = store.Open(t.Context(), quiet(), url, ring)
			if err != nil {
				t.Fatal(err)
			}
			wantLedger(t, s, told+1)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// writeAndKill kills a writer once it was told of n commits, and returns how
// many it was told of in the end.
func writeAndKill(t *testing.T, url string, n int) (told int) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childURL+"="+url)
	child.Stderr = os.Stderr
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if told++; told == n {
			if err := child.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = child.Wait() // killed
	if told < n {
		t.Errorf("the writer ended by itself after %d", told)
	}
	return told
}

func TestADatabaseOfANewerVersionIsRefused(t *testing.T) {
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			url, driver := filepath.Join(t.TempDir(), "slipway.db"), "sqlite"
			if engine == "PostgreSQL" {
				url, driver = server.Database(t), "pgx"
			}
			s, err := store.Open(t.Context(), quiet(), url, ring)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open(driver, url)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, true)"); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			_, err = store.Open(t.Context(), quiet(), url, ring)
			if !errors.Is(err, platform.ErrConflict) || !strings.Contains(err.Error(), "schema version 4711") ||
				!strings.Contains(err.Error(), "knows versions up to ") || !strings.Contains(err.Error(), "newer slipway") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAnInterruptedStartDoesNotCallTheFileDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slipway.db")
	s, err := store.Open(t.Context(), quiet(), path, ring)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = store.Open(ctx, quiet(), path, ring)
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "damaged") {
		t.Errorf("got %v", err)
	}
}

func TestADamagedFileIsNamedWithTheCure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slipway.db")
	s, err := store.Open(t.Context(), quiet(), path, ring)
	if err != nil {
		t.Fatal(err)
	}
	withApp(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string][]byte{
		"no database":    []byte(strings.Repeat("hello ", 1000)),
		"a torn header":  append([]byte("SQLite format 3\x00"), make([]byte, 5000)...),
		"a cut file":     whole[:len(whole)/2],
		"a page of ones": slices.Concat(whole[:8192], []byte(strings.Repeat("\xff", 4096)), whole[12288:]),
	} {
		if err := os.WriteFile(path, damage, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(t.Context(), quiet(), path, ring)
		if err == nil {
			t.Errorf("%s was opened", name)
			_ = s.Close()
			continue
		}
		if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAFileThatCannotBeMadeIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "slipway.db")
	if _, err := store.Open(t.Context(), quiet(), "sqlite://"+path, ring); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestAServerThatDoesNotAnswerIsNamed(t *testing.T) {
	_, err := store.Open(t.Context(), quiet(), "postgres://slipway:secret@127.0.0.1:1/slipway", ring)
	if err == nil || !strings.Contains(err.Error(), "slipway on 127.0.0.1:1") || containsSecret(err.Error()) {
		t.Errorf("got %v", err)
	}
}
