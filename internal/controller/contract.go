package controller

import (
	"context"

	"github.com/slipway-paas/slipway/internal/platform"
)

var errUnbuilt = platform.ErrUnavailable

// Transfer gives the app to another user. Only its owner and superusers may.
// The rows the old owner had of it follow. An empty owner changes nothing.
func (c *Controller) Transfer(ctx context.Context, caller platform.Caller, app, owner string) error {
	return errUnbuilt
}

// Rename gives the app another id without dropping a request, and returns it
// once its instances run under the new one. Old URLs end, custom domains stay.
func (c *Controller) Rename(ctx context.Context, caller platform.Caller, app, id string) (platform.App, error) {
	return platform.App{}, errUnbuilt
}

// Collaborators lists who the app is shared with, by name, without its owner.
func (c *Controller) Collaborators(ctx context.Context, caller platform.Caller, app string) ([]platform.Collaborator, error) {
	return nil, errUnbuilt
}

// Grant shares the app with a user, or changes the role they have. Idempotent.
func (c *Controller) Grant(ctx context.Context, caller platform.Caller, app, user string, role platform.Role) error {
	return errUnbuilt
}

// Revoke ends that. A user who has no role on the app is ErrForbidden.
// Everybody may revoke themselves.
func (c *Controller) Revoke(ctx context.Context, caller platform.Caller, app, user string) error {
	return errUnbuilt
}

// NewBuild is an image that somebody names.
type NewBuild struct {
	Image, SHA, Dockerfile string
	Procfile               map[string]string
}

// CreateBuild deploys an image as a new release and returns both once it serves.
func (c *Controller) CreateBuild(ctx context.Context, caller platform.Caller, app string, build NewBuild) (platform.Build, platform.Release, error) {
	return platform.Build{}, platform.Release{}, errUnbuilt
}

// Whitelist lists the addresses and networks the app is served to; empty: all.
func (c *Controller) Whitelist(ctx context.Context, caller platform.Caller, app string) ([]string, error) {
	return nil, errUnbuilt
}

// AddWhitelist adds addresses and returns all. ErrConflict when all are there.
func (c *Controller) AddWhitelist(ctx context.Context, caller platform.Caller, app string, addresses []string) ([]string, error) {
	return nil, errUnbuilt
}

// RemoveWhitelist removes addresses. ErrUnprocessable when one is not there.
func (c *Controller) RemoveWhitelist(ctx context.Context, caller platform.Caller, app string, addresses []string) error {
	return errUnbuilt
}

// TLS says how the app treats plain HTTP.
func (c *Controller) TLS(ctx context.Context, caller platform.Caller, app string) (platform.TLS, error) {
	return platform.TLS{}, errUnbuilt
}

// SetTLS changes that. ErrConflict when it is so already.
func (c *Controller) SetTLS(ctx context.Context, caller platform.Caller, app string, enforced bool) (platform.TLS, error) {
	return platform.TLS{}, errUnbuilt
}

// Services lists the path services of the app, newest first.
func (c *Controller) Services(ctx context.Context, caller platform.Caller, app string) ([]platform.Service, error) {
	return nil, errUnbuilt
}

// SetService leads the paths of pattern to a process type and reports whether
// that changed anything.
func (c *Controller) SetService(ctx context.Context, caller platform.Caller, app, process, pattern string) (changed bool, err error) {
	return false, errUnbuilt
}

// RemoveService ends that; ErrNotFound when the process type has none.
func (c *Controller) RemoveService(ctx context.Context, caller platform.Caller, app, process string) error {
	return errUnbuilt
}

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

// Exec runs a command line inside a running instance, attached to stream, and
// blocks until it ends. instance may be short: web-1499930585-14lrg.
func (c *Controller) Exec(ctx context.Context, caller platform.Caller, app, instance, command string, stream platform.IO) (exit int, err error) {
	return 0, errUnbuilt
}

// Audit lists events, newest first, and how many there are in all. Of one app
// for those who may administer it; of all for superusers.
func (c *Controller) Audit(ctx context.Context, caller platform.Caller, query platform.EventQuery) ([]platform.Event, int, error) {
	return nil, 0, errUnbuilt
}

// AppsOf lists the ids of the apps a user may push to, in order.
func (c *Controller) AppsOf(ctx context.Context, user string) ([]string, error) {
	return nil, errUnbuilt
}
