package client

import (
	"context"

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
