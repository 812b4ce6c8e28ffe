package server

import (
	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (s *server) getSettings(c *call) (answer, error) {
	settings, err := s.desk.Settings(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	return ok(wireSettings(settings))
}

func (s *server) setSettings(c *call) (answer, error) {
	f := c.body
	patch := controller.SettingsPatch{Maintenance: f.boolean("maintenance"), Routable: f.boolean("routable")}
	if f.has("deploy_branch") {
		branch := f.optional("deploy_branch")
		patch.DeployBranch = &branch
	}
	for _, name := range []string{"whitelist", "autoscale", "label"} {
		if f.has(name) {
			f.reject(name, "This platform has no "+name+" yet.")
		}
	}
	if err := f.err(); err != nil {
		return answer{}, err
	}
	settings, err := s.desk.SetSettings(c.ctx(), c.caller, c.app(), patch)
	if err != nil {
		return answer{}, err
	}
	return created(wireSettings(settings))
}

func wireSettings(s platform.Settings) api.Settings {
	return api.Settings{
		UUID: s.UUID, App: s.App, Owner: s.Owner, Maintenance: s.Maintenance, Routable: s.Routable,
		Autoscale: map[string]api.Autoscale{}, Label: map[string]any{}, Whitelist: []string{},
		DeployBranch: s.DeployBranch, Created: api.At(s.Created), Updated: api.At(s.Updated),
	}
}
