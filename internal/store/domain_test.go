package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// withDomains gives domains to apps, which it makes where they are not there.
func withDomains(t *testing.T, s *store.Store, of map[string][]string) {
	t.Helper()
	write(t, s, func(tx *store.Tx) error {
		for app, domains := range of {
			if _, err := tx.App(app); err != nil {
				if err := tx.InsertApp(platform.App{UUID: "uuid of " + app, ID: app, Owner: "bob"}); err != nil {
					return err
				}
			}
			for _, domain := range domains {
				if err := tx.InsertDomain(platform.Domain{Domain: domain, App: app, Owner: "bob"}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// claims are the domains that Claims finds, by app.
func claims(t *testing.T, s *store.Store, names []string, below string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, d := range read(t, s, func(tx *store.Tx) ([]platform.Domain, error) { return tx.Claims(names, below) }) {
		found[d.App] = d.Domain
	}
	return found
}

func TestClaimsAreTheNamesAndWhatIsBelowAHost(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		withDomains(t, s, map[string][]string{
			"blog": {"blog", "example.com", "www.example.com", "a.www.example.com"},
			"shop": {"*.example.com", "notexample.com", "example.com.org"},
			"wiki": {"wiki", "-example.com", "0example.com"}, // bytes beside the dot
		})
		for _, c := range []struct {
			names []string
			below string
			want  map[string]string
		}{
			{nil, "", map[string]string{}},
			{[]string{"nothing.org", "example.com", "*.example.com"}, "", map[string]string{"blog": "example.com", "shop": "*.example.com"}},
			{nil, "example.com", map[string]string{"blog": "a.www.example.com", "shop": "*.example.com"}},
			{nil, "www.example.com", map[string]string{"blog": "a.www.example.com"}},
			{[]string{"wiki"}, "com", map[string]string{"blog": "a.www.example.com", "shop": "*.example.com", "wiki": "-example.com"}},
			{nil, "org", map[string]string{"shop": "example.com.org"}},
		} {
			if got := claims(t, s, c.names, c.below); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%q and below %q: %v, want %v", c.names, c.below, got, c.want)
			}
		}
	})
}

func TestDomainsFromBeforeAreFoundBelowAHost(t *testing.T) {
	onEachURL(t, func(t *testing.T, url string, raw func() *sql.DB) {
		before := raw()
		fromBefore(t, url, before)
		for _, domain := range []string{"blog", "*.example.com", "a.b.example.com", "example.org"} {
			if _, err := before.Exec("INSERT INTO domains VALUES ('" + domain + "', 'blog', 'ann', 0, 0)"); err != nil {
				t.Fatal(err)
			}
		}
		before.Close()
		s := openWith(t, url, ring)
		same(t, claims(t, s, nil, "b.example.com"), map[string]string{"blog": "a.b.example.com"})
		same(t, claims(t, s, nil, "example.com"), map[string]string{"blog": "*.example.com"})
		same(t, claims(t, s, nil, "org"), map[string]string{"blog": "example.org"})
	})
}

func TestARenamedAppsDefaultDomainIsFoundByItsNewName(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		withDomains(t, s, map[string][]string{"blog": {"blog"}})
		write(t, s, func(tx *store.Tx) error { return tx.RenameApp("blog", "diary") })
		withDomains(t, s, map[string][]string{"diary": {"x.org"}})
		same(t, claims(t, s, []string{"blog", "diary"}, ""), map[string]string{"diary": "diary"})
	})
}

var errTaken = errors.New("taken")

// claim gives a domain to an app unless another has it, or one below it.
func claim(tx *store.Tx, app, domain string, over []string, below string) error {
	if err := tx.InsertDomain(platform.Domain{Domain: domain, App: app, Owner: "bob"}); err != nil {
		return err
	}
	found, err := tx.Claims(over, below)
	for _, d := range found {
		if d.App != app {
			return errTaken
		}
	}
	return err
}

func TestOfTwoClaimsAtOnceOneStands(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		one, other := open(), open() // two processes
		withApp(t, one)
		withDomains(t, one, map[string][]string{"shop": nil})
		for i := range 20 {
			base := fmt.Sprintf("example%d.com", i)
			var whole, part error
			var both sync.WaitGroup
			both.Go(func() {
				whole = one.Write(t.Context(), func(tx *store.Tx) error { return claim(tx, "blog", "*."+base, nil, base) })
			})
			both.Go(func() {
				part = other.Write(t.Context(), func(tx *store.Tx) error { return claim(tx, "shop", "www."+base, []string{"*." + base}, "") })
			})
			both.Wait()
			if (whole == nil) == (part == nil) || !errors.Is(errors.Join(whole, part), errTaken) {
				t.Errorf("%s: the wildcard: %v, the name below it: %v", base, whole, part)
			}
		}
	})
}

// What the test above leaves to chance: another process has claimed between
// what this one read and its commit.
func TestAClaimThatWasOvertakenIsRefused(t *testing.T) {
	url := server.Database(t)
	one, other := openWith(t, url, ring), openWith(t, url, ring)
	withApp(t, one)
	withDomains(t, one, map[string][]string{"shop": nil})
	tries := 0
	err := one.Write(t.Context(), func(tx *store.Tx) error {
		tries++
		if err := claim(tx, "blog", "*.example.com", nil, "example.com"); err != nil || tries > 1 {
			return err
		}
		return other.Write(t.Context(), func(tx *store.Tx) error {
			return claim(tx, "shop", "www.example.com", []string{"*.example.com"}, "")
		})
	})
	if !errors.Is(err, errTaken) || tries != 2 {
		t.Errorf("after %d tries: %v", tries, err)
	}
	same(t, claims(t, one, nil, "example.com"), map[string]string{"shop": "www.example.com"})
}
