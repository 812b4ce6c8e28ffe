package client

import (
	"context"
	"net/http"

	"github.com/slipway-paas/slipway/internal/api"
)

// Config is the config of the app's latest release that did not fail.
func (c *Client) Config(ctx context.Context, app string) (api.Config, error) {
	var config api.Config
	return config, c.get(ctx, path("apps", app, "config"), &config)
}

// SetConfig merges patch as a new release and returns when it serves.
func (c *Client) SetConfig(ctx context.Context, app string, patch api.ConfigPatch) (api.Config, error) {
	var config api.Config
	return config, c.deploy(ctx, path("apps", app, "config"), patch, &config)
}

// Settings are the app's switches.
func (c *Client) Settings(ctx context.Context, app string) (api.Settings, error) {
	var settings api.Settings
	return settings, c.get(ctx, path("apps", app, "settings"), &settings)
}

// SetSettings flips some switches; platform.ErrConflict when nothing changes.
func (c *Client) SetSettings(ctx context.Context, app string, patch api.SettingsPatch) (api.Settings, error) {
	var settings api.Settings
	return settings, c.post(ctx, path("apps", app, "settings"), patch, &settings)
}

// Edge is what the app's team asks of the routers.
func (c *Client) Edge(ctx context.Context, app string) (api.Edge, error) {
	edge, _, err := c.EdgeAt(ctx, app)
	return edge, err
}

// EdgeStatus is what the edge does for the app at the moment, and what it
// turned away.
func (c *Client) EdgeStatus(ctx context.Context, app string) (api.EdgeStatus, error) {
	var status api.EdgeStatus
	return status, c.get(ctx, path("apps", app, "edge", "status"), &status)
}

// PatchEdge merges patch into that (RFC 7396) and returns what came of it, which
// the routers have then; it waits for instances that a match leads to;
// platform.ErrConflict when nothing changes.
func (c *Client) PatchEdge(ctx context.Context, app string, patch map[string]any) (api.Edge, error) {
	return c.PatchEdgeAt(ctx, app, "", patch)
}

// EdgeAt is Edge with the tag that it has now.
func (c *Client) EdgeAt(ctx context.Context, app string) (edge api.Edge, tag string, err error) {
	err = c.do(ctx, request{method: http.MethodGet, path: path("apps", app, "edge"), out: &edge, wait: quick, tag: &tag})
	return edge, tag, err
}

// PatchEdgeAt is PatchEdge of what has a tag; platform.ErrStale when it was
// changed since. No tag is any.
func (c *Client) PatchEdgeAt(ctx context.Context, app, tag string, patch map[string]any) (edge api.Edge, err error) {
	err = c.do(ctx, request{method: http.MethodPost, path: path("apps", app, "edge"), in: patch, out: &edge, wait: deploying, match: tag})
	return edge, err
}

// ResetEdge takes all of it away; platform.ErrConflict when there is nothing.
func (c *Client) ResetEdge(ctx context.Context, app string) error {
	return c.delete(ctx, path("apps", app, "edge"), quick)
}

// Whitelist are the addresses and networks the app is served to; none: all.
func (c *Client) Whitelist(ctx context.Context, app string) ([]string, error) {
	var list api.Whitelist
	err := c.get(ctx, path("apps", app, "whitelist"), &list)
	return orNone(list.Addresses), err
}

// AddWhitelist adds addresses and returns all; platform.ErrConflict when all
// were there.
func (c *Client) AddWhitelist(ctx context.Context, app string, addresses []string) ([]string, error) {
	var list api.Whitelist
	err := c.post(ctx, path("apps", app, "whitelist"), api.Whitelist{Addresses: addresses}, &list)
	return orNone(list.Addresses), err
}

// RemoveWhitelist removes addresses; platform.ErrUnprocessable when one was
// not there.
func (c *Client) RemoveWhitelist(ctx context.Context, app string, addresses []string) error {
	return c.do(ctx, request{
		method: http.MethodDelete, path: path("apps", app, "whitelist"),
		in: api.Whitelist{Addresses: addresses}, wait: quick,
	})
}

// TLS says how the app treats plain HTTP.
func (c *Client) TLS(ctx context.Context, app string) (api.TLS, error) {
	var tls api.TLS
	return tls, c.get(ctx, path("apps", app, "tls"), &tls)
}

// SetTLS changes that; platform.ErrConflict when it is so already.
func (c *Client) SetTLS(ctx context.Context, app string, enforced bool) (api.TLS, error) {
	var tls api.TLS
	return tls, c.post(ctx, path("apps", app, "tls"), api.TLSPatch{HTTPSEnforced: enforced}, &tls)
}

// HostCertificates says what each of the app's hosts is served with.
func (c *Client) HostCertificates(ctx context.Context, app string) (api.HostCertificates, error) {
	var all api.HostCertificates
	return all, c.get(ctx, path("apps", app, "tls", "certificates"), &all)
}

// SetAutomatic says whether the app's domains get certificates by themselves; once
// more tries at once what failed.
func (c *Client) SetAutomatic(ctx context.Context, app string, automatic bool) (api.HostCertificates, error) {
	var all api.HostCertificates
	return all, c.post(ctx, path("apps", app, "tls", "certificates"), api.Automatic{Automatic: automatic}, &all)
}

// Services are the process types that paths of the app lead to, newest first.
func (c *Client) Services(ctx context.Context, app string) ([]api.Service, error) {
	var all api.Services
	err := c.get(ctx, path("apps", app, "services"), &all)
	return orNone(all.Services), err
}

// SetService leads the paths of a pattern to a process type.
func (c *Client) SetService(ctx context.Context, app string, service api.Service) error {
	return c.post(ctx, path("apps", app, "services"), service, nil)
}

// RemoveService ends that; platform.ErrNotFound when the type has none.
func (c *Client) RemoveService(ctx context.Context, app, process string) error {
	return c.do(ctx, request{
		method: http.MethodDelete, path: path("apps", app, "services"),
		in: api.RemoveService{ProcfileType: process}, wait: quick,
	})
}

// RemoveProbes removes probes of a process type, each "liveness" or
// "readiness", as a new release, and returns when it serves.
func (c *Client) RemoveProbes(ctx context.Context, app, process string, probes []string) (api.Config, error) {
	none := make(map[string]any, len(probes))
	for _, probe := range probes {
		none[probe+"Probe"] = nil
	}
	patch := map[string]any{"healthcheck": map[string]any{process: none}}
	var config api.Config
	return config, c.deploy(ctx, path("apps", app, "config"), patch, &config)
}
