package server

import (
	"fmt"
	"strings"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

const (
	badProcessType = "Process types can only contain lowercase alphanumeric characters"
	emptyCommand   = "Command can't be empty for process type"
	maxSHA         = 40
)

func (s *server) listBuilds(c *call) (answer, error) {
	builds, count, err := s.desk.Builds(c.ctx(), c.caller, c.app(), c.page())
	if err != nil {
		return answer{}, err
	}
	return list(c, builds, count, wireBuild)
}

func (s *server) getBuild(c *call) (answer, error) {
	build, err := s.desk.Build(c.ctx(), c.caller, c.app(), c.path["uuid"])
	if err != nil {
		return answer{}, err
	}
	return ok(wireBuild(build))
}

// createBuild would deploy an image. Instances run slugs on this machine's own
// system so far, so a request in order is refused with the cure.
func (s *server) createBuild(c *call) (answer, error) {
	f := c.body
	image := f.required("image")
	f.short("sha", maxSHA)
	f.optional("dockerfile")
	procfile, _ := f.optionalObject("procfile")
	for process, raw := range procfile {
		command, message := scalar(raw)
		switch {
		case !platform.ValidProcessType(process):
			f.reject("procfile", badProcessType)
		case message != "" || strings.TrimSpace(command) == "":
			f.reject("procfile", emptyCommand)
		}
	}
	if err := f.err(); err != nil {
		return answer{}, err
	}
	if err := s.desk.May(c.ctx(), c.caller, c.app(), platform.RoleDeployer); err != nil {
		return answer{}, err
	}
	return answer{}, &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: fmt.Sprintf("image %s cannot be deployed: images need a container runtime, and this platform runs slugs.", clip(image)),
		Cure:    "Push the source instead: git push slipway main",
	}
}

func wireBuild(b platform.Build) api.Build {
	if b.Procfile == nil {
		b.Procfile = map[string]string{}
	}
	return api.Build{
		Owner: b.Owner, App: b.App, Image: b.Image, SHA: b.SHA, Procfile: b.Procfile, Dockerfile: b.Dockerfile,
		Created: api.At(b.Created), Updated: api.At(b.Updated), UUID: b.UUID,
	}
}
