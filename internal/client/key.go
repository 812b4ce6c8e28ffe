package client

import (
	"context"

	"github.com/slipway-paas/slipway/internal/api"
)

// Keys lists the user's SSH keys.
func (c *Client) Keys(ctx context.Context, limit int) ([]api.Key, int, error) {
	return list[api.Key](ctx, c, path("keys"), limit)
}

// Key is one of the user's SSH keys.
func (c *Client) Key(ctx context.Context, id string) (api.Key, error) {
	var key api.Key
	return key, c.get(ctx, bare("keys", id), &key)
}

// AddKey lets a public key, one authorized_keys line, push as the user.
func (c *Client) AddKey(ctx context.Context, id, public string) (api.Key, error) {
	var key api.Key
	return key, c.post(ctx, path("keys"), api.CreateKey{ID: id, Public: public}, &key)
}

// RemoveKey forgets a key.
func (c *Client) RemoveKey(ctx context.Context, id string) error {
	return c.delete(ctx, bare("keys", id), quick)
}
