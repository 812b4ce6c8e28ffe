package controller

import (
	"context"

	"github.com/slipway-paas/slipway/internal/platform"
)

// TLS says how the app treats plain HTTP.
func (c *Controller) TLS(ctx context.Context, caller platform.Caller, app string) (platform.TLS, error) {
	return platform.TLS{}, errUnbuilt
}

// SetTLS changes that. ErrConflict when it is so already.
func (c *Controller) SetTLS(ctx context.Context, caller platform.Caller, app string, enforced bool) (platform.TLS, error) {
	return platform.TLS{}, errUnbuilt
}
