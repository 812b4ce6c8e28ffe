package store_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

func TestWhatIsKeptForAuthoritiesIsFoundByPath(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		write := func(fn func(tx *store.Tx) error) {
			t.Helper()
			if err := s.Write(t.Context(), fn); err != nil {
				t.Fatal(err)
			}
		}
		binary := []byte{0, 0xff, '\n', 0x80}
		names := []string{"a", "a/b", "a/b/c", "a/d", "a0", "ab/c", "a/%", "b"}
		write(func(tx *store.Tx) error {
			for _, name := range names {
				if err := tx.PutACMEFile(name, binary); err != nil {
					return err
				}
			}
			return tx.PutACMEFile("a/d", []byte("again"))
		})
		list := func(prefix string) (found []string) {
			t.Helper()
			err := s.Read(t.Context(), func(tx *store.Tx) error {
				files, err := tx.ACMEFiles(prefix)
				for _, f := range files {
					found = append(found, f.Name)
					if f.Modified.IsZero() || f.Size == 0 {
						t.Errorf("%+v", f)
					}
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return found
		}
		for prefix, want := range map[string][]string{
			"a": {"a", "a/%", "a/b", "a/b/c", "a/d"}, "a/b": {"a/b", "a/b/c"}, "a/%": {"a/%"}, "b": {"b"}, "c": nil, "": {"a", "a/%", "a/b", "a/b/c", "a/d", "a0", "ab/c", "b"},
		} {
			if got := list(prefix); !slices.Equal(got, want) {
				t.Errorf("below %q are %q, want %q", prefix, got, want)
			}
		}
		err := s.Read(t.Context(), func(tx *store.Tx) error {
			value, err := tx.ACMEFile("a/b")
			again, err2 := tx.ACMEFile("a/d")
			if !bytes.Equal(value, binary) || string(again) != "again" {
				t.Errorf("got %q and %q", value, again)
			}
			_, missing := tx.ACMEFile("nothing")
			if !errors.Is(missing, platform.ErrNotFound) {
				t.Errorf("what is not there: %v", missing)
			}
			return errors.Join(err, err2)
		})
		if err != nil {
			t.Fatal(err)
		}
		write(func(tx *store.Tx) error { return errors.Join(tx.DeleteACMEFiles("a/b"), tx.DeleteACMEFiles("nothing")) })
		if got := list("a"); !slices.Equal(got, []string{"a", "a/%", "a/d"}) {
			t.Errorf("left are %q", got)
		}
	})
}

func TestALockIsOnesUntilItsTimeIsOver(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		take := func(holder string, life time.Duration) (taken bool) {
			t.Helper()
			err := s.Write(t.Context(), func(tx *store.Tx) (err error) {
				taken, err = tx.LockACME("issue", holder, life)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return taken
		}
		change := func(fn func(tx *store.Tx) error) {
			t.Helper()
			if err := s.Write(t.Context(), fn); err != nil {
				t.Fatal(err)
			}
		}
		if !take("one/1", time.Hour) || take("two/1", time.Hour) || take("one/1", time.Hour) {
			t.Error("it was had by two")
		}
		held := func(path string) (names []string) {
			t.Helper()
			change(func(tx *store.Tx) (err error) {
				names, err = tx.ACMELocks(path)
				return err
			})
			return names
		}
		change(func(tx *store.Tx) error {
			_, one := tx.LockACME("plane/b", "b/1", time.Hour)
			_, two := tx.LockACME("plane/a", "a/1", time.Hour)
			_, over := tx.LockACME("plane/dead", "dead/1", -time.Second)
			_, other := tx.LockACME("planes", "c/1", time.Hour)
			return errors.Join(one, two, over, other)
		})
		if got := held("plane"); !slices.Equal(got, []string{"plane/a", "plane/b"}) {
			t.Errorf("below plane are held %q", got)
		}
		change(func(tx *store.Tx) error { return tx.UnlockACME("issue", "two/1") })
		change(func(tx *store.Tx) error { return tx.UnlockAllACME("on") })
		if take("two/1", time.Hour) {
			t.Error("another gave it back")
		}
		change(func(tx *store.Tx) error { return tx.UnlockAllACME("one") })
		if !take("two/1", -time.Second) || !take("three/1", time.Hour) {
			t.Error("what was given back, or is over, is nobody's")
		}
		change(func(tx *store.Tx) error {
			late, err := tx.ProlongACME("issue", "two/1", time.Hour)
			held, err2 := tx.ProlongACME("issue", "three/1", time.Hour)
			if late || !held {
				t.Errorf("prolonged by who lost it: %t; by who has it: %t", late, held)
			}
			return errors.Join(err, err2)
		})
	})
}
