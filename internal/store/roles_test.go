package store_test

import (
	"errors"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// withShop adds bob's app shop, which ann deploys.
func withShop(t *testing.T, s *store.Store) {
	t.Helper()
	withApp(t, s)
	write(t, s, func(tx *store.Tx) error {
		return errors.Join(
			tx.InsertApp(platform.App{UUID: "app-2", ID: "shop", Owner: "bob", Created: moment, Updated: moment}),
			tx.SetCollaborator("shop", "ann", platform.RoleOperator),
			tx.SetCollaborator("shop", "ann", platform.RoleDeployer))
	})
}

func TestACollaboratorHasTheRoleThatWasGivenLast(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withShop(t, s)
		same(t, read(t, s, func(tx *store.Tx) ([]platform.Collaborator, error) { return tx.Collaborators("shop") }),
			[]platform.Collaborator{{User: "ann", Role: platform.RoleDeployer}})
		role := func(user string) platform.Role {
			return read(t, s, func(tx *store.Tx) (platform.Role, error) { return tx.RoleOf("shop", user) })
		}
		same(t, role("ann"), platform.RoleDeployer)
		same(t, role("bob"), "") // owns it
		for _, role := range []platform.Role{"", "king", platform.RoleOwner} {
			err := failed(t, s, func(tx *store.Tx) error { return tx.SetCollaborator("shop", "ann", role) })
			if !errors.Is(err, platform.ErrInvalid) {
				t.Errorf("role %q: got %v", role, err)
			}
		}
	})
}

func TestAppIDsAreThoseARoleCovers(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withShop(t, s)
		for need, want := range map[platform.Role][]string{
			platform.RoleViewer: {"blog", "shop"}, platform.RoleDeployer: {"blog", "shop"}, platform.RoleOperator: {"blog"}, platform.RoleOwner: {"blog"},
		} {
			same(t, read(t, s, func(tx *store.Tx) ([]string, error) { return tx.AppIDs("ann", need) }), want)
		}
		same(t, read(t, s, func(tx *store.Tx) ([]string, error) { return tx.AppIDs("eve", platform.RoleViewer) }), []string{})
	})
}

// withRows gives blog one row of the user in every table an app has rows in.
func withRows(t *testing.T, s *store.Store, user string) {
	t.Helper()
	write(t, s, func(tx *store.Tx) error {
		err := errors.Join(
			tx.InsertConfig(platform.Config{UUID: "config-2", App: "blog", Owner: user, Values: map[string]string{"A": "1"}}),
			tx.InsertBuild(platform.Build{UUID: "build-1", App: "blog", Owner: user}),
			tx.InsertDomain(platform.Domain{Domain: "blog", App: "blog", Owner: user}),
			tx.PutSettings(platform.Settings{App: "blog", Owner: user}),
			tx.PutTLS(platform.TLS{App: "blog", Owner: user}),
			tx.PutService(platform.Service{App: "blog", Process: "api", Owner: user}))
		if err != nil {
			return err
		}
		_, err = tx.InsertRelease(platform.Release{UUID: "release-1", App: "blog", Owner: user, Config: "config-2", Build: "build-1"})
		return err
	})
}

// owners are those of blog's own row and of the rows of withRows.
func owners(t *testing.T, s *store.Store, app, domain string) map[string]string {
	t.Helper()
	return read(t, s, func(tx *store.Tx) (map[string]string, error) {
		a, err1 := tx.App(app)
		config, err2 := tx.Config("config-2")
		build, err3 := tx.Build(app, "build-1")
		release, err4 := tx.Release(app, 1)
		d, err5 := tx.Domain(domain)
		settings, err6 := tx.Settings(app)
		tls, err7 := tx.TLS(app)
		services, err8 := tx.Services(app)
		if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8); err != nil {
			return nil, err
		}
		return map[string]string{
			"app": a.Owner, "config": config.Owner, "build": build.Owner, "release": release.Owner, "domain": d.Owner,
			"settings": settings.Owner, "tls": tls.Owner, "service": services[0].Owner,
		}, nil
	})
}

func TestAnAppIsGivenAwayWithTheRowsOfItsOwner(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withShop(t, s)
		withRows(t, s, "ann")
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.InsertUser(platform.User{Username: "eve"}, ""), tx.SetCollaborator("blog", "bob", platform.RoleViewer),
				tx.InsertDomain(platform.Domain{Domain: "eves", App: "blog", Owner: "eve"}), tx.SetOwner("blog", "bob"))
		})
		for row, owner := range owners(t, s, "blog", "blog") {
			if owner != "bob" {
				t.Errorf("the %s is still %s's", row, owner)
			}
		}
		same(t, read(t, s, func(tx *store.Tx) (platform.Domain, error) { return tx.Domain("eves") }).Owner, "eve")
		same(t, read(t, s, func(tx *store.Tx) ([]platform.Collaborator, error) { return tx.Collaborators("blog") }), []platform.Collaborator{})
		same(t, read(t, s, func(tx *store.Tx) (platform.App, error) { return tx.App("shop") }).Owner, "bob")
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.SetOwner("blog", "nobody") }), "User")
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.SetOwner("nothing", "bob") }), "App")
	})
}

func TestARenamedAppKeepsItsRows(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withShop(t, s)
		withRows(t, s, "ann")
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.SetCollaborator("blog", "bob", platform.RoleViewer), tx.RenameApp("blog", "diary"))
		})
		wantNotFound(t, s.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.App("blog"); return err }), "App")
		same(t, len(owners(t, s, "diary", "diary")), 8)
		same(t, read(t, s, func(tx *store.Tx) (platform.Role, error) { return tx.RoleOf("diary", "bob") }), platform.RoleViewer)
		same(t, read(t, s, func(tx *store.Tx) (platform.Config, error) { return tx.Config("config-2") }).Values, map[string]string{"A": "1"})
		same(t, read(t, s, func(tx *store.Tx) (platform.App, error) { return tx.App("diary") }).RenamedFrom, "blog")
		same(t, read(t, s, func(tx *store.Tx) (string, error) { return tx.AppRenamedFrom("blog") }), "diary")
		write(t, s, func(tx *store.Tx) error { return tx.SetRenamedFrom("diary", "") })
		for _, old := range []string{"blog", ""} {
			wantNotFound(t, s.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.AppRenamedFrom(old); return err }), "App")
		}
	})
}

func TestATokenThatReachesAnAppReachesItUnderItsNewName(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withShop(t, s)
		bound := platform.Token{Name: "ci", User: "ann", Scope: platform.Scope{Apps: []string{"blog", "blog-two", "shop"}}, Created: moment}
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.InsertToken("digest", bound, true), tx.RenameApp("blog", "diary"))
		})
		tokens := read(t, s, func(tx *store.Tx) ([]platform.Token, error) { return tx.NamedTokens("ann") })
		same(t, tokens[0].Scope.Apps, []string{"diary", "blog-two", "shop"})
	})
}

func TestANameThatIsTakenIsNotGivenToAnApp(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withShop(t, s)
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(
				tx.InsertDomain(platform.Domain{Domain: "taken", App: "shop", Owner: "bob"}),
				tx.InsertDomain(platform.Domain{Domain: "blog", App: "blog", Owner: "ann"}),
				tx.InsertDomain(platform.Domain{Domain: "diary", App: "blog", Owner: "ann"}))
		})
		wantField(t, failed(t, s, func(tx *store.Tx) error { return tx.RenameApp("blog", "shop") }), "id", "Application with this id already exists.")
		wantField(t, failed(t, s, func(tx *store.Tx) error { return tx.RenameApp("blog", "taken") }), "id", "Domain is already in use by another application")
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.RenameApp("nothing", "new") }), "App")
		write(t, s, func(tx *store.Tx) error { return tx.RenameApp("blog", "diary") }) // a domain of its own
		domains := read(t, s, func(tx *store.Tx) (names []string, err error) {
			domains, _, err := tx.Domains("diary", platform.Page{})
			for _, d := range domains {
				names = append(names, d.Domain)
			}
			return names, err
		})
		same(t, domains, []string{"diary"})
	})
}

func TestEveryAppSaysHowItTreatsPlainHTTP(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		tls := func() platform.TLS {
			return read(t, s, func(tx *store.Tx) (platform.TLS, error) { return tx.TLS("blog") })
		}
		same(t, tls(), platform.TLS{UUID: "app-1", App: "blog", Owner: "ann", Created: moment, Updated: moment})
		for _, enforced := range []bool{true, false} {
			want := platform.TLS{UUID: "1", App: "blog", Owner: "bob", Enforced: &enforced, Created: moment, Updated: moment}
			write(t, s, func(tx *store.Tx) error { return tx.PutTLS(want) })
			same(t, tls(), want)
		}
		wantNotFound(t, s.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.TLS("shop"); return err }), "App")
	})
}

func TestServicesAreListedNewestFirst(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		old := platform.Service{App: "blog", Process: "hooks", Owner: "ann", Pattern: "/a", Created: moment, Updated: moment}
		young := platform.Service{App: "blog", Process: "api", Owner: "ann", Pattern: "~ ^/b", Created: moment.AddDate(1, 0, 0), Updated: moment.AddDate(1, 0, 0)}
		write(t, s, func(tx *store.Tx) error { return errors.Join(tx.PutService(old), tx.PutService(young)) })
		old.Pattern = "/c"
		write(t, s, func(tx *store.Tx) error { return tx.PutService(old) })
		services := func() []platform.Service {
			return read(t, s, func(tx *store.Tx) ([]platform.Service, error) { return tx.Services("blog") })
		}
		same(t, services(), []platform.Service{young, old})
		write(t, s, func(tx *store.Tx) error { return tx.DeleteService("blog", "api") })
		same(t, services(), []platform.Service{old})
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.DeleteService("blog", "api") }), "Service")
	})
}
