package controller

import (
	"context"

	"github.com/slipway-paas/slipway/internal/platform"
)

var errUnbuilt = platform.ErrUnavailable

// Transfer gives the app to another user. Only its owner and superusers may.
// The rows the old owner had of it follow. An empty owner changes nothing.
func (c *Controller) Transfer(ctx context.Context, caller platform.Caller, app, owner string) error {
	return errUnbuilt
}

// Rename gives the app another id without dropping a request, and returns it
// once its instances run under the new one. Old URLs end, custom domains stay.
func (c *Controller) Rename(ctx context.Context, caller platform.Caller, app, id string) (platform.App, error) {
	return platform.App{}, errUnbuilt
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

// NewBuild is an image that somebody names.
type NewBuild struct {
	Image, SHA, Dockerfile string
	Procfile               map[string]string
}

// CreateBuild deploys an image as a new release and returns both once it serves.
func (c *Controller) CreateBuild(ctx context.Context, caller platform.Caller, app string, build NewBuild) (platform.Build, platform.Release, error) {
	return platform.Build{}, platform.Release{}, errUnbuilt
}

// Audit lists events, newest first, and how many there are in all. Of one app
// for those who may administer it; of all for superusers.
func (c *Controller) Audit(ctx context.Context, caller platform.Caller, query platform.EventQuery) ([]platform.Event, int, error) {
	return nil, 0, errUnbuilt
}

// AppsOf lists the ids of the apps a user may push to, in order.
func (c *Controller) AppsOf(ctx context.Context, user string) ([]string, error) {
	return nil, errUnbuilt
}
