package client

import (
	"context"
	"strconv"

	"github.com/slipway-paas/slipway/internal/api"
)

// Builds lists builds, newest first, and counts them.
func (c *Client) Builds(ctx context.Context, app string, limit int) ([]api.Build, int, error) {
	return list[api.Build](ctx, c, path("apps", app, "builds"), limit)
}

// Build is one build.
func (c *Client) Build(ctx context.Context, app, uuid string) (api.Build, error) {
	var build api.Build
	return build, c.get(ctx, path("apps", app, "builds", uuid), &build)
}

// CreateBuild deploys an image as a new release and returns when it serves.
func (c *Client) CreateBuild(ctx context.Context, app string, b api.CreateBuild) (api.Build, error) {
	var build api.Build
	return build, c.deploy(ctx, path("apps", app, "builds"), b, &build)
}

// Releases lists releases, newest first and failed ones included, and counts them.
func (c *Client) Releases(ctx context.Context, app string, limit int) ([]api.Release, int, error) {
	return list[api.Release](ctx, c, path("apps", app, "releases"), limit)
}

// Release is one release.
func (c *Client) Release(ctx context.Context, app string, version int) (api.Release, error) {
	var release api.Release
	return release, c.get(ctx, path("apps", app, "releases", "v"+strconv.Itoa(version)), &release)
}

// Rollback deploys an old release's code and config as a new one and returns
// the new version; version 0 is the release before the current.
func (c *Client) Rollback(ctx context.Context, app string, version int) (int, error) {
	var answer api.RolledBack
	err := c.deploy(ctx, path("apps", app, "releases", "rollback"), api.Rollback{Version: version}, &answer)
	return answer.Version, err
}
