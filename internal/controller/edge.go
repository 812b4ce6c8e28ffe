package controller

import (
	"context"
	"slices"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// SetEdge tells the routers what is not an app's, with the platform's own
// certificates, and adds those of the apps' domains. It returns the version of
// the nodes' state that holds it, and is called again when edge changes.
func (c *Controller) SetEdge(ctx context.Context, edge platform.EdgeState) (version int64, err error) {
	c.edgeLock.Lock()
	defer c.edgeLock.Unlock()
	c.edge = &edge
	return c.writeEdge(ctx)
}

// RefreshEdge has the routers serve the certificates that are attached now:
// they may go by another way than the verbs, with their owner.
func (c *Controller) RefreshEdge(ctx context.Context) error { return c.reedge(ctx) }

// reedge brings the routers' certificates up to date for a verb, as reroute
// does for a route.
func (c *Controller) reedge(ctx context.Context) error {
	c.edgeLock.Lock()
	version, err := c.writeEdge(context.WithoutCancel(ctx))
	c.edgeLock.Unlock()
	if err != nil {
		return err
	}
	c.told(ctx, version)
	return nil
}

// writeEdge hands fleet the edge with every certificate. The caller holds
// edgeLock, so that no older list overwrites a newer one.
func (c *Controller) writeEdge(ctx context.Context) (int64, error) {
	if c.edge == nil {
		return 0, nil // SetEdge will
	}
	var attached []platform.Certificate
	err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
		attached, err = tx.EdgeCertificates()
		return err
	})
	if err != nil {
		return 0, err
	}
	edge := *c.edge
	edge.Certificates = c.served(edge.Certificates, attached)
	return c.fleet.SetEdge(edge)
}

// served are the platform's own certificates and those attached to domains, by
// host. A host that has one attached is taken from the platform's own, which
// would be renewed, and so be the newest claim to it, while the other stays.
func (c *Controller) served(own []platform.EdgeCertificate, attached []platform.Certificate) []platform.EdgeCertificate {
	taken := make(map[string]bool)
	var others []platform.EdgeCertificate
	for _, certificate := range attached {
		other := platform.EdgeCertificate{Name: certificate.Name, Certificate: certificate.Chain, Key: certificate.Key}
		for _, domain := range certificate.Domains {
			host := c.fullHost(domain)
			other.Hosts, taken[host] = append(other.Hosts, host), true
		}
		others = append(others, other)
	}
	own = slices.Clone(own)
	for i := range own {
		own[i].Hosts = slices.DeleteFunc(slices.Clone(own[i].Hosts), func(host string) bool { return taken[host] })
	}
	return append(own, others...)
}
