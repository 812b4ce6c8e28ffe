package controller

import (
	"context"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Transfer gives the app to another user. Only its owner and superusers may.
// The rows the old owner had of it follow. An empty owner changes nothing.
func (c *Controller) Transfer(ctx context.Context, caller platform.Caller, app, owner string) error {
	return errUnbuilt
}

// Collaborators lists who the app is shared with, by name, without its owner.
func (c *Controller) Collaborators(ctx context.Context, caller platform.Caller, app string) ([]platform.Collaborator, error) {
	return nil, errUnbuilt
}

// Grant shares the app with a user, or changes the role they have. Idempotent.
func (c *Controller) Grant(ctx context.Context, caller platform.Caller, app, user string, role platform.Role) error {
	return errUnbuilt
}

// Revoke ends that. A user who has no role on the app is ErrForbidden.
// Everybody may revoke themselves.
func (c *Controller) Revoke(ctx context.Context, caller platform.Caller, app, user string) error {
	return errUnbuilt
}
