package client

import (
	"context"

	"github.com/slipway-paas/slipway/internal/api"
)

// Apps lists what the user owns or shares, by id, and counts all of it.
func (c *Client) Apps(ctx context.Context, limit int) ([]api.App, int, error) {
	return list[api.App](ctx, c, path("apps"), limit)
}

// App is one app, with its URLs.
func (c *Client) App(ctx context.Context, id string) (api.App, error) {
	var app api.App
	return app, c.get(ctx, path("apps", id), &app)
}

// CreateApp makes an app; an empty id lets the platform find a name. It waits
// for the last instances of an app that has just gone from the id.
func (c *Client) CreateApp(ctx context.Context, id string) (api.App, error) {
	var app api.App
	return app, c.deploy(ctx, path("apps"), api.CreateApp{ID: id}, &app)
}

// DestroyApp ends and forgets an app, and returns when nothing of it runs.
func (c *Client) DestroyApp(ctx context.Context, id string) error {
	return c.delete(ctx, path("apps", id), deploying)
}

// Scale sets how many of some process types run, and returns when they do.
func (c *Client) Scale(ctx context.Context, id string, formation api.Scale) error {
	return c.deploy(ctx, path("apps", id, "scale"), formation, nil)
}

// Transfer gives the app to another user.
func (c *Client) Transfer(ctx context.Context, id, owner string) error {
	return c.post(ctx, path("apps", id), api.Transfer{Owner: owner}, nil)
}

// Rename gives the app another id, and returns it once it runs under that.
func (c *Client) Rename(ctx context.Context, id, to string) (api.App, error) {
	var app api.App
	return app, c.deploy(ctx, path("apps", id, "rename"), api.Rename{ID: to}, &app)
}
