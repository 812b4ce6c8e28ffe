package controller

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/slipway-paas/slipway/internal/cert"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// maxCertificates bounds the certificates of one user.
const maxCertificates = 1000

// mayKeep returns nil when the caller is somebody with certificates of their
// own. Administrators see theirs alone, too (Deis contract 1.5).
func mayKeep(caller platform.Caller) error {
	switch {
	case caller.User == "":
		return platform.ErrUnauthenticated
	case caller.Scope.Bounded():
		return fmt.Errorf("a bounded token reaches no certificates: %w", platform.ErrForbidden)
	}
	return nil
}

// Certificates lists the caller's certificates by name, and how many there are.
func (c *Controller) Certificates(ctx context.Context, caller platform.Caller, page platform.Page) ([]platform.Certificate, int, error) {
	if err := mayKeep(caller); err != nil {
		return nil, 0, err
	}
	var all []platform.Certificate
	var count int
	err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
		all, count, err = tx.Certificates(caller.User, page)
		return err
	})
	return all, count, err
}

// Certificate returns one of the caller's certificates.
func (c *Controller) Certificate(ctx context.Context, caller platform.Caller, name string) (platform.Certificate, error) {
	if err := mayKeep(caller); err != nil {
		return platform.Certificate{}, err
	}
	var one platform.Certificate
	err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
		one, err = tx.Certificate(caller.User, name)
		return err
	})
	return one, err
}

var certificateName = regexp.MustCompile(`^[a-z0-9-]+$`)

func validCertificateName(name string) error {
	switch {
	case name == "":
		return platform.Invalid("name", "This field may not be blank.")
	case len(name) > 253:
		return platform.Invalid("name", "Ensure this field has no more than 253 characters.")
	case !certificateName.MatchString(name):
		return platform.Invalid("name", "Can only contain a-z (lowercase), 0-9 and hyphens")
	}
	return nil
}

// AddCertificate keeps a chain and its key, both PEM, under a name.
func (c *Controller) AddCertificate(ctx context.Context, caller platform.Caller, name, chain, key string) (platform.Certificate, error) {
	if err := mayKeep(caller); err != nil {
		return platform.Certificate{}, err
	}
	parsed, err := cert.Parse([]byte(chain), []byte(key))
	if err := errors.Join(validCertificateName(name), err); err != nil {
		return platform.Certificate{}, err
	}
	now := time.Now().Truncate(time.Second).UTC()
	parsed.Name, parsed.Owner, parsed.Created, parsed.Updated = name, caller.User, now, now
	var kept platform.Certificate
	err = c.store.Write(ctx, func(tx *store.Tx) error {
		if _, n, err := tx.Certificates(caller.User, platform.Page{Limit: 1}); err != nil {
			return err
		} else if n >= maxCertificates {
			return platform.Invalid("name", "A user has at most %d certificates", maxCertificates)
		}
		if kept, err = tx.InsertCertificate(parsed); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "certificate.added", "", map[string]string{"certificate": name, "fingerprint": kept.Fingerprint}))
	})
	return kept, err
}

// RemoveCertificate detaches it from all domains and removes it.
func (c *Controller) RemoveCertificate(ctx context.Context, caller platform.Caller, name string) error {
	if err := mayKeep(caller); err != nil {
		return err
	}
	var served []platform.Domain
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		certificate, err := tx.Certificate(caller.User, name)
		if err != nil {
			return err
		}
		served = nil
		for _, name := range certificate.Domains {
			domain, err := tx.Domain(name)
			if err != nil {
				return err
			}
			if err := detach(tx, caller, domain); err != nil {
				return err
			}
			served = append(served, domain)
		}
		if err := tx.DeleteCertificate(caller.User, name); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "certificate.removed", "", map[string]string{"certificate": name}))
	})
	if err != nil || len(served) == 0 {
		return err
	}
	for _, domain := range served {
		c.note(domain.App, "INFO certificate %s detached from %s", name, domain.Domain)
		c.certify(ctx, domain.App, false)
	}
	return c.reedge(ctx, name)
}

// Attach serves the domain with the certificate. The domain's app must be one
// the caller may operate. ErrConflict when the domain has a certificate, unless
// it is another of the caller's and to be replaced: then no handshake is without
// one. A certificate that clients will not take for the domain is attached all
// the same, and the app's log says so.
func (c *Controller) Attach(ctx context.Context, caller platform.Caller, name, domain string, replace bool) error {
	if err := mayKeep(caller); err != nil {
		return err
	}
	var certificate platform.Certificate
	var d platform.Domain
	err := c.store.Write(ctx, func(tx *store.Tx) (err error) {
		if certificate, err = tx.Certificate(caller.User, name); err != nil {
			return err
		}
		if d, err = c.lookupDomain(tx, domain); err != nil {
			return err
		}
		if _, err := may(tx, caller, d.App, platform.RoleOperator); err != nil {
			return err
		}
		if err := vacate(tx, caller, d, name, replace); err != nil {
			return err
		}
		if err := tx.AttachCertificate(d.Domain, name); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "certificate.attached", d.App, map[string]string{"certificate": name, "domain": d.Domain}))
	})
	if err != nil {
		return err
	}
	c.note(d.App, "INFO certificate %s attached to %s", name, d.Domain)
	c.warnOf(certificate, d)
	err = c.reedge(ctx, name, d.Certificate)
	c.certify(ctx, d.App, false) // once the upload is served
	return err
}

// vacate takes away the certificate that a domain has, if it may be replaced.
func vacate(tx *store.Tx, caller platform.Caller, d platform.Domain, by string, replace bool) error {
	if d.Certificate == "" {
		return nil
	}
	_, err := tx.Certificate(caller.User, d.Certificate)
	switch {
	case err != nil && !errors.Is(err, platform.ErrNotFound):
		return err
	case err != nil || !replace || d.Certificate == by:
		return &platform.UserError{Kind: platform.ErrConflict, Message: "Domain already has a certificate attached to it"}
	}
	return detach(tx, caller, d)
}

// warnOf tells the app's log why clients will refuse a certificate.
func (c *Controller) warnOf(certificate platform.Certificate, d platform.Domain) {
	if host := c.fullHost(d.Domain); !cert.Covers(certificate.SAN, host) {
		c.note(d.App, "WARNING certificate %s is not for %s: clients will refuse it there", certificate.Name, host)
	}
	if now := time.Now(); now.After(certificate.Expires) {
		c.note(d.App, "WARNING certificate %s expired on %s: clients will refuse it", certificate.Name, certificate.Expires.Format(time.DateOnly))
	} else if now.Before(certificate.Starts) {
		c.note(d.App, "WARNING certificate %s is valid from %s on: clients will refuse it until then", certificate.Name, certificate.Starts.Format(time.DateOnly))
	}
}

// Detach ends that; a domain that is not attached is no error.
func (c *Controller) Detach(ctx context.Context, caller platform.Caller, name, domain string) error {
	if err := mayKeep(caller); err != nil {
		return err
	}
	var d platform.Domain
	attached := false
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		certificate, err := tx.Certificate(caller.User, name)
		if err != nil {
			return err
		}
		if d, err = c.lookupDomain(tx, domain); err != nil {
			return err
		}
		if attached = slices.Contains(certificate.Domains, d.Domain); !attached {
			return nil
		}
		return detach(tx, caller, d)
	})
	if err != nil || !attached {
		return err
	}
	c.note(d.App, "INFO certificate %s detached from %s", name, d.Domain)
	c.certify(ctx, d.App, false)
	return c.reedge(ctx, name)
}

func detach(tx *store.Tx, caller platform.Caller, d platform.Domain) error {
	if err := tx.DetachCertificate(d.Domain); err != nil {
		return err
	}
	return tx.InsertEvent(event(caller, "certificate.detached", d.App, map[string]string{"certificate": d.Certificate, "domain": d.Domain}))
}
