package client

import (
	"context"
	"net/http"

	"github.com/slipway-paas/slipway/internal/api"
)

// Groups lists the user's config groups, without their values.
func (c *Client) Groups(ctx context.Context, limit int) ([]api.Group, int, error) {
	return list[api.Group](ctx, c, path("groups"), limit)
}

// CreateGroup makes an empty one.
func (c *Client) CreateGroup(ctx context.Context, name string) (api.Group, error) {
	var group api.Group
	return group, c.post(ctx, path("groups"), api.CreateGroup{Name: name}, &group)
}

// Group is one with its values and its apps.
func (c *Client) Group(ctx context.Context, name string) (api.Group, error) {
	var group api.Group
	return group, c.get(ctx, path("groups", name), &group)
}

// SetGroup changes values and returns when all of the group's apps serve them,
// or have said why they do not.
func (c *Client) SetGroup(ctx context.Context, name string, values map[string]*string) (api.GroupChanged, error) {
	var changed api.GroupChanged
	return changed, c.deploy(ctx, path("groups", name), api.SetGroup{Values: values}, &changed)
}

// DestroyGroup removes one that is attached to no app; else platform.ErrConflict.
func (c *Client) DestroyGroup(ctx context.Context, name string) error {
	return c.delete(ctx, path("groups", name), quick)
}

// AppGroups are the groups that are attached to an app, in their order.
func (c *Client) AppGroups(ctx context.Context, app string) ([]api.AppGroup, error) {
	var all api.List[api.AppGroup]
	err := c.get(ctx, path("apps", app, "groups"), &all)
	return orNone(all.Results), err
}

// AttachGroup attaches one as a new release and returns when it serves.
func (c *Client) AttachGroup(ctx context.Context, app, name string) (api.AppGroup, error) {
	var group api.AppGroup
	return group, c.deploy(ctx, path("apps", app, "groups"), api.AttachGroup{Group: name}, &group)
}

// DetachGroup detaches one as a new release and returns when it serves.
func (c *Client) DetachGroup(ctx context.Context, app, name string) error {
	return c.do(ctx, request{method: http.MethodDelete, path: path("apps", app, "groups", name), wait: deploying})
}
