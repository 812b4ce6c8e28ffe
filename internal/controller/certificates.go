package controller

import (
	"context"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Certificates lists the caller's certificates by name, and how many there are.
func (c *Controller) Certificates(ctx context.Context, caller platform.Caller, page platform.Page) ([]platform.Certificate, int, error) {
	return nil, 0, errUnbuilt
}

// Certificate returns one of the caller's certificates.
func (c *Controller) Certificate(ctx context.Context, caller platform.Caller, name string) (platform.Certificate, error) {
	return platform.Certificate{}, errUnbuilt
}

// AddCertificate keeps a chain and its key, both PEM, under a name.
func (c *Controller) AddCertificate(ctx context.Context, caller platform.Caller, name, chain, key string) (platform.Certificate, error) {
	return platform.Certificate{}, errUnbuilt
}

// RemoveCertificate detaches it from all domains and removes it.
func (c *Controller) RemoveCertificate(ctx context.Context, caller platform.Caller, name string) error {
	return errUnbuilt
}

// Attach serves the domain with the certificate. The domain's app must be one
// the caller may operate. ErrConflict when the domain has a certificate.
func (c *Controller) Attach(ctx context.Context, caller platform.Caller, name, domain string) error {
	return errUnbuilt
}

// Detach ends that; a domain that is not attached is no error.
func (c *Controller) Detach(ctx context.Context, caller platform.Caller, name, domain string) error {
	return errUnbuilt
}
