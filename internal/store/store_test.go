package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
	"github.com/slipway-paas/slipway/internal/store"
)

// onEach runs a test on a fresh database of each engine. open may be called
// again: it opens the same database.
func onEach(t *testing.T, test func(t *testing.T, open func() *store.Store)) {
	t.Helper()
	opener := func(t *testing.T, url string) func() *store.Store {
		t.Helper()
		return func() *store.Store {
			s, err := store.Open(t.Context(), quiet(), url, ring)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			return s
		}
	}
	t.Run("SQLite", func(t *testing.T) {
		test(t, opener(t, filepath.Join(t.TempDir(), "slipway.db")))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		test(t, opener(t, server.Database(t)))
	})
}

// ring is a fixed one, for a killed writer's rows are read by its parent.
var ring = func() *secret.Ring {
	r, err := secret.FromEnvironment("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	if err != nil {
		panic(err)
	}
	return r
}()

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func write(t *testing.T, s *store.Store, fn func(*store.Tx) error) {
	t.Helper()
	if err := s.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func read[T any](t *testing.T, s *store.Store, fn func(*store.Tx) (T, error)) T {
	t.Helper()
	var result T
	err := s.Read(t.Context(), func(tx *store.Tx) (err error) {
		result, err = fn(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// moment is a time every engine keeps exactly.
var moment = time.Date(2026, 3, 4, 5, 6, 7, 890_000, time.UTC)

// withApp adds users ann and bob, ann's app blog and its first config.
func withApp(t *testing.T, s *store.Store) {
	t.Helper()
	write(t, s, func(tx *store.Tx) error {
		for _, name := range []string{"ann", "bob"} {
			if err := tx.InsertUser(platform.User{Username: name, Active: true, Joined: moment}, "hash of "+name); err != nil {
				return err
			}
		}
		if err := tx.InsertApp(platform.App{UUID: "app-1", ID: "blog", Owner: "ann", Created: moment, Updated: moment}); err != nil {
			return err
		}
		return tx.InsertConfig(platform.Config{UUID: "config-1", App: "blog", Owner: "ann", Created: moment, Updated: moment})
	})
}

func wantNotFound(t *testing.T, err error, kind string) {
	t.Helper()
	var missing *platform.NotFoundError
	if !errors.As(err, &missing) || missing.Kind != kind {
		t.Errorf("got %v, want that no %s was found", err, kind)
	}
}

func wantField(t *testing.T, err error, field, message string) {
	t.Helper()
	var invalid *platform.FieldError
	if !errors.As(err, &invalid) || invalid.Field != field || invalid.Message != message {
		t.Errorf("got %v, want %s: %s", err, field, message)
	}
}

func TestAFailedWriteLeavesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		failure := errors.New("no")
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			if err := tx.InsertUser(platform.User{Username: "ann"}, ""); err != nil {
				return err
			}
			return failure
		})
		if !errors.Is(err, failure) {
			t.Fatalf("got %v, want the error of the function", err)
		}
		wantNotFound(t, s.Read(t.Context(), func(tx *store.Tx) error {
			_, err := tx.User("ann")
			return err
		}), "User")
	})
}

func TestAReadCannotWrite(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		err := s.Read(t.Context(), func(tx *store.Tx) error { return tx.InsertUser(platform.User{Username: "ann"}, "") })
		if err == nil {
			t.Fatal("a change inside Read was accepted")
		}
	})
}

func TestAReadSeesOneStateThroughout(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		err := s.Read(t.Context(), func(tx *store.Tx) error {
			before, err := tx.AllAppIDs()
			if err != nil {
				return err
			}
			write(t, s, func(tx *store.Tx) error {
				return tx.InsertApp(platform.App{UUID: "app-2", ID: "shop", Owner: "ann"})
			})
			after, err := tx.AllAppIDs()
			if len(after) != len(before) {
				t.Errorf("saw %v, then %v", before, after)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestAPanicRollsBackAndFreesTheStore(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		func() {
			defer func() { _ = recover() }()
			_ = s.Write(t.Context(), func(tx *store.Tx) error {
				if err := tx.InsertUser(platform.User{Username: "ann"}, ""); err != nil {
					return err
				}
				panic("a bug")
			})
		}()
		write(t, s, func(tx *store.Tx) error { return tx.InsertUser(platform.User{Username: "ann"}, "") })
	})
}

func TestAWriterThatMayNotWaitAnyLongerLeaves(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		write(t, s, func(*store.Tx) error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := s.Write(ctx, func(*store.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want that it was cancelled", err)
			}
			return nil
		})
	})
}

func TestAClosedStoreIsUnavailable(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Ping(t.Context()); !errors.Is(err, platform.ErrUnavailable) {
			t.Errorf("got %v, want unavailable", err)
		}
	})
}

func TestRowsSurviveAReopening(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		app := read(t, open(), func(tx *store.Tx) (platform.App, error) { return tx.App("blog") })
		if app.Owner != "ann" {
			t.Errorf("got %+v", app)
		}
	})
}

func TestTextThatNoDatabaseTakesIsMadeSafe(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		write(t, s, func(tx *store.Tx) error {
			return tx.InsertUser(platform.User{Username: "ann", FirstName: "a\x00b\xffc"}, "")
		})
		user := read(t, s, func(tx *store.Tx) (platform.User, error) { return tx.User("ann") })
		if user.FirstName != "a\uFFFDb\uFFFDc" {
			t.Errorf("got %q", user.FirstName)
		}
	})
}

func TestURLsThatNameNoDatabaseAreRefusedWithoutRepeatingThem(t *testing.T) {
	for _, url := range []string{"", "mysql://root:secret@localhost/x", "sqlite://", "postgres://u:secret@host:port/x"} {
		_, err := store.Open(t.Context(), quiet(), url, ring)
		if err == nil {
			t.Errorf("%q was opened", url)
			continue
		}
		if got := fmt.Sprint(err); containsSecret(got) {
			t.Errorf("%q: the error gives the password away: %s", url, got)
		}
	}
}
