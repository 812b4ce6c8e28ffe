package client

import (
	"context"
	"strconv"

	"github.com/slipway-paas/slipway/internal/api"
)

// Ports are the ports of the edge that lead to the app, in order.
func (c *Client) Ports(ctx context.Context, app string) ([]api.Port, error) {
	var all api.Ports
	err := c.get(ctx, path("apps", app, "ports"), &all)
	return orNone(all.Ports), err
}

// AddPort leads a port of the edge to a port of a process type, and returns
// when its instances are up with it.
func (c *Client) AddPort(ctx context.Context, app string, wish api.AddPort) (api.Port, error) {
	var port api.Port
	return port, c.deploy(ctx, path("apps", app, "ports"), wish, &port)
}

// RemovePort takes it from the app; platform.ErrNotFound when it has it not.
func (c *Client) RemovePort(ctx context.Context, app string, listen int) error {
	return c.delete(ctx, path("apps", app, "ports", strconv.Itoa(listen)), quick)
}
