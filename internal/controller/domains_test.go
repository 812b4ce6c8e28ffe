package controller_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

func TestADomainLeadsToItsAppUntilItIsRemoved(t *testing.T) {
	p := open(t, controller.Options{Domain: "example.com"})
	bob, ann := p.user("bob"), p.user("ann")
	p.app(bob, "blog")
	p.write(func(tx *store.Tx) error { return tx.SetCollaborator("blog", "ann", platform.RoleOperator) })
	for _, domain := range []string{"Домена.ru.", "*.shop.org", "journal"} {
		if _, err := p.AddDomain(t.Context(), ann, "blog", domain); err != nil {
			t.Fatal(err)
		}
	}
	if hosts := p.fleet.Route("blog").Hosts; !slices.Equal(hosts, []string{"*.shop.org", "blog.example.com", "journal.example.com", "xn--80ahd1agd.ru"}) {
		t.Errorf("the route's hosts are %q", hosts)
	}
	if err := p.RemoveDomain(t.Context(), ann, "blog", "*.shop.org"); !errors.Is(err, platform.ErrForbidden) {
		t.Errorf("a collaborator removes: %v", err)
	}
	for _, domain := range []string{"домена.ru", "*.shop.org", "journal.example.com", "blog"} {
		if err := p.RemoveDomain(t.Context(), bob, "blog", domain); err != nil {
			t.Errorf("remove %s: %v", domain, err)
		}
	}
	if hosts := p.fleet.Route("blog").Hosts; len(hosts) != 0 {
		t.Errorf("left are %q", hosts)
	}
	for _, domain := range []string{"домена.ru", "never.org", "no_name", ""} {
		var missing *platform.NotFoundError
		if err := p.RemoveDomain(t.Context(), bob, "blog", domain); !errors.As(err, &missing) || missing.Kind != "Domain" {
			t.Errorf("remove %q: %v", domain, err)
		}
	}
	events := p.eventsOf("blog")
	for _, want := range []string{"domain.added ann domain=xn--80ahd1agd.ru", "domain.removed bob domain=xn--80ahd1agd.ru"} {
		if !slices.Contains(events, want) {
			t.Errorf("%q is not among the events %q", want, events)
		}
	}
}

func TestNobodyTakesANameOfThePlatformOrUnderAnothersApp(t *testing.T) {
	p := open(t, controller.Options{Domain: "apps.example.com", Reserved: []string{"slipway", "git", "deis", "deis-builder"}})
	bob, eve, root := p.user("bob"), p.user("eve"), p.user("root")
	root.Admin = true
	p.app(bob, "blog")
	p.app(bob, "gone")
	p.app(eve, "evil")
	for _, domain := range []string{"journal", "www.shop.org"} {
		if _, err := p.AddDomain(t.Context(), bob, "blog", domain); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.RemoveDomain(t.Context(), bob, "gone", "gone"); err != nil {
		t.Fatal(err)
	}
	const used = "domain: Domain is already in use by another application"
	for domain, words := range map[string]string{
		"blog": used, "blog.apps.example.com": used, "x.blog.apps.example.com": used, "*.blog.apps.example.com": used,
		"a.b.journal.apps.example.com": used, "journal": used, "gone": used, "x.gone.apps.example.com": used, "www.shop.org": used, "WWW.shop.org.": used,
		"slipway": "domain: slipway is a reserved name.", "git.apps.example.com": "domain: git is a reserved name.",
		"x.deis.apps.example.com": "domain: deis is a reserved name.", "deis-builder": "domain: deis-builder is a reserved name.",
		"*.apps.example.com": "domain: *.apps.example.com belongs to the platform",
		"apps.example.com":   "domain: apps.example.com belongs to the platform; an administrator may give it to an app",
		"*.example.com":      "domain: *.example.com belongs to the platform; an administrator may give it to an app",
		"*.com":              "domain: Hostname does not look valid.",
	} {
		if _, err := p.AddDomain(t.Context(), eve, "evil", domain); !errors.Is(err, platform.ErrInvalid) || err.Error() != words {
			t.Errorf("%s: %v, want %s", domain, err, words)
		}
	}
	for _, domain := range []string{"gone", "x.blog.apps.example.com", "*.journal.apps.example.com"} {
		if _, err := p.AddDomain(t.Context(), bob, "blog", domain); err != nil {
			t.Errorf("bob, whose they are, takes %s: %v", domain, err)
		}
	}
	for _, domain := range []string{"apps.example.com", "*.example.com", "y.blog.apps.example.com"} {
		if _, err := p.AddDomain(t.Context(), root, "evil", domain); err != nil {
			t.Errorf("an administrator gives %s: %v", domain, err)
		}
	}
	if _, err := p.AddDomain(t.Context(), eve, "evil", "x.free.apps.example.com"); err != nil {
		t.Errorf("a name under nobody's: %v", err)
	}
}

func TestNobodyTakesHostsOfAnothersDomain(t *testing.T) {
	p := open(t, controller.Options{Domain: "apps.test"})
	bob, eve, ann, root := p.user("bob"), p.user("eve"), p.user("ann"), p.user("root")
	root.Admin = true
	p.app(bob, "blog")
	p.app(bob, "shop")
	p.app(eve, "evil")
	p.app(root, "portal")
	p.write(func(tx *store.Tx) error {
		return errors.Join(tx.SetCollaborator("blog", "ann", platform.RoleViewer), tx.SetCollaborator("evil", "ann", platform.RoleOperator))
	})
	for _, domain := range []string{"*.wild.org", "www.exact.org", "base.org", "*.a.deep.org", "*.free.apps.test"} {
		if _, err := p.AddDomain(t.Context(), bob, "blog", domain); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.AddDomain(t.Context(), root, "portal", "*.test"); err == nil { // one label is nobody's
		t.Error("*.test was given")
	}
	const cure = "\nWhoever may operate both applications can add it, or an administrator."
	for domain, other := range map[string]string{
		"new.wild.org": "*.wild.org", "a.b.wild.org": "*.wild.org", "wild.org": "*.wild.org", "*.a.wild.org": "*.wild.org",
		"*.exact.org": "www.exact.org", "*.base.org": "base.org", "*.deep.org": "*.a.deep.org",
		"x.free.apps.test": "*.free.apps.test", "free": "*.free.apps.test",
	} {
		_, err := p.AddDomain(t.Context(), eve, "evil", domain)
		if words := domain + " overlaps a domain of another application" + cure; !errors.Is(err, platform.ErrConflict) || err.Error() != words {
			t.Errorf("eve takes %s: %v, want %s", domain, err, words)
		}
		_, err = p.AddDomain(t.Context(), ann, "evil", domain)
		if words := domain + " overlaps " + other + ", a domain of blog" + cure; !errors.Is(err, platform.ErrConflict) || err.Error() != words {
			t.Errorf("ann, who sees blog, takes %s: %v, want %s", domain, err, words)
		}
	}
	var used *platform.FieldError
	if _, err := p.AddDomain(t.Context(), eve, "evil", "*.wild.org"); !errors.As(err, &used) || used.Message != "Domain is already in use by another application" {
		t.Errorf("eve takes *.wild.org itself: %v", err)
	}
	for _, domain := range []string{"xwild.org", "other.exact.org", "www.base.org", "*.www.base.org", "deep.org", "b.deep.org", "y.freer.apps.test"} {
		if _, err := p.AddDomain(t.Context(), eve, "evil", domain); err != nil {
			t.Errorf("eve takes %s, which is nobody's: %v", domain, err)
		}
	}
	for _, domain := range []string{"shop.wild.org", "wild.org", "x.a.deep.org", "*.a.wild.org"} {
		if _, err := p.AddDomain(t.Context(), bob, "shop", domain); err != nil {
			t.Errorf("bob, whose both apps are, takes %s: %v", domain, err)
		}
	}
	if _, err := p.AddDomain(t.Context(), root, "evil", "given.wild.org"); err != nil {
		t.Errorf("an administrator gives given.wild.org: %v", err)
	}
	bob.Scope.Apps = []string{"shop"}
	if _, err := p.AddDomain(t.Context(), bob, "shop", "token.wild.org"); !errors.Is(err, platform.ErrConflict) {
		t.Errorf("a token for shop alone takes of blog: %v", err)
	}
}

func TestWhatAnAdministratorGaveOverThePlatformsDomainHindersNobody(t *testing.T) {
	p := open(t, controller.Options{Domain: "apps.example.com"})
	eve, root := p.user("eve"), p.user("root")
	root.Admin = true
	p.app(root, "portal")
	if _, err := p.AddDomain(t.Context(), root, "portal", "*.example.com"); err != nil {
		t.Fatal(err)
	}
	p.app(eve, "evil")
	for _, domain := range []string{"short", "x.evil.apps.example.com"} {
		if _, err := p.AddDomain(t.Context(), eve, "evil", domain); err != nil {
			t.Errorf("%s: %v", domain, err)
		}
	}
	if _, err := p.AddDomain(t.Context(), eve, "evil", "www.example.com"); !errors.Is(err, platform.ErrConflict) {
		t.Errorf("www.example.com: %v", err)
	}
}

func TestAWildcardUnderARegistryIsGivenByAdministrators(t *testing.T) {
	p := open(t, controller.Options{Domain: "apps.test"})
	eve, root := p.user("eve"), p.user("root")
	root.Admin = true
	p.app(eve, "evil")
	for _, domain := range []string{"*.co.uk", "*.github.io", "*.xn--55qx5d.cn"} {
		if _, err := p.AddDomain(t.Context(), eve, "evil", domain); !errors.Is(err, platform.ErrInvalid) {
			t.Errorf("eve takes %s: %v", domain, err)
		}
		if _, err := p.AddDomain(t.Context(), root, "evil", domain); err != nil {
			t.Errorf("an administrator gives %s: %v", domain, err)
		}
	}
	if _, err := p.AddDomain(t.Context(), eve, "evil", "*.mine.co.uk"); err != nil {
		t.Errorf("*.mine.co.uk: %v", err)
	}
}

func TestNobodyIsServedUnderTheNameOfAnAppToCome(t *testing.T) {
	p := open(t, controller.Options{Domain: "apps.example.com"})
	bob, eve, root := p.user("bob"), p.user("eve"), p.user("root")
	root.Admin = true
	p.app(eve, "evil")
	p.app(bob, "blog")
	for _, domain := range []string{"login.shop.apps.example.com", "*.bank.apps.example.com", "notthebar.apps.example.com"} {
		if _, err := p.AddDomain(t.Context(), eve, "evil", domain); err != nil {
			t.Fatal(err)
		}
	}
	const words = "id: Names under this one belong to another application."
	for _, id := range []string{"shop", "bank"} {
		if _, err := p.CreateApp(t.Context(), bob, id); err == nil || err.Error() != words {
			t.Errorf("bob creates %s: %v", id, err)
		}
		if _, err := p.Rename(t.Context(), bob, "blog", id); err == nil || err.Error() != words {
			t.Errorf("bob renames to %s: %v", id, err)
		}
	}
	p.app(bob, "bar")
	p.app(eve, "shop")
	p.app(root, "bank")
}

func TestAPlatformDomainOfOneLabelIsThePlatformsToo(t *testing.T) {
	p := open(t, controller.Options{Domain: "localhost"})
	eve := p.user("eve")
	p.app(eve, "evil")
	if _, err := p.AddDomain(t.Context(), eve, "evil", "localhost"); !errors.Is(err, platform.ErrInvalid) {
		t.Errorf("localhost was given away: %v", err)
	}
}
