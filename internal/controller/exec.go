package controller

import (
	"context"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Exec runs a command line inside a running instance, attached to stream, and
// blocks until it ends. instance may be short: web-1499930585-14lrg.
func (c *Controller) Exec(ctx context.Context, caller platform.Caller, app, instance, command string, stream platform.IO) (exit int, err error) {
	return 0, errUnbuilt
}
