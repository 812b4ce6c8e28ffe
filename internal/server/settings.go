package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

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
	patch := controller.SettingsPatch{
		Maintenance: f.boolean("maintenance"), Routable: f.boolean("routable"),
		Whitelist: f.texts("whitelist"), Labels: f.labels(), Autoscale: f.autoscale(),
	}
	if f.has("deploy_branch") {
		branch := f.optional("deploy_branch")
		patch.DeployBranch = &branch
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

// labels reads any JSON values by name; nil removes.
func (f *fields) labels() map[string]*json.RawMessage {
	object, ok := f.object("label")
	if !ok {
		return nil
	}
	labels := make(map[string]*json.RawMessage, len(object))
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if message := checkKey(key); message != "" {
			f.reject("label", message)
		}
		value := object[key]
		switch {
		case null(value):
			labels[key] = nil
		case strings.Contains(string(value), `\u0000`):
			f.reject("label", isNUL)
		default:
			labels[key] = &value
		}
	}
	return labels
}

// autoscale reads bounds by process type; nil removes.
func (f *fields) autoscale() map[string]*platform.Autoscale {
	object, ok := f.object("autoscale")
	if !ok {
		return nil
	}
	scales := make(map[string]*platform.Autoscale, len(object))
	for _, process := range slices.Sorted(maps.Keys(object)) {
		switch {
		case !platform.ValidProcessType(process):
			f.reject("autoscale", badProcessType)
		case null(object[process]):
			scales[process] = nil
		default:
			scale, reason := parseAutoscale(object[process])
			if reason != "" {
				f.reject("autoscale", unfit(object[process], reason))
			}
			scales[process] = &scale
		}
	}
	return scales
}

func parseAutoscale(raw json.RawMessage) (platform.Autoscale, string) {
	var a platform.Autoscale
	reason := properties(raw, map[string]reader{
		"min": integer(&a.Min), "max": integer(&a.Max), "cpu_percent": integer(&a.CPUPercent),
	}, "min", "max", "cpu_percent")
	switch {
	case reason != "":
	case a.Min < 1 || a.Max > platform.MaxInstances:
		reason = fmt.Sprintf("'min' and 'max' must be between 1 and %d", platform.MaxInstances)
	case a.Min > a.Max:
		reason = "'min' is more than 'max'"
	case a.CPUPercent < 1 || a.CPUPercent > maxPercent:
		reason = fmt.Sprintf("'cpu_percent' must be between 1 and %d", maxPercent)
	}
	return a, reason
}

// maxPercent is more than 100: an instance may use more than it requested.
const maxPercent = 1000

func wireSettings(s platform.Settings) api.Settings {
	body := api.Settings{
		UUID: s.UUID, App: s.App, Owner: s.Owner, Maintenance: s.Maintenance, Routable: s.Routable,
		Autoscale: make(map[string]api.Autoscale, len(s.Autoscale)), Label: make(map[string]any, len(s.Labels)),
		Whitelist: some(s.Whitelist), DeployBranch: s.DeployBranch,
		Created: api.At(s.Created), Updated: api.At(s.Updated),
	}
	for process, scale := range s.Autoscale {
		body.Autoscale[process] = api.Autoscale(scale)
	}
	for name, value := range s.Labels {
		body.Label[name] = value
	}
	return body
}
