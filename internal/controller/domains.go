package controller

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// maxDomains bounds the domains of one app.
const maxDomains = 1000

// Domains lists an app's domains, by name, and how many there are.
func (c *Controller) Domains(ctx context.Context, caller platform.Caller, app string, page platform.Page) ([]platform.Domain, int, error) {
	return list(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx) ([]platform.Domain, int, error) { return tx.Domains(app, page) })
}

// AddDomain routes a host name to the app. It returns when the routers were told.
// ErrConflict when it has hosts in common with a domain of an app that the
// caller may not operate.
func (c *Controller) AddDomain(ctx context.Context, caller platform.Caller, app, domain string) (platform.Domain, error) {
	name, err := c.normalDomain(domain)
	if err != nil {
		return platform.Domain{}, err
	}
	now := time.Now().Truncate(time.Second).UTC()
	d := platform.Domain{Domain: name, App: app, Owner: caller.User, Created: now, Updated: now}
	err = c.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := may(tx, caller, app, platform.RoleOperator); err != nil {
			return err
		}
		if err := c.claim(tx, caller, d); err != nil {
			return err
		}
		if err := c.routable(tx, app); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "domain.added", app, map[string]string{"domain": name}))
	})
	if err != nil {
		return platform.Domain{}, err
	}
	c.note(app, "INFO domain %s added", name)
	c.certify(ctx, app, false)
	return d, c.reroute(ctx, app)
}

// claim makes the domain the app's, if it may be.
func (c *Controller) claim(tx *store.Tx, caller platform.Caller, d platform.Domain) error {
	if err := c.claimable(tx, caller, d.App, d.Domain); err != nil {
		return err
	}
	if _, n, err := tx.Domains(d.App, platform.Page{Limit: 1}); err != nil {
		return err
	} else if n >= maxDomains {
		return platform.Invalid("domain", "An app has at most %d domains", maxDomains)
	}
	if err := tx.InsertDomain(d); err != nil {
		return err
	}
	return c.apart(tx, caller, d)
}

// claimable returns nil when the name may be given to the app: it is not the
// platform's, nor under the name of an app that is nothing to the caller, nor
// all names of a registry.
func (c *Controller) claimable(tx *store.Tx, caller platform.Caller, app, name string) error {
	host, wildcard := strings.CutPrefix(c.fullHost(name), "*.")
	switch {
	case host == c.options.Domain && wildcard:
		return platform.Invalid("domain", "%s belongs to the platform", name)
	case wildcard && !strings.Contains(host, "."):
		return platform.Invalid("domain", "Hostname does not look valid.") // nobody's to give
	case (name == c.options.Domain || host == c.options.Domain || wildcard && strings.HasSuffix(c.options.Domain, "."+host)) && !caller.Admin:
		return platform.Invalid("domain", "%s belongs to the platform; an administrator may give it to an app", name)
	case wildcard && isSuffix(host) && !caller.Admin:
		return platform.Invalid("domain", "Names under %s are registered by anybody; an administrator may give %s to an app", host, name)
	}
	under, ok := strings.CutSuffix(host, "."+c.options.Domain)
	if !ok {
		return nil
	}
	root := under[strings.LastIndexByte(under, '.')+1:]
	if slices.Contains(c.options.Reserved, root) {
		return platform.Invalid("domain", "%s is a reserved name.", root)
	}
	return operatedBy(tx, caller, app, root)
}

// isSuffix reports whether names right under host are different people's, as
// under co.uk.
func isSuffix(host string) bool {
	suffix, _ := publicsuffix.PublicSuffix(host)
	return suffix == host
}

// operatedBy returns nil when a name right under the platform's domain leads
// to app, to another that the caller operates, or nowhere.
func operatedBy(tx *store.Tx, caller platform.Caller, app, root string) error {
	claims, err := tx.Claims(root)
	if err != nil {
		return err
	}
	claims = append(claims, platform.Domain{Domain: root, App: root}) // its default domain may have been removed
	if foreign, err := newRights(tx, caller, app).foreign(claims); foreign == nil {
		return err
	}
	return platform.Invalid("domain", "Domain is already in use by another application")
}

// nothingUnder refuses an id for an app when names under it lead to one that
// the caller does not operate: they would pass for the app's own.
func (c *Controller) nothingUnder(tx *store.Tx, caller platform.Caller, id string) error {
	if foreign, err := newRights(tx, caller, id).foreignBelow(c.fullHost(id)); foreign == nil {
		return err
	}
	return platform.Invalid("id", "Names under this one belong to another application.")
}

// apart refuses a domain that shares hosts with one of an app that the caller
// does not operate: the longer name would take the other's requests. A wildcard
// counts as sharing the name it is under.
func (c *Controller) apart(tx *store.Tx, caller platform.Caller, d platform.Domain) error {
	host, wildcard := strings.CutPrefix(c.fullHost(d.Domain), "*.")
	claims, err := tx.Claims(c.over(host)...)
	if err != nil {
		return err
	}
	rights := newRights(tx, caller, d.App)
	foreign, err := rights.foreign(claims)
	if foreign == nil && err == nil && wildcard {
		foreign, err = rights.foreignBelow(host)
	}
	if foreign == nil {
		return err
	}
	refused := &platform.UserError{
		Kind: platform.ErrConflict, Message: d.Domain + " overlaps a domain of another application",
		Cure: "Whoever may operate both applications can add it, or an administrator.",
	}
	switch _, err := may(tx, caller, foreign.App, platform.RoleViewer); {
	case err == nil:
		refused.Message = fmt.Sprintf("%s overlaps %s, a domain of %s", d.Domain, foreign.Domain, foreign.App)
	case !errors.Is(err, platform.ErrForbidden):
		return err
	}
	return refused
}

// over is a host and the wildcards that stand for it, or for those under it.
// Those that an administrator gave over the platform's own domain have what is
// left of it, and are no hindrance.
func (c *Controller) over(host string) []string {
	names := []string{host}
	for under := host; under != "" && under != c.options.Domain; _, under, _ = strings.Cut(under, ".") {
		names = append(names, "*."+under)
	}
	return names
}

// rights are which apps a caller operates, each looked up once.
type rights struct {
	tx     *store.Tx
	caller platform.Caller
	known  map[string]bool
}

// newRights are those of a caller who acts for app.
func newRights(tx *store.Tx, caller platform.Caller, app string) rights {
	return rights{tx, caller, map[string]bool{app: true}}
}

// foreign is the first of the domains whose app the caller does not operate; nil
// when there is none. An app that is not there is nobody's.
func (r rights) foreign(domains []platform.Domain) (*platform.Domain, error) {
	for _, d := range domains {
		if r.known[d.App] {
			continue
		}
		_, err := may(r.tx, r.caller, d.App, platform.RoleOperator)
		switch {
		case errors.Is(err, platform.ErrForbidden):
			return &d, nil
		case err != nil && !errors.Is(err, platform.ErrNotFound):
			return nil, err
		}
		r.known[d.App] = true
	}
	return nil, nil
}

// foreignBelow is foreign for all domains below a host.
func (r rights) foreignBelow(host string) (*platform.Domain, error) {
	for last := ""; ; {
		domains, err := r.tx.DomainsBelow(host, last)
		if err != nil || len(domains) == 0 {
			return nil, err
		}
		if foreign, err := r.foreign(domains); foreign != nil || err != nil {
			return foreign, err
		}
		last = domains[len(domains)-1].Domain
	}
}

// lookupDomain finds a domain of any app, however it is written.
func (c *Controller) lookupDomain(tx *store.Tx, domain string) (platform.Domain, error) {
	name, err := c.normalDomain(domain)
	if err != nil {
		return platform.Domain{}, &platform.NotFoundError{Kind: "Domain", ID: domain}
	}
	return tx.Domain(name)
}

// RemoveDomain stops routing a host name to the app. A certificate that is
// attached to it is detached.
func (c *Controller) RemoveDomain(ctx context.Context, caller platform.Caller, app, domain string) error {
	var d platform.Domain
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := may(tx, caller, app, platform.RoleAdmin); err != nil {
			return err
		}
		var err error
		if d, err = c.lookupDomain(tx, domain); err != nil {
			return err
		}
		if d.App != app {
			return &platform.NotFoundError{Kind: "Domain", ID: domain}
		}
		if d.Certificate != "" {
			if err := detach(tx, caller, d); err != nil {
				return err
			}
		}
		if err := tx.DeleteDomain(app, d.Domain); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "domain.removed", app, map[string]string{"domain": d.Domain}))
	})
	if err != nil {
		return err
	}
	c.note(app, "INFO domain %s removed", d.Domain)
	c.certify(ctx, app, false)
	if d.Certificate != "" {
		err = c.reedge(ctx, d.Certificate)
	}
	return errors.Join(c.reroute(ctx, app), err)
}

// Hosts returns the full host names of an app, the first domain first.
func (c *Controller) Hosts(ctx context.Context, caller platform.Caller, app string) ([]string, error) {
	return read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, _ platform.App) ([]string, error) { return c.hosts(tx, app) })
}

var (
	hostName    = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	numericLast = regexp.MustCompile(`(^|\.)[0-9]+$`)
)

// normalDomain is the one form in which a domain is stored: lower case, ACE
// (IDNA2008), without a trailing dot, and without the platform domain where it
// is a direct subdomain of it (Deis contract 2.8).
func (c *Controller) normalDomain(domain string) (string, error) {
	invalid := platform.Invalid("domain", "Hostname does not look valid.")
	domain = strings.TrimSuffix(domain, ".")
	switch {
	case domain == "":
		return "", platform.Invalid("domain", "This field may not be blank.")
	case domain == "*":
		return "", platform.Invalid("domain", "Hostname can't only be a wildcard")
	case !utf8.ValidString(domain):
		return "", invalid
	case len(domain) > 1000, isASCII(domain) && len(domain) > 253:
		return "", platform.Invalid("domain", "Hostname must be 253 characters or less.")
	}
	rest, wildcard := strings.CutPrefix(domain, "*.")
	name, err := idna.Lookup.ToASCII(rest)
	if err != nil {
		return "", platform.Invalid("domain", "Hostname does not look valid, could not convert to ACE %s: %s", domain, err)
	}
	name = strings.ToLower(name)
	switch {
	case len(name) > 253 || wildcard && len("*."+name) > 253:
		return "", platform.Invalid("domain", "Hostname must be 253 characters or less.")
	case !hostName.MatchString(name) || numericLast.MatchString(name):
		return "", invalid
	}
	if wildcard {
		return "*." + name, nil
	}
	if label, ok := strings.CutSuffix(name, "."+c.options.Domain); ok && !strings.Contains(label, ".") {
		return label, nil
	}
	return name, nil
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > 0x7f })
}
