package client

import (
	"context"
	"maps"

	"github.com/slipway-paas/slipway/internal/api"
)

// Perms are who the app is shared with, and how much each may do.
func (c *Client) Perms(ctx context.Context, app string) (api.Perms, error) {
	p := api.Perms{Users: []string{}, Roles: map[string]string{}}
	if err := c.get(ctx, path("apps", app, "perms"), &p); err != nil {
		return p, err
	}
	// A platform of Deis knows one role, which it does not name.
	roles := make(map[string]string, len(p.Users))
	for _, user := range p.Users {
		roles[user] = "operator"
	}
	maps.Copy(roles, p.Roles)
	return api.Perms{Users: orNone(p.Users), Roles: roles}, nil
}

// Grant shares the app with a user, or changes their role.
func (c *Client) Grant(ctx context.Context, app string, g api.Grant) error {
	return c.post(ctx, path("apps", app, "perms"), g, nil)
}

// Revoke ends that; platform.ErrForbidden for a user who has no role on it.
func (c *Client) Revoke(ctx context.Context, app, username string) error {
	return c.delete(ctx, bare("apps", app, "perms", username), quick)
}

// Users lists everybody, for administrators.
func (c *Client) Users(ctx context.Context, limit int) ([]api.User, int, error) {
	return list[api.User](ctx, c, path("users"), limit)
}

// Admins lists the administrators of the platform, for one of them.
func (c *Client) Admins(ctx context.Context, limit int) ([]api.Admin, int, error) {
	return list[api.Admin](ctx, c, path("admin", "perms"), limit)
}

// MakeAdmin makes a user an administrator of the platform. Idempotent.
func (c *Client) MakeAdmin(ctx context.Context, username string) error {
	return c.post(ctx, path("admin", "perms"), api.MakeAdmin{Username: username}, nil)
}

// UnmakeAdmin ends that. Idempotent.
func (c *Client) UnmakeAdmin(ctx context.Context, username string) error {
	return c.delete(ctx, bare("admin", "perms", username), quick)
}
