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

// writeEdge hands fleet the edge with every certificate. The platform's own
// come first: on a name that an app's is for as well, the later counts. The
// caller holds edgeLock, so that no older list overwrites a newer one.
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
	edge.Certificates = slices.Clone(edge.Certificates)
	for _, certificate := range attached {
		served := platform.EdgeCertificate{Name: certificate.Name, Certificate: certificate.Chain, Key: certificate.Key}
		for _, domain := range certificate.Domains {
			served.Hosts = append(served.Hosts, c.fullHost(domain))
		}
		edge.Certificates = append(edge.Certificates, served)
	}
	return c.fleet.SetEdge(edge)
}
