package controller

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// What certificates are known by at the edge begins with whose they are.
const (
	ownCertificate      = "platform/"
	uploadedCertificate = "upload/"
)

// SetEdge tells the routers what is not an app's, with the platform's own
// certificates, and adds those of the apps' domains. It returns the version of
// the nodes' state that holds it, and is called again when edge changes.
func (c *Controller) SetEdge(ctx context.Context, edge platform.EdgeState) (version int64, err error) {
	c.edgeLock.Lock()
	defer c.edgeLock.Unlock()
	own := make(map[string]*platform.EdgeCertificate)
	for i, certificate := range edge.Certificates {
		certificate.Rank = platform.RankPlatform
		own[fmt.Sprint(ownCertificate, i)] = &certificate
	}
	edge.Certificates = nil
	c.edge = true
	uploaded, err := c.allUploaded(ctx)
	if err != nil {
		return 0, err
	}
	maps.Copy(own, uploaded)
	c.dropOthers(own)
	certificates, err := c.fleet.SetCertificates(own)
	if err != nil {
		return 0, err
	}
	version, err = c.fleet.SetEdge(edge)
	return max(certificates, version), err
}

// dropOthers adds to wish that those of ours go that it does not name.
func (c *Controller) dropOthers(wish map[string]*platform.EdgeCertificate) {
	for _, name := range c.fleet.Certificates() {
		if _, wanted := wish[name]; !wanted && (strings.HasPrefix(name, ownCertificate) || strings.HasPrefix(name, uploadedCertificate)) {
			wish[name] = nil
		}
	}
}

// RefreshEdge has the routers serve the certificates that are attached now:
// they may go by another way than the verbs, with their owner.
func (c *Controller) RefreshEdge(ctx context.Context) error {
	return c.recertify(ctx, func(ctx context.Context) (map[string]*platform.EdgeCertificate, error) {
		wish, err := c.allUploaded(ctx)
		if err != nil {
			return nil, err
		}
		for _, name := range c.fleet.Certificates() {
			if _, wanted := wish[name]; !wanted && strings.HasPrefix(name, uploadedCertificate) {
				wish[name] = nil
			}
		}
		return wish, nil
	})
}

// reedge brings uploaded certificates at the routers up to date for a verb, as
// reroute does for a route: all at once, so that a host that goes from one to
// another is at no moment without. The empty name is none.
func (c *Controller) reedge(ctx context.Context, names ...string) error {
	return c.recertify(ctx, func(ctx context.Context) (map[string]*platform.EdgeCertificate, error) {
		wish := map[string]*platform.EdgeCertificate{}
		err := c.store.Read(ctx, func(tx *store.Tx) error {
			for _, name := range names {
				if name == "" {
					continue
				}
				attached, found, err := tx.EdgeCertificate(name)
				if err != nil {
					return err
				}
				if wish[uploadedCertificate+name] = nil; found {
					wish[uploadedCertificate+name] = c.served(attached)
				}
			}
			return nil
		})
		return wish, err
	})
}

// recertify hands fleet what is read under edgeLock, so that no older state
// overwrites a newer one, and waits until the routers were told.
func (c *Controller) recertify(ctx context.Context, read func(context.Context) (map[string]*platform.EdgeCertificate, error)) error {
	c.edgeLock.Lock()
	if !c.edge {
		c.edgeLock.Unlock()
		return nil // SetEdge will
	}
	wish, err := read(context.WithoutCancel(ctx))
	var version int64
	if err == nil {
		version, err = c.fleet.SetCertificates(wish)
	}
	c.edgeLock.Unlock()
	if err != nil {
		return err
	}
	c.told(ctx, version)
	return nil
}

// allUploaded are the certificates attached to domains.
func (c *Controller) allUploaded(ctx context.Context) (map[string]*platform.EdgeCertificate, error) {
	wish := make(map[string]*platform.EdgeCertificate)
	err := c.store.Read(ctx, func(tx *store.Tx) error {
		attached, err := tx.EdgeCertificates()
		for _, certificate := range attached {
			wish[uploadedCertificate+certificate.Name] = c.served(certificate)
		}
		return err
	})
	return wish, err
}

// served is an uploaded certificate as routers serve it: before the platform's
// own, and before those that it gets by itself.
func (c *Controller) served(certificate platform.Certificate) *platform.EdgeCertificate {
	served := &platform.EdgeCertificate{Rank: platform.RankUploaded, Certificate: certificate.Chain, Key: certificate.Key}
	for _, domain := range certificate.Domains {
		served.Hosts = append(served.Hosts, c.fullHost(domain))
	}
	return served
}
