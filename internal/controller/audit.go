package controller

import (
	"context"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Audit lists events, newest first, and how many there are in all. Of one app
// for those who may administer it; of all for superusers.
func (c *Controller) Audit(ctx context.Context, caller platform.Caller, query platform.EventQuery) ([]platform.Event, int, error) {
	return nil, 0, errUnbuilt
}

// AppsOf lists the ids of the apps a user may push to, in order.
func (c *Controller) AppsOf(ctx context.Context, user string) ([]string, error) {
	return nil, errUnbuilt
}
