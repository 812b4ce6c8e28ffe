// Package controller is the desk: it is handed a caller's wish by a door,
// checks that the caller may, writes the wish and its event in one
// transaction, and makes it true with the stations: builder, scheduler, fleet.
// Every change is a row first; a loop per app makes it so and resumes after a
// crash, so a request may leave while its work goes on.
package controller

import (
	"context"
	"errors"
	"io"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Controller owns the verbs. All are safe for concurrent use; each checks the
// caller's permission first and answers in the kinds of platform's errors.
// Verbs that deploy block until the outcome; when ctx ends they return its
// error and the work goes on.
type Controller struct{}

var errUnbuilt = errors.New("not built yet")

// Authorize returns nil when the caller may push to, change and read app; an
// error matching ErrNotFound when there is no such app, else ErrForbidden.
func (c *Controller) Authorize(ctx context.Context, caller platform.Caller, app string) error {
	return errUnbuilt
}

// CreateApp makes an app owned by the caller with its first release, settings
// and the domain equal to its id. An empty id is replaced by a generated one.
func (c *Controller) CreateApp(ctx context.Context, caller platform.Caller, id string) (platform.App, error) {
	return platform.App{}, errUnbuilt
}

// Apps lists the apps the caller owns or shares, all for an admin, by id, and
// how many there are in all.
func (c *Controller) Apps(ctx context.Context, caller platform.Caller, page platform.Page) ([]platform.App, int, error) {
	return nil, 0, errUnbuilt
}

// App returns one app.
func (c *Controller) App(ctx context.Context, caller platform.Caller, id string) (platform.App, error) {
	return platform.App{}, errUnbuilt
}

// DestroyApp ends everything of an app and forgets it, history and logs
// included. It returns when nothing of it runs. Owner or admin only.
func (c *Controller) DestroyApp(ctx context.Context, caller platform.Caller, id string) error {
	return errUnbuilt
}

// Push builds src and deploys the result, telling the story to out as it
// goes. It returns nil when the new release serves; the build and the deploy
// go on when ctx ends. One push of an app at a time: else ErrBusy.
func (c *Controller) Push(ctx context.Context, caller platform.Caller, app string, src platform.Source, out io.Writer) error {
	return errUnbuilt
}

// Config returns the config of the latest release that did not fail.
func (c *Controller) Config(ctx context.Context, caller platform.Caller, app string) (platform.Config, error) {
	return platform.Config{}, errUnbuilt
}

// ConfigPatch changes a config: given keys are set, nil values remove.
type ConfigPatch struct {
	Values, Memory, CPU, Grace map[string]*string
	Healthchecks               map[string]*platform.Healthcheck
}

// SetConfig merges patch into the current config as a new release and deploys
// it if the app has a build. ErrConflict when it changes nothing,
// ErrUnprocessable when it removes what is not there.
func (c *Controller) SetConfig(ctx context.Context, caller platform.Caller, app string, patch ConfigPatch) (platform.Config, error) {
	return platform.Config{}, errUnbuilt
}

// Builds lists builds, newest first, and how many there are.
func (c *Controller) Builds(ctx context.Context, caller platform.Caller, app string, page platform.Page) ([]platform.Build, int, error) {
	return nil, 0, errUnbuilt
}

// Build returns one build.
func (c *Controller) Build(ctx context.Context, caller platform.Caller, app, uuid string) (platform.Build, error) {
	return platform.Build{}, errUnbuilt
}

// Releases lists releases, newest first, failed ones included, and how many there are.
func (c *Controller) Releases(ctx context.Context, caller platform.Caller, app string, page platform.Page) ([]platform.Release, int, error) {
	return nil, 0, errUnbuilt
}

// Release returns one release.
func (c *Controller) Release(ctx context.Context, caller platform.Caller, app string, version int) (platform.Release, error) {
	return platform.Release{}, errUnbuilt
}

// Rollback makes and deploys a new release with the code and config of an old
// one; version 0 means the one before the current.
func (c *Controller) Rollback(ctx context.Context, caller platform.Caller, app string, version int) (platform.Release, error) {
	return platform.Release{}, errUnbuilt
}

// Scale sets how many instances of some process types run, and returns when
// they do. It makes no release.
func (c *Controller) Scale(ctx context.Context, caller platform.Caller, app string, formation map[string]int) error {
	return errUnbuilt
}

// Instances lists what runs of the app's current release, newest first.
// process and instance narrow the list when not empty.
func (c *Controller) Instances(ctx context.Context, caller platform.Caller, app, process, instance string) ([]platform.Instance, error) {
	return nil, errUnbuilt
}

// Restart replaces instances without dropping a request and returns the
// replacements; none matched is no error. An empty process or instance means all.
func (c *Controller) Restart(ctx context.Context, caller platform.Caller, app, process, instance string) ([]platform.Instance, error) {
	return nil, errUnbuilt
}

// Run runs one command line in a fresh instance of the current release,
// attached to stream, and returns its exit code.
func (c *Controller) Run(ctx context.Context, caller platform.Caller, app, command string, stream platform.IO) (int, error) {
	return 0, errUnbuilt
}

// LogQuery narrows an app's log stream.
type LogQuery struct {
	Lines   int    // last so many; 0 means 100
	Process string // only app lines of this process type, when not empty
	Source  string // platform.LogApp, LogBuild or LogController, when not empty
	Follow  bool   // keep yielding lines as they come
}

// Logs yields the last lines of an app's stream, oldest first, and what comes
// after them when the query follows. It blocks until ctx ends or yield returns
// false.
func (c *Controller) Logs(ctx context.Context, caller platform.Caller, app string, q LogQuery, yield func(platform.LogLine) bool) error {
	return errUnbuilt
}

// Domains lists an app's domains, by name, and how many there are.
func (c *Controller) Domains(ctx context.Context, caller platform.Caller, app string, page platform.Page) ([]platform.Domain, int, error) {
	return nil, 0, errUnbuilt
}

// AddDomain routes a host name to the app.
func (c *Controller) AddDomain(ctx context.Context, caller platform.Caller, app, domain string) (platform.Domain, error) {
	return platform.Domain{}, errUnbuilt
}

// RemoveDomain stops routing a host name to the app. Owner or admin only.
func (c *Controller) RemoveDomain(ctx context.Context, caller platform.Caller, app, domain string) error {
	return errUnbuilt
}

// Settings returns an app's settings.
func (c *Controller) Settings(ctx context.Context, caller platform.Caller, app string) (platform.Settings, error) {
	return platform.Settings{}, errUnbuilt
}

// SettingsPatch changes settings; nil fields stay.
type SettingsPatch struct {
	Maintenance, Routable *bool
	DeployBranch          *string
}

// SetSettings changes settings, without a release. ErrConflict when nothing changes.
func (c *Controller) SetSettings(ctx context.Context, caller platform.Caller, app string, patch SettingsPatch) (platform.Settings, error) {
	return platform.Settings{}, errUnbuilt
}

// Hosts returns the full host names of an app, the first domain first.
func (c *Controller) Hosts(ctx context.Context, caller platform.Caller, app string) ([]string, error) {
	return nil, errUnbuilt
}

// Ready returns nil when the store answers.
func (c *Controller) Ready(ctx context.Context) error { return errUnbuilt }
