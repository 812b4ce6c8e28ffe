package client

import (
	"context"

	"github.com/slipway-paas/slipway/internal/api"
)

// Domains lists an app's domains, by name. One without a dot is a subdomain
// of the platform's.
func (c *Client) Domains(ctx context.Context, app string, limit int) ([]api.Domain, int, error) {
	return list[api.Domain](ctx, c, path("apps", app, "domains"), limit)
}

// AddDomain routes a host name to the app.
func (c *Client) AddDomain(ctx context.Context, app, domain string) (api.Domain, error) {
	var added api.Domain
	return added, c.post(ctx, path("apps", app, "domains"), api.CreateDomain{Domain: domain}, &added)
}

// RemoveDomain stops routing a host name to the app.
func (c *Client) RemoveDomain(ctx context.Context, app, domain string) error {
	return c.delete(ctx, bare("apps", app, "domains", domain), quick)
}
