package client

import (
	"context"

	"github.com/slipway-paas/slipway/internal/api"
)

// Platform says where the platform's parts are.
func (c *Client) Platform(ctx context.Context) (api.Platform, error) {
	var p api.Platform
	return p, c.get(ctx, bare("platform"), &p)
}

// Doctor is the platform's own examination, for administrators.
func (c *Client) Doctor(ctx context.Context) ([]api.Finding, error) {
	var findings []api.Finding
	return findings, c.get(ctx, bare("doctor"), &findings)
}
