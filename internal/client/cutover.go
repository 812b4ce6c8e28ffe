package client

import (
	"context"

	"github.com/slipway-paas/slipway/internal/api"
)

// Cutover is how the app's requests are led from one release to the next, and
// the cutover that is under way.
func (c *Client) Cutover(ctx context.Context, app string) (api.Cutover, error) {
	var cutover api.Cutover
	return cutover, c.get(ctx, path("apps", app, "cutover"), &cutover)
}

// SetCutover changes words of the strategy, from the next cutover on;
// platform.ErrConflict when nothing changes.
func (c *Client) SetCutover(ctx context.Context, app string, words api.SetCutover) (api.Cutover, error) {
	var cutover api.Cutover
	return cutover, c.post(ctx, path("apps", app, "cutover"), words, &cutover)
}

// PromoteCutover has the cutover under way lead all requests to the new
// release; platform.ErrConflict when there is none.
func (c *Client) PromoteCutover(ctx context.Context, app string) (api.Cutover, error) {
	var cutover api.Cutover
	return cutover, c.post(ctx, path("apps", app, "cutover", "promote"), nil, &cutover)
}

// AbortCutover has it led back; platform.ErrConflict when there is none.
func (c *Client) AbortCutover(ctx context.Context, app string) (api.Cutover, error) {
	var cutover api.Cutover
	return cutover, c.post(ctx, path("apps", app, "cutover", "abort"), nil, &cutover)
}
