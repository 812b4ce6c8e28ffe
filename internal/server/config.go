package server

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (s *server) getConfig(c *call) (answer, error) {
	config, err := s.desk.Config(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	return ok(wireConfig(config))
}

func (s *server) setConfig(c *call) (answer, error) {
	f := c.body
	patch := controller.ConfigPatch{
		Values: f.patch("values", checkValue),
		Memory: f.patch("memory", checkMemory),
		CPU:    f.patch("cpu", checkCPU),
		Grace:  f.patch("termination_grace_period", checkGrace),
		Tags:   f.patch("tags", checkTag),

		Registry:  f.lowered("registry", f.patch("registry", checkRegistry)),
		PostStart: f.patch("lifecycle_post_start", checkHook),
		PreStop:   f.patch("lifecycle_pre_stop", checkHook),
	}
	health := f.healthchecks()
	legacyHealthcheck(&f, &patch, health)
	if err := f.err(); err != nil {
		return answer{}, err
	}
	patch.Healthchecks = health
	config, err := s.desk.SetConfig(c.ctx(), c.caller, c.app(), patch)
	if err != nil {
		return answer{}, err
	}
	return created(wireConfig(config))
}

// patch reads a map of texts in which null removes, and checks what is set.
func (f *fields) patch(name string, check func(key, value string) string) map[string]*string {
	object, _ := f.object(name)
	patch := make(map[string]*string, len(object))
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if null(object[key]) {
			patch[key] = nil
			continue
		}
		value, message := configText(object[key])
		if message == "" {
			message = check(key, value)
		}
		if message != "" {
			f.reject(name, message)
		}
		patch[key] = &value
	}
	return patch
}

// configText turns a scalar into the string it is stored as: 2 is "2" and
// true is "True", as Deis' clients see them.
func configText(raw json.RawMessage) (text, message string) {
	switch string(raw) {
	case "true":
		return "True", ""
	case "false":
		return "False", ""
	}
	return scalar(raw)
}

func checkValue(key, value string) string {
	if err := platform.ValidConfigVar(key, value); err != nil {
		return messageOf(err)
	}
	return checkLegacy(key, value)
}

func checkMemory(process, value string) string {
	_, err := platform.ParseMemory(value)
	return checkProcess(process, err)
}

func checkCPU(process, value string) string {
	_, err := platform.ParseCPU(value)
	return checkProcess(process, err)
}

// maxGrace bounds the seconds between SIGTERM and SIGKILL: a day.
const maxGrace = 24 * 60 * 60

func checkGrace(process, value string) string {
	if !digits(value) {
		return checkProcess(process, fieldError("", "Termination Grace Period format: <value>, where value must be a numeric"))
	}
	if n, err := strconv.Atoi(value); err != nil || n > maxGrace {
		return checkProcess(process, fieldError("", "A termination grace period is at most %d seconds", maxGrace))
	}
	return checkProcess(process, nil)
}

// checkProcess looks at the process type first, then at its value's error.
func checkProcess(process string, value error) string {
	if !platform.ValidProcessType(process) {
		return badProcessType
	}
	return messageOf(value)
}

func messageOf(err error) string {
	for _, wrong := range fieldErrors(err) {
		return wrong.Message
	}
	return ""
}

func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

func wireConfig(c platform.Config) api.Config {
	health := make(map[string]api.Healthcheck, len(c.Healthchecks))
	for process, h := range c.Healthchecks {
		health[process] = api.Healthcheck{Liveness: wireProbe(h.Liveness), Readiness: wireProbe(h.Readiness)}
	}
	return api.Config{
		UUID: c.UUID, App: c.App, Owner: c.Owner,
		Values: texts(c.Values), Memory: texts(c.Memory), CPU: texts(c.CPU), Grace: texts(c.Grace),
		Tags: texts(c.Tags), Registry: texts(c.Registry), Healthcheck: health,
		PostStart: texts(c.PostStart), PreStop: texts(c.PreStop), Groups: wireGroups(c.Groups),
		Created: api.At(c.Created), Updated: api.At(c.Updated),
	}
}

// wireGroups is nil without any, so that a config has the contract's fields alone.
func wireGroups(groups []platform.GroupValues) []api.ConfigGroup {
	var wire []api.ConfigGroup
	for _, g := range groups {
		wire = append(wire, api.ConfigGroup{Name: g.Name, Version: g.Version, Values: texts(g.Values)})
	}
	return wire
}

// texts is m, never nil.
func texts(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
