package client

import (
	"context"
	"net/url"
	"time"

	"github.com/slipway-paas/slipway/internal/api"
)

// Tokens lists the user's named tokens, without their secrets.
func (c *Client) Tokens(ctx context.Context, limit int) ([]api.NamedToken, int, error) {
	return list[api.NamedToken](ctx, c, path("tokens"), limit)
}

// CreateToken makes a named token. Its secret is in this answer alone.
func (c *Client) CreateToken(ctx context.Context, t api.CreateToken) (api.CreatedToken, error) {
	var created api.CreatedToken
	return created, c.post(ctx, path("tokens"), t, &created)
}

// RevokeToken ends a named token at once.
func (c *Client) RevokeToken(ctx context.Context, name string) error {
	return c.delete(ctx, bare("tokens", name), quick)
}

// AuditQuery chooses events; empty fields choose all.
type AuditQuery struct {
	App, User, Event string
	Since, Until     time.Time
}

func (q AuditQuery) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{"app": q.App, "user": q.User, "event": q.Event} {
		if value != "" {
			v.Set(name, value)
		}
	}
	for name, at := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !at.IsZero() {
			v.Set(name, at.UTC().Format(api.TimeLayout))
		}
	}
	return v
}

// Audit lists who changed what, newest first: of an app for those who may
// administer it, of everything for administrators.
func (c *Client) Audit(ctx context.Context, q AuditQuery, limit int) ([]api.AuditEvent, int, error) {
	return filtered[api.AuditEvent](ctx, c, path("audit"), q.values(), limit)
}
