package controller

import (
	"context"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Rename gives the app another id without dropping a request, and returns it
// once its instances run under the new one. Old URLs end, custom domains stay.
func (c *Controller) Rename(ctx context.Context, caller platform.Caller, app, id string) (platform.App, error) {
	return platform.App{}, errUnbuilt
}
