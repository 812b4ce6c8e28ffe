package server

import (
	"cmp"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

const (
	badProcessType = "Process types can only contain lowercase alphanumeric characters"
	emptyCommand   = "Command can't be empty for process type"
	maxSHA         = 40
	maxImage       = 1024
)

// imageForm is what any reference to an image looks like; who pulls it knows
// more. It has no place for a password: builds are shown to viewers.
var imageForm = regexp.MustCompile(`^\w[\w./:+-]*(@\w+:[0-9a-f]+)?$`)

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

// createBuild deploys an image and answers when it serves.
func (s *server) createBuild(c *call) (answer, error) {
	f := c.body
	image := f.build()
	if err := f.err(); err != nil {
		return answer{}, err
	}
	build, _, err := s.desk.CreateBuild(c.ctx(), c.caller, c.app(), image)
	if err != nil {
		return answer{}, deploying(err)
	}
	return created(wireBuild(build))
}

// build reads an image and what belongs to it.
func (f *fields) build() controller.NewBuild {
	build := controller.NewBuild{Image: f.required("image"), SHA: f.short("sha", maxSHA), Dockerfile: f.optional("dockerfile")}
	f.short("image", maxImage)
	if build.Image != "" && (!imageForm.MatchString(build.Image) || strings.Contains(build.Image, "//")) {
		f.reject("image", "The given image is invalid")
	}
	procfile, _ := f.optionalObject("procfile")
	build.Procfile = make(map[string]string, len(procfile))
	for _, process := range slices.Sorted(maps.Keys(procfile)) {
		command, message := scalar(procfile[process])
		switch {
		case !platform.ValidProcessType(process):
			f.reject("procfile", badProcessType)
		case message != "" || strings.TrimSpace(command) == "":
			f.reject("procfile", emptyCommand)
		}
		build.Procfile[process] = command
	}
	return build
}

// deploying is how a build says that another deploy is under way: as a wrong
// request, where every other verb says conflict.
func deploying(err error) error {
	if errors.Is(err, platform.ErrBusy) {
		return fieldError("", "%s", words(err, err.Error()))
	}
	return err
}

func wireBuild(b platform.Build) api.Build {
	if b.Procfile == nil {
		b.Procfile = map[string]string{}
	}
	return api.Build{
		Owner: b.Owner, App: b.App, Image: cmp.Or(b.Source, b.Image), SHA: b.SHA, Procfile: b.Procfile, Dockerfile: b.Dockerfile,
		Pinned: b.Image, Kind: cmp.Or(string(b.Kind), string(platform.ImageSlug)), Ports: b.Ports, Size: b.Size, Stack: b.Stack,
		Created: api.At(b.Created), Updated: api.At(b.Updated), UUID: b.UUID,
	}
}
