package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// below are the names below a host.
func below(t *testing.T, s *store.Store, host string) (names []string) {
	t.Helper()
	for last := ""; ; {
		page := read(t, s, func(tx *store.Tx) ([]platform.Domain, error) { return tx.DomainsBelow(host, last) })
		if len(page) == 0 {
			return names
		}
		for _, d := range page {
			last = d.Domain
			names = append(names, d.Domain)
		}
	}
}

func TestClaimsAreThoseNamesThatAreDomains(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		withDomains(t, s, map[string][]string{"blog": {"blog", "example.com", "www.example.com"}, "shop": {"*.example.com"}})
		found := map[string]string{}
		for _, d := range read(t, s, func(tx *store.Tx) ([]platform.Domain, error) {
			return tx.Claims("nothing.org", "example.com", "*.example.com", "blog")
		}) {
			found[d.Domain] = d.App
		}
		same(t, found, map[string]string{"example.com": "blog", "*.example.com": "shop", "blog": "blog"})
	})
}

func TestDomainsBelowAHostAreThoseOfItsLabels(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		withDomains(t, s, map[string][]string{
			"blog": {"blog", "example.com", "www.example.com", "a.www.example.com"},
			"shop": {"*.example.com", "notexample.com", "example.com.org"},
			"wiki": {"wiki", "-example.com", "0example.com"}, // bytes beside the dot
		})
		for host, want := range map[string][]string{
			"example.com":     {"*.example.com", "a.www.example.com", "www.example.com"},
			"www.example.com": {"a.www.example.com"},
			"org":             {"example.com.org"},
			"blog":            nil,
			"nothing.net":     nil,
		} {
			got := below(t, s, host)
			slices.Sort(got)
			same(t, got, want)
		}
	})
}

func TestManyDomainsBelowAHostComeEachOnce(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		var want []string
		for i := range 1203 {
			want = append(want, fmt.Sprintf("h%d.example.com", i))
		}
		withDomains(t, s, map[string][]string{"blog": append(want, "example.com", "h1.example.org")})
		got := below(t, s, "example.com")
		slices.Sort(got)
		slices.Sort(want)
		same(t, got, want)
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
		same(t, below(t, s, "example.com"), []string{"*.example.com", "a.b.example.com"})
		same(t, below(t, s, "org"), []string{"example.org"})
	})
}

func TestARenamedAppsDefaultDomainIsFoundByItsNewName(t *testing.T) {
	onEachURL(t, func(t *testing.T, url string, raw func() *sql.DB) {
		s := openWith(t, url, ring)
		withApp(t, s)
		withDomains(t, s, map[string][]string{"blog": {"blog"}})
		write(t, s, func(tx *store.Tx) error { return tx.RenameApp("blog", "diary") })
		var mirror string
		if err := raw().QueryRow("SELECT mirror FROM domains WHERE domain = 'diary'").Scan(&mirror); err != nil {
			t.Fatal(err)
		}
		same(t, mirror, "yraid")
	})
}

var errTaken = errors.New("taken")

// claim gives a domain to an app unless another has a wildcard over it or, for a
// wildcard, a name below it.
func claim(tx *store.Tx, app, domain string) error {
	if err := tx.InsertDomain(platform.Domain{Domain: domain, App: app, Owner: "bob"}); err != nil {
		return err
	}
	_, base, _ := strings.Cut(domain, ".")
	found, err := tx.Claims("*." + base)
	if err == nil && strings.HasPrefix(domain, "*.") {
		found, err = tx.DomainsBelow(base, "")
	}
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
				whole = one.Write(t.Context(), func(tx *store.Tx) error { return claim(tx, "blog", "*."+base) })
			})
			both.Go(func() {
				part = other.Write(t.Context(), func(tx *store.Tx) error { return claim(tx, "shop", "www."+base) })
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
		if err := claim(tx, "blog", "*.example.com"); err != nil || tries > 1 {
			return err
		}
		return other.Write(t.Context(), func(tx *store.Tx) error {
			return claim(tx, "shop", "www.example.com")
		})
	})
	if !errors.Is(err, errTaken) || tries != 2 {
		t.Errorf("after %d tries: %v", tries, err)
	}
	same(t, below(t, one, "example.com"), []string{"www.example.com"})
}
