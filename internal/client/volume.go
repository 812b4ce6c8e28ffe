package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/slipway-paas/slipway/internal/api"
)

// Volumes are the app's volumes, by name, and those whose data was kept.
func (c *Client) Volumes(ctx context.Context, app string) ([]api.Volume, error) {
	var all api.Volumes
	err := c.get(ctx, path("apps", app, "volumes"), &all)
	return orNone(all.Volumes), err
}

// SetVolume makes a volume, or changes where it is mounted, as a new release,
// and returns when that serves.
func (c *Client) SetVolume(ctx context.Context, app string, wish api.SetVolume) (api.Volume, error) {
	var volume api.Volume
	return volume, c.deploy(ctx, path("apps", app, "volumes"), wish, &volume)
}

// RemoveVolume takes a volume from the app, as a new release. Its data stays
// unless it shall be deleted for good; then it returns when it has gone.
func (c *Client) RemoveVolume(ctx context.Context, app, name string, data bool) error {
	query := url.Values{}
	if data {
		query.Set("data", "delete")
	}
	return c.do(ctx, request{method: http.MethodDelete, path: path("apps", app, "volumes", name), query: query, wait: deploying})
}
