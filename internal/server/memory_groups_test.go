package server_test

import (
	"context"
	"slices"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (d *memoryDesk) group(caller platform.Caller, name string) (int, error) {
	at := slices.IndexFunc(d.groups, func(g controller.GroupStatus) bool {
		return g.Name == name && (g.Owner == caller.User || caller.Admin)
	})
	if at < 0 {
		return 0, &platform.NotFoundError{Kind: "Group", ID: name}
	}
	return at, nil
}

func (d *memoryDesk) Groups(_ context.Context, caller platform.Caller, page platform.Page) ([]platform.ConfigGroup, int, error) {
	var mine []platform.ConfigGroup
	for _, g := range d.groups {
		if g.Owner == caller.User || caller.Admin {
			g.Values = nil
			mine = append(mine, g.ConfigGroup)
		}
	}
	return window(mine, page)
}

func (d *memoryDesk) Group(_ context.Context, caller platform.Caller, name string) (controller.GroupStatus, error) {
	at, err := d.group(caller, name)
	if err != nil {
		return controller.GroupStatus{}, err
	}
	return d.groups[at], nil
}

func (d *memoryDesk) CreateGroup(_ context.Context, caller platform.Caller, name string) (platform.ConfigGroup, error) {
	if err := platform.ValidGroupName(name); err != nil {
		return platform.ConfigGroup{}, err
	}
	group := platform.ConfigGroup{Name: name, Owner: caller.User, Version: 1, Created: born, Updated: born}
	d.groups = append(d.groups, controller.GroupStatus{ConfigGroup: group})
	return group, nil
}

func (d *memoryDesk) SetGroup(_ context.Context, caller platform.Caller, name string, patch map[string]*string) (controller.GroupStatus, []controller.GroupDeploy, error) {
	at, err := d.group(caller, name)
	if err != nil {
		return controller.GroupStatus{}, nil, err
	}
	values := map[string]string{}
	for key, value := range patch {
		if value != nil {
			values[key] = *value
		}
	}
	d.groups[at].Values = values
	d.groups[at].Version++
	var deploys []controller.GroupDeploy
	for _, app := range d.groups[at].Apps {
		deploys = append(deploys, controller.GroupDeploy{App: app.App, Release: 2, Err: &platform.UserError{Kind: platform.ErrInvalid, Message: "(app::deploy): no"}})
	}
	return d.groups[at], deploys, nil
}

func (d *memoryDesk) DestroyGroup(_ context.Context, caller platform.Caller, name string) error {
	at, err := d.group(caller, name)
	if err != nil {
		return err
	}
	if len(d.groups[at].Apps) > 0 {
		return &platform.UserError{Kind: platform.ErrConflict, Message: "Group " + name + " is attached to " + d.groups[at].Apps[0].App + "."}
	}
	d.groups = slices.Delete(d.groups, at, at+1)
	return nil
}

func (d *memoryDesk) GroupsOf(_ context.Context, caller platform.Caller, id string) ([]controller.AppOfGroup, error) {
	if _, err := d.of(caller, id, platform.RoleViewer); err != nil {
		return nil, err
	}
	var all []controller.AppOfGroup
	for _, g := range d.groups {
		for _, a := range g.Apps {
			if a.App == id {
				a.Version = g.Version
				all = append(all, a)
			}
		}
	}
	return all, nil
}

func (d *memoryDesk) AttachGroup(_ context.Context, caller platform.Caller, id, name string) (controller.AppOfGroup, error) {
	app, err := d.of(caller, id, platform.RoleOperator)
	if err != nil {
		return controller.AppOfGroup{}, err
	}
	at, err := d.group(caller, name)
	if err != nil {
		return controller.AppOfGroup{}, err
	}
	g := d.groups[at]
	attached := controller.AppOfGroup{App: id, Group: name, Version: g.Version, Has: g.Version}
	d.groups[at].Apps = append(g.Apps, attached)
	app.config.Groups = append(app.config.Groups, platform.GroupValues{Name: name, Version: g.Version, Values: g.Values})
	return attached, nil
}

func (d *memoryDesk) DetachGroup(_ context.Context, caller platform.Caller, id, name string) error {
	if _, err := d.of(caller, id, platform.RoleOperator); err != nil {
		return err
	}
	for at := range d.groups {
		before := len(d.groups[at].Apps)
		d.groups[at].Apps = slices.DeleteFunc(d.groups[at].Apps, func(a controller.AppOfGroup) bool { return a.App == id && a.Group == name })
		if len(d.groups[at].Apps) < before {
			return nil
		}
	}
	return &platform.NotFoundError{Kind: "Group", ID: name}
}
