package controller

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// NewBuild is an image that somebody names.
type NewBuild struct {
	Image, SHA, Dockerfile string
	Procfile               map[string]string
}

// reservedRepositories nobody deploys from (Deis contract 2.4).
var reservedRepositories = []string{
	"builder", "controller", "database", "dockerbuilder", "etcd", "minio", "registry", "router",
	"slugbuilder", "slugrunner", "workflow", "workflow-manager",
}

// CreateBuild deploys an image as a new release and returns both once it
// serves. An image that the platform's registry has is deployed again, for
// whoever may deploy from its app: blog@sha256:…, blog:v3 for what release v3
// of blog runs, blog:latest, and any tag that was pushed there. Any other is
// pulled from its registry first, however long that takes, and pinned: what
// cannot be had, or nobody could send requests to, makes no build and no
// release. The work goes on when ctx ends.
//
// Errors that concern the image or the deploy are ErrInvalid, another release
// or pull under way among them; a lost Procfile is ErrConflict where Options
// refuse it.
func (c *Controller) CreateBuild(ctx context.Context, caller platform.Caller, app string, build NewBuild) (made platform.Build, release platform.Release, err error) {
	if err := validImage(build.Image); err != nil {
		return platform.Build{}, platform.Release{}, err
	}
	err = c.mayBuild(ctx, caller, app)
	var done func()
	if err == nil {
		done, err = c.lockPull(ctx, app)
	}
	if err == nil {
		err = c.onward(ctx, func(ctx context.Context) error {
			defer done()
			b, r, err := c.createBuild(ctx, caller, app, build)
			if err == nil {
				made, release = b, r // nobody reads them after an error
			}
			return err
		})
	}
	if errors.Is(err, platform.ErrBusy) {
		err = platform.Invalid("", "%s", err) // Deis contract 7: 400 for builds
	}
	if err != nil {
		return platform.Build{}, platform.Release{}, err
	}
	return made, release, nil
}

// createBuild has the image first, then writes build and release.
func (c *Controller) createBuild(ctx context.Context, caller platform.Caller, app string, asked NewBuild) (platform.Build, platform.Release, error) {
	image, err := c.obtain(ctx, caller, app, asked)
	if err != nil {
		return platform.Build{}, platform.Release{}, err
	}
	var made platform.Build
	release, err := c.newRelease(ctx, caller, app, platform.RoleDeployer, func(tx *store.Tx, current *deployable) (platform.Release, error) {
		if made, err = c.imageBuild(caller, app, asked, image, current); err != nil {
			return platform.Release{}, err
		}
		return insertBuild(tx, caller, current, made)
	})
	if err != nil {
		return platform.Build{}, platform.Release{}, err
	}
	c.noteBuild(made, release)
	c.attest(made, nil)
	release, err = c.outcome(ctx, app, release.Version)
	return made, release, err
}

// validImage refuses what can be no image, and what is the platform's.
func validImage(image string) error {
	switch {
	case image == "":
		return platform.Invalid("image", "This field may not be blank.")
	case len(image) > 1000 || strings.ContainsFunc(image, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return platform.Invalid("image", "The given image is invalid")
	}
	repository := image
	if slash := strings.LastIndexByte(image, '/'); strings.ContainsAny(image[slash+1:], ":@") {
		repository = image[:slash+1+strings.IndexAny(image[slash+1:], ":@")]
	}
	if name, ok := strings.CutPrefix(repository, "deis/"); ok && slices.Contains(reservedRepositories, name) {
		return platform.Invalid("", "Repository name %s is not allowed, as it is reserved by Deis", repository)
	}
	return nil
}

var ownImageForm = regexp.MustCompile(`^([a-z][a-z0-9-]*)(@sha256:[0-9a-f]{64}|:v[1-9][0-9]{0,8}|:latest)$`)

// ownImage is the build that made an image of the platform's own registry, if
// the caller may deploy from its app; else nil, for what others have is not
// told. An app that was renamed has images under its former id as well, so
// that those of the target itself are known by their digest alone.
func ownImage(tx *store.Tx, caller platform.Caller, target, image string) (*platform.Build, error) {
	parts := ownImageForm.FindStringSubmatch(image)
	if parts == nil {
		return nil, nil
	}
	app, which := parts[1], parts[2]
	if which[0] == '@' {
		build, err := buildOf(tx, target, image)
		if build != nil || err != nil || app == target {
			return build, err
		}
	}
	if _, err := may(tx, caller, app, platform.RoleDeployer); err != nil {
		return nil, unless(err, platform.ErrNotFound, platform.ErrForbidden)
	}
	if which[0] == '@' {
		return buildOf(tx, app, image)
	}
	return taggedBuild(tx, app, which[1:])
}

// taggedBuild is what the app's release of that tag runs, or nil.
func taggedBuild(tx *store.Tx, app, tag string) (*platform.Build, error) {
	release, err := tx.CurrentRelease(app)
	if tag != "latest" {
		var version int
		if version, err = platform.ParseReleaseTag(tag); err == nil {
			release, err = tx.Release(app, version)
		}
	}
	if err != nil || release.Build == "" {
		return nil, unless(err, platform.ErrNotFound, platform.ErrInvalid)
	}
	build, err := tx.Build(app, release.Build)
	if err != nil || !ownImageForm.MatchString(build.Image) {
		return nil, err
	}
	return &build, nil
}

// buildOf is a build of the app with that image which has served, or nil. One
// that has not may be anybody's digest that somebody wrote down.
func buildOf(tx *store.Tx, app, image string) (*platform.Build, error) {
	served := make(map[string]bool)
	err := pages(func(page platform.Page) ([]platform.Release, int, error) { return tx.Releases(app, page) },
		func(r platform.Release) bool {
			served[r.Build] = served[r.Build] || r.State == platform.ReleaseSucceeded
			return true
		})
	if err != nil {
		return nil, err
	}
	var found *platform.Build
	err = pages(func(page platform.Page) ([]platform.Build, int, error) { return tx.Builds(app, page) },
		func(b platform.Build) bool {
			if b.Image == image && served[b.UUID] {
				found = &b
			}
			return found == nil
		})
	return found, err
}

// pages hands every item of a list to each, until that reports false.
func pages[T any](list func(platform.Page) ([]T, int, error), each func(T) bool) error {
	for page := (platform.Page{Limit: platform.DefaultPage}); ; page.Offset += page.Limit {
		items, count, err := list(page)
		if err != nil {
			return err
		}
		for _, item := range items {
			if !each(item) {
				return nil
			}
		}
		if page.Offset+page.Limit >= count {
			return nil
		}
	}
}

// unless is err, or nil when it is of one of the kinds.
func unless(err error, kinds ...error) error {
	if slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) }) {
		return nil
	}
	return err
}

// imageBuild is the row for what was asked, of what was had. A Procfile that
// was not given is that of the push that made the image.
func (c *Controller) imageBuild(caller platform.Caller, app string, asked NewBuild, image platform.Build, current *deployable) (platform.Build, error) {
	now := time.Now().Truncate(time.Microsecond).UTC() // builds are listed by it
	build := platform.Build{
		UUID: uuid.NewString(), App: app, Owner: caller.User, Source: asked.Image, SHA: asked.SHA, Dockerfile: asked.Dockerfile,
		Image: image.Image, Kind: image.Kind, Stack: image.Stack, Ports: image.Ports, Size: image.Size,
		Procfile: maps.Clone(asked.Procfile), Created: now, Updated: now,
	}
	if len(build.Procfile) == 0 {
		build.Procfile = maps.Clone(image.Procfile)
	}
	if len(build.Procfile) > 0 || !current.hasBuild() || len(current.build.Procfile) == 0 {
		return build, nil
	}
	if c.options.RejectLostProcfile {
		return platform.Build{}, errLostProcfile
	}
	if c.options.KeepLostProcfile {
		build.Procfile = maps.Clone(current.build.Procfile)
	}
	return build, nil
}

var errLostProcfile error = &platform.UserError{
	Kind:    platform.ErrConflict,
	Message: "Last deployment had a Procfile but is missing in this deploy. For a successful deployment provide a Procfile.",
}

// buildType is how a build came about (Deis contract 2.4).
func buildType(build platform.Build) string {
	switch {
	case build.Dockerfile != "":
		return "dockerfile"
	case build.SHA != "":
		return "buildpack"
	}
	return "image"
}

// defaultFormation is what an app gets with its first build, and anew when the
// type of its builds changes (Deis contract 3.5).
func defaultFormation(build platform.Build) map[string]int {
	_, web := build.Procfile["web"]
	switch {
	case web:
		return map[string]int{"web": 1}
	case buildType(build) != "buildpack":
		return map[string]int{"cmd": 1}
	case len(build.Procfile) > 0:
		return map[string]int{}
	}
	return map[string]int{"web": 1}
}

// firstFormation gives an app its quantities with its first build: also with
// one of another type than all that failed before, as nothing serves yet.
func firstFormation(tx *store.Tx, id string, current *deployable, build platform.Build) error {
	if current.hasBuild() {
		return nil
	}
	app, err := tx.App(id)
	if err != nil {
		return err
	}
	before, err := newestBuild(tx, id)
	switch {
	case err != nil:
		return err
	case len(app.Formation) == 0:
		return tx.SetFormation(id, defaultFormation(build))
	case before != nil && buildType(*before) != buildType(build):
		return tx.SetFormation(id, anew(app.Formation, build))
	}
	return nil
}

// newestBuild is that of the app's newest release, or nil.
func newestBuild(tx *store.Tx, app string) (*platform.Build, error) {
	newest, _, err := tx.Releases(app, platform.Page{Limit: 1})
	if err != nil || len(newest) == 0 || newest[0].Build == "" {
		return nil, err
	}
	build, err := tx.Build(app, newest[0].Build)
	return &build, err
}

// anew is formation once the type of the builds changed.
func anew(formation map[string]int, build platform.Build) map[string]int {
	after := maps.Clone(formation)
	for _, process := range []string{"cmd", "web"} {
		if _, has := after[process]; has {
			after[process] = 0
		}
	}
	maps.Copy(after, defaultFormation(build))
	return after
}

// nextFormation is the formation with which next runs, where formation is that
// of current: process types that current's Procfile has and next's has not go
// to 0, and another type of build begins anew. The app has it once next has
// succeeded, so that current keeps its instances until then.
func nextFormation(formation map[string]int, current, next *deployable) map[string]int {
	after := maps.Clone(formation)
	if after == nil {
		after = make(map[string]int)
	}
	if !next.hasBuild() || !current.hasBuild() {
		return after
	}
	for process := range current.build.Procfile {
		if _, kept := next.build.Procfile[process]; !kept && after[process] > 0 {
			after[process] = 0
		}
	}
	if buildType(current.build) != buildType(next.build) {
		after = anew(after, next.build)
	}
	return after
}
