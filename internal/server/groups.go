package server

import (
	"strconv"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (s *server) listGroups(c *call) (answer, error) {
	groups, count, err := s.desk.Groups(c.ctx(), c.caller, c.page())
	if err != nil {
		return answer{}, err
	}
	return list(c, groups, count, wireGroup)
}

func (s *server) createGroup(c *call) (answer, error) {
	f := c.body
	name := f.required("name")
	if err := f.err(); err != nil {
		return answer{}, err
	}
	group, err := s.desk.CreateGroup(c.ctx(), c.caller, name)
	if err != nil {
		return answer{}, err
	}
	return created(wireGroup(group))
}

func (s *server) getGroup(c *call) (answer, error) {
	group, err := s.desk.Group(c.ctx(), c.caller, c.path["name"])
	if err != nil {
		return answer{}, err
	}
	return ok(wireGroupStatus(group))
}

func (s *server) setGroup(c *call) (answer, error) {
	f := c.body
	if !f.has("values") {
		f.reject("values", isRequired)
	}
	patch := f.patch("values", func(key, value string) string { return messageOf(platform.ValidConfigVar(key, value)) })
	if err := f.err(); err != nil {
		return answer{}, err
	}
	group, deploys, err := s.desk.SetGroup(c.ctx(), c.caller, c.path["name"], patch)
	if err != nil {
		return answer{}, err
	}
	changed := api.GroupChanged{Group: wireGroupStatus(group), Deploy: make([]api.GroupDeploy, 0, len(deploys))}
	for _, d := range deploys {
		wire := api.GroupDeploy{App: d.App}
		if d.Release > 0 {
			wire.Release = "v" + strconv.Itoa(d.Release)
		}
		if d.Err != nil {
			wire.Error = words(d.Err, d.Err.Error())
		}
		changed.Deploy = append(changed.Deploy, wire)
	}
	return ok(changed)
}

func (s *server) destroyGroup(c *call) (answer, error) {
	if err := s.desk.DestroyGroup(c.ctx(), c.caller, c.path["name"]); err != nil {
		return answer{}, err
	}
	return noContent()
}

func (s *server) listAppGroups(c *call) (answer, error) {
	groups, err := s.desk.GroupsOf(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	return listPage(c, platform.Page{Limit: platform.MaxGroupsOfApp}, groups, len(groups), wireAppGroup)
}

func (s *server) attachGroup(c *call) (answer, error) {
	f := c.body
	name := f.required("group")
	if err := f.err(); err != nil {
		return answer{}, err
	}
	group, err := s.desk.AttachGroup(c.ctx(), c.caller, c.app(), name)
	if err != nil {
		return answer{}, deploying(err)
	}
	return created(wireAppGroup(group))
}

func (s *server) detachGroup(c *call) (answer, error) {
	if err := s.desk.DetachGroup(c.ctx(), c.caller, c.app(), c.path["name"]); err != nil {
		return answer{}, deploying(err)
	}
	return noContent()
}

func wireGroup(g platform.ConfigGroup) api.Group {
	return api.Group{Name: g.Name, Owner: g.Owner, Version: g.Version, Created: api.At(g.Created), Updated: api.At(g.Updated)}
}

func wireGroupStatus(g controller.GroupStatus) api.Group {
	wire := wireGroup(g.ConfigGroup)
	wire.Values = texts(g.Values)
	for _, app := range g.Apps {
		wire.Apps = append(wire.Apps, wireAppGroup(app))
	}
	return wire
}

func wireAppGroup(a controller.AppOfGroup) api.AppGroup {
	return api.AppGroup{App: a.App, Group: a.Group, Version: a.Version, Has: a.Has, State: a.State()}
}
