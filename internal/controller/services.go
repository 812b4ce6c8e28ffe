package controller

import (
	"context"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Services lists the path services of the app, newest first.
func (c *Controller) Services(ctx context.Context, caller platform.Caller, app string) ([]platform.Service, error) {
	return nil, errUnbuilt
}

// SetService leads the paths of pattern to a process type and reports whether
// that changed anything.
func (c *Controller) SetService(ctx context.Context, caller platform.Caller, app, process, pattern string) (changed bool, err error) {
	return false, errUnbuilt
}

// RemoveService ends that; ErrNotFound when the process type has none.
func (c *Controller) RemoveService(ctx context.Context, caller platform.Caller, app, process string) error {
	return errUnbuilt
}
