package store_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

func aGroup(uuid, name string) platform.ConfigGroup {
	return platform.ConfigGroup{UUID: uuid, Name: name, Owner: "ann", Values: map[string]string{"PASSWORD": password}, Version: 3, Created: moment, Updated: moment}
}

func TestAGroupComesBackAndIsKeptWhileAnAppHasIt(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		want := aGroup("1", "shared")
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.InsertGroup(want), tx.InsertGroup(aGroup("2", "base")), tx.AttachGroup("blog", "1"), tx.AttachGroup("blog", "2"))
		})
		same(t, read(t, s, func(tx *store.Tx) (platform.ConfigGroup, error) { return tx.Group("shared") }), want)
		wantField(t, failed(t, s, func(tx *store.Tx) error { return tx.InsertGroup(aGroup("3", "base")) }), "name", "Group with this name already exists.")
		of := func(app string) (names []string) {
			for _, g := range read(t, s, func(tx *store.Tx) ([]platform.GroupOfApp, error) { return tx.GroupsOfApp(app) }) {
				names = append(names, g.Group)
			}
			return names
		}
		same(t, of("blog"), []string{"shared", "base"})
		if err := failed(t, s, func(tx *store.Tx) error { return tx.DeleteGroup(want) }); !errors.Is(err, platform.ErrConflict) {
			t.Errorf("one that is attached: %v", err)
		}
		if err := failed(t, s, func(tx *store.Tx) error { return tx.DeleteUser("ann") }); !errors.Is(err, platform.ErrConflict) {
			t.Errorf("its owner: %v", err)
		}
		write(t, s, func(tx *store.Tx) error { return errors.Join(tx.SetGroupDue("1"), tx.RenameApp("blog", "journal")) })
		due := read(t, s, func(tx *store.Tx) ([]platform.GroupOfApp, error) { return tx.DueGroups() })
		same(t, due, []platform.GroupOfApp{{App: "journal", Group: "shared", UUID: "1", Position: 1, Due: true}})
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.SetAppTold("journal"), tx.DetachGroup("journal", "1"), tx.DeleteGroup(want))
		})
		same(t, of("journal"), []string{"base"})
		write(t, s, func(tx *store.Tx) error { return tx.DeleteApp("journal") })
		write(t, s, func(tx *store.Tx) error { return tx.DeleteGroup(aGroup("2", "base")) })
	})
}

func TestGroupsAndTheirValuesInAConfigAreSealedAndSealedAnew(t *testing.T) {
	onEachURL(t, func(t *testing.T, url string, raw func() *sql.DB) {
		s := openWith(t, url, ringOf(t, 1))
		withApp(t, s)
		config := platform.Config{
			UUID: "config-2", App: "blog", Owner: "ann",
			Groups: []platform.GroupValues{{Name: "shared", Version: 3, Values: map[string]string{"PASSWORD": password}}},
		}
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.InsertGroup(aGroup("1", "shared")), tx.InsertConfig(config))
		})
		wantGroups := func(s *store.Store) {
			t.Helper()
			same(t, read(t, s, func(tx *store.Tx) (platform.Config, error) { return tx.Config("config-2") }).Groups, config.Groups)
			same(t, read(t, s, func(tx *store.Tx) (platform.ConfigGroup, error) { return tx.Group("shared") }).Values, map[string]string{"PASSWORD": password})
		}
		wantGroups(s)
		for _, column := range []string{"vars FROM config_groups", "shared FROM configs WHERE uuid = 'config-2'"} {
			var sealed string
			if err := raw().QueryRow("SELECT " + column).Scan(&sealed); err != nil || !strings.HasPrefix(sealed, "sealed:1:") {
				t.Errorf("%s: %q, %v", column, sealed, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		// Opened with another newest key all is under that one, and the old one is
		// not needed any more.
		s = openWith(t, url, ringOf(t, 2, 1))
		same(t, len(sealedUnder(t, s)), 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantGroups(openWith(t, url, ringOf(t, 2)))
	})
}
