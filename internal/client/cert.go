package client

import (
	"context"

	"github.com/slipway-paas/slipway/internal/api"
)

// Certs lists the user's certificates, by name.
func (c *Client) Certs(ctx context.Context, limit int) ([]api.Cert, int, error) {
	return list[api.Cert](ctx, c, path("certs"), limit)
}

// Cert is one of them.
func (c *Client) Cert(ctx context.Context, name string) (api.Cert, error) {
	var cert api.Cert
	return cert, c.get(ctx, bare("certs", name), &cert)
}

// AddCert keeps a chain and its key, both PEM, under a name.
func (c *Client) AddCert(ctx context.Context, cert api.CreateCert) (api.Cert, error) {
	var added api.Cert
	return added, c.post(ctx, path("certs"), cert, &added)
}

// RemoveCert detaches a certificate from its domains and forgets it.
func (c *Client) RemoveCert(ctx context.Context, name string) error {
	return c.delete(ctx, bare("certs", name), quick)
}

// AttachCert serves a domain with a certificate; replace: in place of another of
// one's own, if it has one.
func (c *Client) AttachCert(ctx context.Context, name, domain string, replace bool) error {
	return c.post(ctx, path("certs", name, "domain"), api.AttachCert{Domain: domain, Replace: replace}, nil)
}

// DetachCert ends that.
func (c *Client) DetachCert(ctx context.Context, name, domain string) error {
	return c.delete(ctx, bare("certs", name, "domain", domain), quick)
}
