package client

import (
	"context"

	"github.com/slipway-paas/slipway/internal/api"
)

// Images are what the app's releases run, and what its repositories hold.
func (c *Client) Images(ctx context.Context, app string) (api.Images, error) {
	var images api.Images
	return images, c.get(ctx, path("apps", app, "images"), &images)
}

// Image is one of them, by its digest, with what of it is wasted: the platform
// may read all of its layers for that.
func (c *Client) Image(ctx context.Context, app, digest string) (api.Image, error) {
	var image api.Image
	return image, c.get(ctx, path("apps", app, "images", digest), &image)
}

// CollectImages removes from the registry what nothing needs.
func (c *Client) CollectImages(ctx context.Context, dryRun bool) (api.CollectedImages, error) {
	var found api.CollectedImages
	return found, c.post(ctx, path("images", "gc"), api.CollectImages{DryRun: dryRun}, &found)
}

// SetImageQuota bounds what the app's images may hold, in MiB; 0 is any
// number, and nil what the platform's options say.
func (c *Client) SetImageQuota(ctx context.Context, app string, mib *int64) error {
	return c.post(ctx, path("apps", app, "images", "quota"), api.ImageQuota{MiB: mib}, nil)
}
