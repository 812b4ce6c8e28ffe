package store_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// image is a digest of one character, over and over.
func image(app, character string) string {
	hex := ""
	for range 64 {
		hex += character
	}
	return app + "@sha256:" + hex
}

func inUse(t *testing.T, s *store.Store, keep int) []string {
	t.Helper()
	found := read(t, s, func(tx *store.Tx) ([]string, error) { return tx.ImagesInUse(keep) })
	slices.Sort(found)
	return found
}

func TestTheImagesInUseAreThoseOfBuildsAndOfTheNewestReleases(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		states := []platform.ReleaseState{platform.ReleaseSucceeded, platform.ReleaseSucceeded, platform.ReleaseFailed, platform.ReleaseFailed}
		write(t, s, func(tx *store.Tx) error {
			for n, state := range states {
				b := platform.Build{UUID: fmt.Sprint("build-", n), App: "blog", Owner: "bob", Image: image("blog", fmt.Sprint(n)), Stack: image("stack", "a"), Created: moment, Updated: moment}
				if err := tx.InsertBuild(b); err != nil {
					return err
				}
				r := platform.Release{UUID: fmt.Sprint("release-", n), App: "blog", Owner: "bob", Config: "config-1", Build: b.UUID, State: state, Created: moment, Updated: moment}
				if _, err := tx.InsertRelease(r); err != nil {
					return err
				}
			}
			return tx.PutStack(platform.Stack{Name: "next", Image: image("stack", "b"), Owner: "bob", Created: moment, Updated: moment})
		})
		stacks := []string{image("stack", "a"), image("stack", "b")}
		same(t, inUse(t, s, 0), append([]string{image("blog", "0"), image("blog", "1"), image("blog", "2"), image("blog", "3")}, stacks...))
		same(t, inUse(t, s, 2), append([]string{image("blog", "1"), image("blog", "2"), image("blog", "3")}, stacks...))
		same(t, inUse(t, s, 1), append([]string{image("blog", "1"), image("blog", "3")}, stacks...)) // 1 serves

		write(t, s, func(tx *store.Tx) error { return tx.RenameApp("blog", "diary") })
		same(t, inUse(t, s, 1), append([]string{image("diary", "1"), image("diary", "3")}, stacks...))
	})
}

func TestAQuotaIsSaidForAnAppAndTakenBack(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		quota := func() (bytes int64, said bool) {
			err := s.Read(t.Context(), func(tx *store.Tx) (err error) {
				bytes, said, err = tx.ImageQuota("blog")
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return bytes, said
		}
		if bytes, said := quota(); said {
			t.Errorf("at first: %d", bytes)
		}
		for _, bytes := range []int64{5, 0} {
			write(t, s, func(tx *store.Tx) error { return tx.SetImageQuota("blog", &bytes) })
			if got, said := quota(); got != bytes || !said {
				t.Errorf("said %d: %d %v", bytes, got, said)
			}
		}
		write(t, s, func(tx *store.Tx) error { return tx.SetImageQuota("blog", nil) })
		if bytes, said := quota(); said {
			t.Errorf("taken back: %d", bytes)
		}
	})
}
