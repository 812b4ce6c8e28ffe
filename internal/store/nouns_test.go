package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

func same[T any](t *testing.T, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
}

// failed runs a change that must fail and returns its error.
func failed(t *testing.T, s *store.Store, fn func(*store.Tx) error) error {
	t.Helper()
	err := s.Write(t.Context(), fn)
	if err == nil {
		t.Error("the change was accepted")
	}
	return err
}

func TestAUserComesBackAsInserted(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		want := platform.User{Username: "ann", Email: "a@b.c", FirstName: "Änn", LastName: "B", Superuser: true, Active: true, Joined: moment, Groups: []string{}}
		write(t, s, func(tx *store.Tx) error { return tx.InsertUser(want, "hash") })
		same(t, read(t, s, func(tx *store.Tx) (platform.User, error) { return tx.User("ann") }), want)
		wantField(t, failed(t, s, func(tx *store.Tx) error { return tx.InsertUser(want, "") }),
			"username", "A user with that username already exists.")
	})
}

func TestAUserChanges(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.SetPassword("bob", "new"), tx.SetLastLogin("bob", moment), tx.SetSuperuser("bob", true))
		})
		same(t, read(t, s, func(tx *store.Tx) (string, error) { return tx.PasswordHash("bob") }), "new")
		same(t, read(t, s, func(tx *store.Tx) (int, error) { return tx.Superusers() }), 1)
		same(t, read(t, s, func(tx *store.Tx) (platform.User, error) { return tx.User("bob") }),
			platform.User{Username: "bob", Active: true, Superuser: true, Joined: moment, LastLogin: moment, Groups: []string{}})
		for _, change := range []func(*store.Tx) error{
			func(tx *store.Tx) error { return tx.SetPassword("eve", "") },
			func(tx *store.Tx) error { return tx.SetLastLogin("eve", moment) },
			func(tx *store.Tx) error { return tx.SetSuperuser("eve", true) },
			func(tx *store.Tx) error { return tx.DeleteUser("eve") },
		} {
			wantNotFound(t, failed(t, s, change), "User")
		}
	})
}

func TestUsersAreListedByNameInPages(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		names := []string{"Zoe", "a", "a-b", "ab", "b"} // in the order of bytes
		write(t, s, func(tx *store.Tx) error {
			for _, i := range []int{3, 1, 4, 0, 2} {
				if err := tx.InsertUser(platform.User{Username: names[i]}, ""); err != nil {
					return err
				}
			}
			return nil
		})
		for _, c := range []struct {
			page platform.Page
			want []string
		}{
			{platform.Page{}, names},
			{platform.Page{Limit: 2}, names[:2]},
			{platform.Page{Limit: 2, Offset: 3}, names[3:]},
			{platform.Page{Offset: 9}, []string{}},
			{platform.Page{Limit: -1, Offset: -1}, names},
		} {
			err := s.Read(t.Context(), func(tx *store.Tx) error {
				users, count, err := tx.Users(c.page)
				got := []string{}
				for _, user := range users {
					got = append(got, user.Username)
				}
				same(t, got, c.want)
				same(t, count, len(names))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestADeletedUserLeavesTheirWorkToTheAppsOwner(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		write(t, s, func(tx *store.Tx) error {
			_, err := tx.InsertRelease(platform.Release{UUID: "release-1", App: "blog", Owner: "bob", Config: "config-1"})
			return errors.Join(err,
				tx.SetCollaborator("blog", "bob", platform.RoleOperator),
				tx.InsertToken("digest", platform.Token{User: "bob", Name: "login", Created: moment}, false),
				tx.InsertKey(platform.Key{UUID: "key-1", ID: "laptop", Owner: "bob"}, "sha"),
				tx.InsertDomain(platform.Domain{Domain: "x.y", App: "blog", Owner: "bob"}),
				tx.DeleteUser("bob"))
		})
		same(t, read(t, s, func(tx *store.Tx) (platform.Release, error) { return tx.Release("blog", 1) }).Owner, "ann")
		same(t, read(t, s, func(tx *store.Tx) (platform.Domain, error) { return tx.Domain("x.y") }).Owner, "ann")
		same(t, read(t, s, func(tx *store.Tx) ([]platform.Collaborator, error) { return tx.Collaborators("blog") }), []platform.Collaborator{})
		wantNotFound(t, s.Read(t.Context(), func(tx *store.Tx) error { _, _, err := tx.Token("digest"); return err }), "Token")
		wantNotFound(t, s.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.KeyByFingerprint("sha"); return err }), "Key")

		err := failed(t, s, func(tx *store.Tx) error { return tx.DeleteUser("ann") })
		if !errors.Is(err, platform.ErrConflict) || err.Error() != "ann still has applications assigned. Delete or transfer ownership" {
			t.Errorf("got %v", err)
		}
	})
}

func owner(tx *store.Tx, hash string) (string, error) {
	_, user, err := tx.Token(hash)
	return user.Username, err
}

func TestATokenFindsItsUserUntilItIsDeleted(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		write(t, s, func(tx *store.Tx) error {
			for n := range 5 {
				if err := tx.InsertToken(fmt.Sprint("digest", n), platform.Token{User: "ann", Name: "login", Created: moment.Add(time.Duration(n) * time.Second)}, false); err != nil {
					return err
				}
			}
			return tx.InsertToken("bobs", platform.Token{User: "bob", Name: "login", Created: moment}, false)
		})
		same(t, read(t, s, func(tx *store.Tx) (string, error) { return owner(tx, "digest0") }), "ann")
		gone := func(hash string) {
			t.Helper()
			wantNotFound(t, s.Read(t.Context(), func(tx *store.Tx) error { _, _, err := tx.Token(hash); return err }), "Token")
		}
		write(t, s, func(tx *store.Tx) error { return tx.TrimTokens("ann", 2) })
		gone("digest2")
		same(t, read(t, s, func(tx *store.Tx) (string, error) { return owner(tx, "digest3") }), "ann")
		write(t, s, func(tx *store.Tx) error { return tx.DeleteTokens("ann") })
		gone("digest4")
		same(t, read(t, s, func(tx *store.Tx) (string, error) { return owner(tx, "bobs") }), "bob")
	})
}

func TestKeysAreUniqueAmongAllUsers(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		want := platform.Key{UUID: "key-1", ID: "a@b/c", Owner: "ann", Public: "ssh-rsa AAAA a", Fingerprint: "00:11", Created: moment, Updated: moment}
		write(t, s, func(tx *store.Tx) error { return tx.InsertKey(want, "sha-1") })
		same(t, read(t, s, func(tx *store.Tx) (platform.Key, error) { return tx.Key("ann", "a@b/c") }), want)
		same(t, read(t, s, func(tx *store.Tx) (platform.Key, error) { return tx.KeyByFingerprint("sha-1") }), want)
		wantField(t, failed(t, s, func(tx *store.Tx) error {
			return tx.InsertKey(platform.Key{UUID: "key-2", ID: "a@b/c", Owner: "bob"}, "sha-2")
		}), "id", "SSH Key with this id already exists.")
		wantField(t, failed(t, s, func(tx *store.Tx) error {
			return tx.InsertKey(platform.Key{UUID: "key-2", ID: "other", Owner: "bob"}, "sha-1")
		}), "public", "Public Key is already in use")
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.DeleteKey("bob", "a@b/c") }), "Key")
		write(t, s, func(tx *store.Tx) error { return tx.DeleteKey("ann", "a@b/c") })
		err := s.Read(t.Context(), func(tx *store.Tx) error {
			keys, count, err := tx.Keys("ann", platform.Page{})
			same(t, keys, []platform.Key{})
			same(t, count, 0)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestAppsAreSeenByOwnersAndCollaborators(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(
				tx.InsertApp(platform.App{UUID: "app-2", ID: "shop", Owner: "bob", Formation: map[string]int{"web": 2}}),
				tx.InsertApp(platform.App{UUID: "app-3", ID: "api", Owner: "bob"}),
				tx.SetCollaborator("shop", "ann", platform.RoleOperator), tx.SetCollaborator("shop", "ann", platform.RoleOperator))
		})
		for user, want := range map[string][]string{"ann": {"blog", "shop"}, "bob": {"api", "shop"}, "": {"api", "blog", "shop"}, "eve": {}} {
			err := s.Read(t.Context(), func(tx *store.Tx) error {
				apps, count, err := tx.Apps(user, platform.Page{})
				got := []string{}
				for _, app := range apps {
					got = append(got, app.ID)
				}
				same(t, got, want)
				same(t, count, len(want))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		same(t, read(t, s, func(tx *store.Tx) ([]string, error) { return tx.AllAppIDs() }), []string{"api", "blog", "shop"})
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.RemoveCollaborator("shop", "ann"), tx.RemoveCollaborator("shop", "ann"))
		})
		same(t, read(t, s, func(tx *store.Tx) ([]platform.Collaborator, error) { return tx.Collaborators("shop") }), []platform.Collaborator{})
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.SetCollaborator("shop", "eve", platform.RoleOperator) }), "User")
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.SetCollaborator("nope", "ann", platform.RoleOperator) }), "App")
	})
}

func TestAnAppKeepsItsFormation(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		same(t, read(t, s, func(tx *store.Tx) (platform.App, error) { return tx.App("blog") }),
			platform.App{UUID: "app-1", ID: "blog", Owner: "ann", Formation: map[string]int{}, Created: moment, Updated: moment})
		write(t, s, func(tx *store.Tx) error { return tx.SetFormation("blog", map[string]int{"web": 2, "cmd": 0}) })
		same(t, read(t, s, func(tx *store.Tx) (platform.App, error) { return tx.App("blog") }).Formation, map[string]int{"web": 2, "cmd": 0})
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.SetFormation("nope", nil) }), "App")
		wantField(t, failed(t, s, func(tx *store.Tx) error {
			return tx.InsertApp(platform.App{UUID: "app-2", ID: "blog", Owner: "bob"})
		}), "id", "Application with this id already exists.")
	})
}

func TestADeletedAppTakesAllButItsEvents(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		write(t, s, func(tx *store.Tx) error {
			err := errors.Join(
				tx.InsertBuild(platform.Build{UUID: "build-1", App: "blog", Owner: "bob"}),
				tx.InsertDomain(platform.Domain{Domain: "blog", App: "blog", Owner: "bob"}),
				tx.PutSettings(platform.Settings{UUID: "1", App: "blog", Owner: "bob"}),
				tx.SetCollaborator("blog", "bob", platform.RoleOperator),
				tx.InsertEvent(platform.Event{Name: "app.created", App: "blog"}))
			for n := range 3 {
				_, more := tx.InsertRelease(platform.Release{UUID: fmt.Sprint("release-", n), App: "blog", Owner: "bob", Config: "config-1", Build: "build-1"})
				err = errors.Join(err, more)
			}
			return err
		})
		write(t, s, func(tx *store.Tx) error { return tx.DeleteApp("blog") })
		for kind, lookUp := range map[string]func(tx *store.Tx) error{
			"App":     func(tx *store.Tx) error { _, err := tx.App("blog"); return err },
			"Config":  func(tx *store.Tx) error { _, err := tx.Config("config-1"); return err },
			"Build":   func(tx *store.Tx) error { _, err := tx.Build("blog", "build-1"); return err },
			"Release": func(tx *store.Tx) error { _, err := tx.Release("blog", 1); return err },
			"Domain":  func(tx *store.Tx) error { _, err := tx.Domain("blog"); return err },
		} {
			wantNotFound(t, s.Read(t.Context(), lookUp), kind)
		}
		wantNotFound(t, s.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.Settings("blog"); return err }), "App")
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.DeleteApp("blog") }), "App")
		events := read(t, s, func(tx *store.Tx) ([]platform.Event, error) {
			events, _, err := tx.EventLog(platform.EventQuery{App: "blog"})
			return events, err
		})
		same(t, len(events), 1)
	})
}

func TestAConfigComesBackAsInserted(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		want := platform.Config{
			UUID: "config-2", App: "blog", Owner: "bob", Created: moment, Updated: moment,
			Values: map[string]string{"A": "multi\nline <&> \x00 ü 🚢", "EMPTY": ""}, Memory: map[string]string{"web": "50M/100M"},
			CPU: map[string]string{"web": "500m"}, Grace: map[string]string{"web": "30"},
			Tags: map[string]string{"disk": "ssd"}, Registry: map[string]string{"password": "p"},
			Volumes:   map[string]platform.Volume{"data": {Name: "data", Mounts: map[string]string{"web": "/data"}}},
			PostStart: map[string]string{"web": "warm up"}, PreStop: map[string]string{"web": "cool down"},
			Healthchecks: map[string]platform.Healthcheck{"web/cmd": {Liveness: &platform.Probe{HTTPGet: &platform.HTTPGet{Path: "/"}}}},
		}
		write(t, s, func(tx *store.Tx) error { return tx.InsertConfig(want) })
		same(t, read(t, s, func(tx *store.Tx) (platform.Config, error) { return tx.Config("config-2") }), want)
		empty := read(t, s, func(tx *store.Tx) (platform.Config, error) { return tx.Config("config-1") })
		if empty.Values == nil || empty.Healthchecks == nil {
			t.Errorf("a map is nil in %+v", empty)
		}
	})
}

func TestBuildsAreListedNewestFirst(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		var want []platform.Build
		write(t, s, func(tx *store.Tx) error {
			want = nil
			for n := range 3 {
				when := moment.Add(time.Duration(n) * time.Microsecond)
				b := platform.Build{
					UUID: fmt.Sprint("build-", n), App: "blog", Owner: "bob", Image: "slipway/blog@sha256:1", Kind: platform.ImageSlug, Stack: "stack@sha256:0", Ports: []int{80, 443}, Size: 7, SHA: "0123abcd",
					Procfile: map[string]string{"web": "x"}, Dockerfile: "true", Created: when, Updated: when,
				}
				if err := tx.InsertBuild(b); err != nil {
					return err
				}
				want = append([]platform.Build{b}, want...)
			}
			return nil
		})
		err := s.Read(t.Context(), func(tx *store.Tx) error {
			builds, count, err := tx.Builds("blog", platform.Page{Limit: 2})
			same(t, builds, want[:2])
			same(t, count, 3)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		same(t, read(t, s, func(tx *store.Tx) (platform.Build, error) { return tx.Build("blog", "build-0") }), want[2])
		wantNotFound(t, s.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.Build("shop", "build-0"); return err }), "Build")
	})
}

func TestReleasesCountUpAndChangeTheirStateOnly(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		receipt := &platform.Receipt{From: 1, To: 2, Requests: 9, P99After: time.Second, Undone: true, Reason: "errors"}
		states := []platform.ReleaseState{
			platform.ReleaseSucceeded, platform.ReleaseFailed, platform.ReleaseSucceeded, platform.ReleaseFailed, platform.ReleasePending, platform.ReleaseDeploying,
		}
		write(t, s, func(tx *store.Tx) error {
			for n, state := range states {
				r, err := tx.InsertRelease(platform.Release{
					UUID: fmt.Sprint("release-", n), App: "blog", Owner: "ann", Config: "config-1", State: platform.ReleasePending,
					Version: 77, Created: moment, Updated: moment, Summary: "ann deployed",
				})
				if err != nil {
					return err
				}
				same(t, r.Version, n+1)
				r.State, r.Exception, r.Receipt = state, "because", receipt
				r.Config, r.Owner = "not this", "nor this"
				if err := tx.UpdateRelease(r); err != nil {
					return err
				}
			}
			return nil
		})
		same(t, read(t, s, func(tx *store.Tx) (platform.Release, error) { return tx.CurrentRelease("blog") }), platform.Release{
			UUID: "release-2", App: "blog", Owner: "ann", Config: "config-1", State: platform.ReleaseSucceeded, Version: 3,
			Created: moment, Updated: moment, Summary: "ann deployed", Exception: "because", Receipt: receipt,
		})
		versions := func(releases []platform.Release) (all []int) {
			for _, r := range releases {
				all = append(all, r.Version)
			}
			return all
		}
		for _, app := range []string{"blog", ""} {
			same(t, versions(read(t, s, func(tx *store.Tx) ([]platform.Release, error) { return tx.UnfinishedReleases(app) })), []int{5, 6})
		}
		same(t, versions(read(t, s, func(tx *store.Tx) ([]platform.Release, error) { return tx.UnfinishedReleases("shop") })), nil)
		err := s.Read(t.Context(), func(tx *store.Tx) error {
			releases, count, err := tx.Releases("blog", platform.Page{Limit: 3, Offset: 1})
			same(t, versions(releases), []int{5, 4, 3})
			same(t, count, 6)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.UpdateRelease(platform.Release{App: "blog", Version: 7}) }), "Release")
		wantNotFound(t, s.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.CurrentRelease("shop"); return err }), "Release")
	})
}

func TestADomainBelongsToOneApp(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		want := platform.Domain{Domain: "*.example.com", App: "blog", Owner: "ann", Created: moment, Updated: moment}
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(
				tx.InsertApp(platform.App{UUID: "app-2", ID: "shop", Owner: "bob"}),
				tx.InsertDomain(platform.Domain{Domain: "blog", App: "blog", Owner: "ann"}),
				tx.InsertDomain(want))
		})
		same(t, read(t, s, func(tx *store.Tx) (platform.Domain, error) { return tx.Domain("*.example.com") }), want)
		wantField(t, failed(t, s, func(tx *store.Tx) error {
			return tx.InsertDomain(platform.Domain{Domain: "blog", App: "shop", Owner: "bob"})
		}), "domain", "Domain is already in use by another application")
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.DeleteDomain("shop", "blog") }), "Domain")
		write(t, s, func(tx *store.Tx) error { return tx.DeleteDomain("blog", "blog") })
		err := s.Read(t.Context(), func(tx *store.Tx) error {
			domains, count, err := tx.Domains("blog", platform.Page{})
			same(t, domains, []platform.Domain{want})
			same(t, count, 1)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestSettingsAreReplaced(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		want := platform.Settings{UUID: "1", App: "blog", Owner: "ann", Routable: true, Created: moment, Updated: moment}
		write(t, s, func(tx *store.Tx) error { return tx.PutSettings(want) })
		want.UUID, want.Maintenance, want.DeployBranch, want.Owner = "2", true, "release", "bob"
		want.Whitelist, want.Labels = []string{"10.0.0.0/8"}, map[string]json.RawMessage{"team": json.RawMessage(`{"a":[1,null]}`)}
		want.Autoscale = map[string]platform.Autoscale{"web": {Min: 1, Max: 2, CPUPercent: 40}}
		write(t, s, func(tx *store.Tx) error { return tx.PutSettings(want) })
		same(t, read(t, s, func(tx *store.Tx) (platform.Settings, error) { return tx.Settings("blog") }), want)
	})
}

func TestALabelThatIsNoJSONIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		wantField(t, failed(t, s, func(tx *store.Tx) error {
			return tx.PutSettings(platform.Settings{App: "blog", Owner: "ann", Labels: map[string]json.RawMessage{"team": json.RawMessage("{")}})
		}), "label", "team is no JSON value")
	})
}

func TestEventsAreNumberedAndListedNewestFirst(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		for _, app := range []string{"blog", "shop", "blog"} {
			write(t, s, func(tx *store.Tx) error {
				return tx.InsertEvent(platform.Event{ID: 99, At: moment, Name: "release.deployed", App: app, User: "ann", From: "::1", Token: "ci", Attrs: map[string]string{"release": "v1"}})
			})
		}
		err := s.Read(t.Context(), func(tx *store.Tx) error {
			events, count, err := tx.EventLog(platform.EventQuery{App: "blog", Page: platform.Page{Limit: 1}})
			same(t, events, []platform.Event{{ID: 3, At: moment, Name: "release.deployed", App: "blog", User: "ann", From: "::1", Token: "ci", Attrs: map[string]string{"release": "v1"}}})
			same(t, count, 2)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestARowThatNamesNothingIsAConflict(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		err := failed(t, s, func(tx *store.Tx) error { return tx.InsertApp(platform.App{UUID: "1", ID: "blog", Owner: "nobody"}) })
		if !errors.Is(err, platform.ErrConflict) {
			t.Errorf("got %v, want a conflict", err)
		}
	})
}

func TestVolumesToBeForgottenOutliveTheirApp(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.ForgetVolume("app-1", "blog", "data"), tx.ForgetVolume("app-1", "blog", "data"), tx.ForgetVolume("app-1", "blog", ""),
				tx.ForgetVolume("app-1", "diary", ""), tx.ForgetVolume("app-2", "shop", "data"), tx.DeleteApp("blog"))
		})
		forgotten := func() []string {
			return read(t, s, func(tx *store.Tx) ([]string, error) { return tx.ForgottenVolumes("app-1") })
		}
		same(t, forgotten(), []string{"data"})
		orphans := func(app string) map[string]bool {
			return read(t, s, func(tx *store.Tx) (map[string]bool, error) {
				_, others, err := tx.Orphans(app)
				return others, err
			})
		}
		same(t, orphans("blog"), map[string]bool{"app-1": true})
		same(t, orphans("shop"), map[string]bool{})
		write(t, s, func(tx *store.Tx) error { return tx.OrphanLeft("app-1", "blog", false) })
		same(t, orphans("blog"), map[string]bool{})
		same(t, orphans("diary"), map[string]bool{"app-1": false})
		write(t, s, func(tx *store.Tx) error { return tx.OrphanLeft("app-1", "diary", true) })
		same(t, forgotten(), []string{})
		write(t, s, func(tx *store.Tx) error { return tx.VolumeForgotten("app-2", "data") })
		same(t, read(t, s, func(tx *store.Tx) ([]string, error) { return tx.ForgottenVolumes("app-2") }), []string{})
	})
}
