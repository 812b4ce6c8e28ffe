package controller

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/idna"

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
		if err := c.claimable(tx, caller, app, name); err != nil {
			return err
		}
		if _, n, err := tx.Domains(app, platform.Page{Limit: 1}); err != nil {
			return err
		} else if n >= maxDomains {
			return platform.Invalid("domain", "An app has at most %d domains", maxDomains)
		}
		if err := tx.InsertDomain(d); err != nil {
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

// claimable returns nil when the name may be given to the app: it is not the
// platform's, nor under the name of an app that is nothing to the caller.
func (c *Controller) claimable(tx *store.Tx, caller platform.Caller, app, name string) error {
	host, wildcard := strings.CutPrefix(c.fullHost(name), "*.")
	switch {
	case host == c.options.Domain && wildcard:
		return platform.Invalid("domain", "%s belongs to the platform", name)
	case wildcard && !strings.Contains(host, "."):
		return platform.Invalid("domain", "Hostname does not look valid.") // nobody's to give
	case (name == c.options.Domain || host == c.options.Domain || wildcard && strings.HasSuffix(c.options.Domain, "."+host)) && !caller.Admin:
		return platform.Invalid("domain", "%s belongs to the platform; an administrator may give it to an app", name)
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

// operatedBy returns nil when a name right under the platform's domain leads
// to app, to another that the caller operates, or nowhere.
func operatedBy(tx *store.Tx, caller platform.Caller, app, root string) error {
	owners := []string{root} // its default domain may have been removed
	if d, err := tx.Domain(root); err == nil {
		owners = append(owners, d.App)
	} else if !errors.Is(err, platform.ErrNotFound) {
		return err
	}
	for _, owner := range owners {
		if owner == app {
			continue
		}
		_, err := may(tx, caller, owner, platform.RoleOperator)
		switch {
		case errors.Is(err, platform.ErrForbidden):
			return platform.Invalid("domain", "Domain is already in use by another application")
		case err != nil && !errors.Is(err, platform.ErrNotFound):
			return err
		}
	}
	return nil
}

// nothingUnder refuses an id for an app when names under it lead to one that
// the caller does not operate: they would pass for the app's own.
func (c *Controller) nothingUnder(tx *store.Tx, caller platform.Caller, id string) error {
	domains, err := tx.DomainsUnder(c.fullHost(id))
	if err != nil {
		return err
	}
	for _, d := range domains {
		if d.App == id {
			continue
		}
		if _, err := may(tx, caller, d.App, platform.RoleOperator); errors.Is(err, platform.ErrForbidden) {
			return platform.Invalid("id", "Names under this one belong to another application.")
		} else if err != nil {
			return err
		}
	}
	return nil
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
