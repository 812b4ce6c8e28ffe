package server_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

var born = time.Date(2016, 10, 18, 20, 29, 38, 0, time.UTC)

// memoryDesk keeps apps in a map and runs nothing. What it answers is what
// the controller answers.
type memoryDesk struct {
	memoryStacks

	mu    sync.Mutex
	apps  map[string]*memoryApp
	certs []platform.Certificate
	trail []platform.Event
	down  error // what Ready says
	// follow feeds Logs of a query that follows, until it is closed.
	follow chan platform.LogLine
	// panics makes App do so.
	panics any
	memoryCrons
	groups []controller.GroupStatus
}

type memoryApp struct {
	edge      platform.Edge
	app       platform.App
	config    platform.Config
	releases  []platform.Release
	builds    []platform.Build
	domains   []platform.Domain
	settings  platform.Settings
	instances []platform.Instance
	shared    map[string]platform.Role
	tls       platform.TLS
	services  []platform.Service
	lines     []platform.LogLine
}

func newMemoryDesk() *memoryDesk {
	return &memoryDesk{apps: map[string]*memoryApp{}, follow: make(chan platform.LogLine)}
}

// of is the app when the caller's role on it covers need.
func (d *memoryDesk) of(caller platform.Caller, id string, need platform.Role) (*memoryApp, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	app := d.apps[id]
	if app == nil {
		return nil, &platform.NotFoundError{Kind: "App", ID: id}
	}
	role := app.shared[caller.User]
	if caller.Admin || caller.User == app.app.Owner {
		role = platform.RoleOwner
	}
	if !role.Covers(need) || !caller.Scope.Allows(id, need) {
		return nil, fmt.Errorf("app %s: %w", id, platform.ErrForbidden)
	}
	return app, nil
}

// window cuts a page out of all.
func window[T any](all []T, page platform.Page) ([]T, int, error) {
	from := min(page.Offset, len(all))
	return all[from : from+min(page.Limit, len(all)-from)], len(all), nil
}

func (d *memoryDesk) May(_ context.Context, caller platform.Caller, app string, need platform.Role) error {
	_, err := d.of(caller, app, need)
	return err
}

func (d *memoryDesk) Ready(context.Context) error { return d.down }

func (d *memoryDesk) CreateApp(_ context.Context, caller platform.Caller, id string) (platform.App, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id == "" {
		id = fmt.Sprintf("dainty-%d", len(d.apps))
	}
	if err := platform.ValidAppID(id); err != nil {
		return platform.App{}, err
	}
	if d.apps[id] != nil {
		return platform.App{}, platform.Invalid("id", "Application with this id already exists.")
	}
	d.apps[id] = &memoryApp{
		app:      platform.App{UUID: "app-uuid", ID: id, Owner: caller.User, Created: born, Updated: born},
		config:   platform.Config{UUID: "config-uuid", App: id, Owner: caller.User, Created: born, Updated: born},
		shared:   map[string]platform.Role{},
		tls:      platform.TLS{UUID: "tls-uuid", App: id, Owner: caller.User, Created: born, Updated: born},
		settings: platform.Settings{UUID: "settings-uuid", App: id, Owner: caller.User, Routable: true, Created: born, Updated: born},
		domains:  []platform.Domain{{Domain: id, App: id, Owner: caller.User, Created: born, Updated: born}},
		releases: []platform.Release{{
			UUID: "release-uuid", App: id, Owner: caller.User, Version: 1, State: platform.ReleaseSucceeded,
			Summary: caller.User + " created initial release", Config: "config-uuid", Created: born, Updated: born,
		}},
	}
	return d.apps[id].app, nil
}

func (d *memoryDesk) Apps(_ context.Context, caller platform.Caller, page platform.Page) ([]platform.App, int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []platform.App
	for _, app := range d.apps {
		if caller.Admin || app.app.Owner == caller.User || app.shared[caller.User] != "" {
			all = append(all, app.app)
		}
	}
	slices.SortFunc(all, func(a, b platform.App) int { return cmp.Compare(a.ID, b.ID) })
	return window(all, page)
}

func (d *memoryDesk) App(_ context.Context, caller platform.Caller, id string) (platform.App, error) {
	if d.panics != nil {
		panic(d.panics)
	}
	app, err := d.of(caller, id, platform.RoleViewer)
	if err != nil {
		return platform.App{}, err
	}
	return app.app, nil
}

func (d *memoryDesk) DestroyApp(_ context.Context, caller platform.Caller, id string) error {
	if _, err := d.of(caller, id, platform.RoleAdmin); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.apps, id)
	return nil
}

func (d *memoryDesk) Hosts(_ context.Context, caller platform.Caller, id string) ([]string, error) {
	app, err := d.of(caller, id, platform.RoleViewer)
	if err != nil {
		return nil, err
	}
	var hosts []string
	for _, domain := range app.domains {
		host := domain.Domain
		if !strings.Contains(host, ".") {
			host += ".localhost"
		}
		hosts = append(hosts, host)
	}
	return hosts, nil
}

func (d *memoryDesk) Config(_ context.Context, caller platform.Caller, id string) (platform.Config, error) {
	app, err := d.of(caller, id, platform.RoleOperator)
	if err != nil {
		return platform.Config{}, err
	}
	return app.config, nil
}

func (d *memoryDesk) SetConfig(_ context.Context, caller platform.Caller, id string, patch controller.ConfigPatch) (platform.Config, error) {
	app, err := d.of(caller, id, platform.RoleOperator)
	if err != nil {
		return platform.Config{}, err
	}
	changed := 0
	for name, part := range map[string]struct {
		to   *map[string]string
		from map[string]*string
	}{
		"values": {&app.config.Values, patch.Values}, "memory": {&app.config.Memory, patch.Memory},
		"cpu": {&app.config.CPU, patch.CPU}, "termination_grace_period": {&app.config.Grace, patch.Grace},
		"tags": {&app.config.Tags, patch.Tags}, "registry": {&app.config.Registry, patch.Registry},
		"lifecycle_post_start": {&app.config.PostStart, patch.PostStart}, "lifecycle_pre_stop": {&app.config.PreStop, patch.PreStop},
	} {
		for key, value := range part.from {
			changed++
			if *part.to == nil {
				*part.to = map[string]string{}
			}
			if value == nil && (*part.to)[key] == "" {
				return platform.Config{}, &platform.UserError{Kind: platform.ErrUnprocessable, Message: key + " does not exist under " + name}
			}
			if value == nil {
				delete(*part.to, key)
			} else {
				(*part.to)[key] = *value
			}
		}
	}
	changed += len(patch.Healthchecks)
	health, err := patch.Healthchecks.Onto(app.config.Healthchecks)
	if err != nil {
		return platform.Config{}, err
	}
	app.config.Healthchecks = health
	if changed == 0 {
		return platform.Config{}, &platform.UserError{Kind: platform.ErrConflict, Message: caller.User + " changed nothing - release stopped"}
	}
	return app.config, nil
}

func (d *memoryDesk) Builds(_ context.Context, caller platform.Caller, id string, page platform.Page) ([]platform.Build, int, error) {
	app, err := d.of(caller, id, platform.RoleViewer)
	if err != nil {
		return nil, 0, err
	}
	return window(app.builds, page)
}

func (d *memoryDesk) Build(_ context.Context, caller platform.Caller, id, uuid string) (platform.Build, error) {
	app, err := d.of(caller, id, platform.RoleViewer)
	if err != nil {
		return platform.Build{}, err
	}
	for _, build := range app.builds {
		if build.UUID == uuid {
			return build, nil
		}
	}
	return platform.Build{}, &platform.NotFoundError{Kind: "Build", ID: uuid}
}

func (d *memoryDesk) Releases(_ context.Context, caller platform.Caller, id string, page platform.Page) ([]platform.Release, int, error) {
	app, err := d.of(caller, id, platform.RoleViewer)
	if err != nil {
		return nil, 0, err
	}
	return window(app.releases, page)
}

func (d *memoryDesk) Release(_ context.Context, caller platform.Caller, id string, version int) (platform.Release, error) {
	app, err := d.of(caller, id, platform.RoleViewer)
	if err != nil {
		return platform.Release{}, err
	}
	for _, release := range app.releases {
		if release.Version == version {
			return release, nil
		}
	}
	return platform.Release{}, &platform.NotFoundError{Kind: "Release", ID: fmt.Sprint(version)}
}

func (d *memoryDesk) Rollback(_ context.Context, caller platform.Caller, id string, version int) (platform.Release, error) {
	app, err := d.of(caller, id, platform.RoleDeployer)
	if err != nil {
		return platform.Release{}, err
	}
	if version == 1 {
		return platform.Release{}, platform.Invalid("", "Cannot roll back to initial release.")
	}
	release := platform.Release{Version: len(app.releases) + 1}
	app.releases = append([]platform.Release{release}, app.releases...)
	return release, nil
}

func (d *memoryDesk) Scale(_ context.Context, caller platform.Caller, id string, formation map[string]int) error {
	app, err := d.of(caller, id, platform.RoleOperator)
	if err != nil {
		return err
	}
	for process := range formation {
		if process != "web" {
			return &platform.UserError{Kind: platform.ErrNotFound, Message: fmt.Sprintf("Container type %s does not exist in application", process)}
		}
	}
	app.app.Formation = formation
	return nil
}

func (d *memoryDesk) Instances(_ context.Context, caller platform.Caller, id, process, instance string) ([]platform.Instance, error) {
	app, err := d.of(caller, id, platform.RoleViewer)
	if err != nil {
		return nil, err
	}
	var found []platform.Instance
	for _, i := range app.instances {
		if (process == "" || i.Process == process) && (instance == "" || i.ID == instance || i.ID == id+"-"+instance) {
			found = append(found, i)
		}
	}
	return found, nil
}

func (d *memoryDesk) Restart(ctx context.Context, caller platform.Caller, id, process, instance string) ([]platform.Instance, error) {
	return d.Instances(ctx, caller, id, process, instance)
}

func (d *memoryDesk) Run(ctx context.Context, caller platform.Caller, id, command string, stream platform.IO) (int, error) {
	if _, err := d.of(caller, id, platform.RoleOperator); err != nil {
		return 0, err
	}
	fmt.Fprintf(stream.Stdout, "ran %s\n", command)
	errs := stream.Stderr
	if stream.Merged {
		errs = stream.Stdout
	}
	fmt.Fprintf(errs, "as %s\n", caller.User)
	if stream.Stdin != nil {
		said, _ := io.ReadAll(stream.Stdin)
		fmt.Fprintf(stream.Stdout, "read %s, terminal %v\n", said, stream.Terminal != nil)
	}
	return 3, ctx.Err()
}

func (d *memoryDesk) Logs(ctx context.Context, caller platform.Caller, id string, q controller.LogQuery, yield func(platform.LogLine) bool) error {
	app, err := d.of(caller, id, platform.RoleViewer)
	if err != nil {
		return err
	}
	for _, line := range app.lines {
		if !yield(line) {
			return nil
		}
	}
	for q.Follow {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line, ok := <-d.follow:
			if !ok || !yield(line) {
				return nil
			}
		}
	}
	return nil
}

func (d *memoryDesk) Domains(_ context.Context, caller platform.Caller, id string, page platform.Page) ([]platform.Domain, int, error) {
	app, err := d.of(caller, id, platform.RoleViewer)
	if err != nil {
		return nil, 0, err
	}
	return window(app.domains, page)
}

func (d *memoryDesk) AddDomain(_ context.Context, caller platform.Caller, id, domain string) (platform.Domain, error) {
	app, err := d.of(caller, id, platform.RoleOperator)
	if err != nil {
		return platform.Domain{}, err
	}
	added := platform.Domain{Domain: domain, App: id, Owner: caller.User, Created: born, Updated: born}
	app.domains = append(app.domains, added)
	return added, nil
}

func (d *memoryDesk) RemoveDomain(_ context.Context, caller platform.Caller, id, domain string) error {
	app, err := d.of(caller, id, platform.RoleAdmin)
	if err != nil {
		return err
	}
	before := len(app.domains)
	app.domains = slices.DeleteFunc(app.domains, func(d platform.Domain) bool { return d.Domain == domain })
	if len(app.domains) == before {
		return &platform.NotFoundError{Kind: "Domain", ID: domain}
	}
	return nil
}

func (d *memoryDesk) Settings(_ context.Context, caller platform.Caller, id string) (platform.Settings, error) {
	app, err := d.of(caller, id, platform.RoleViewer)
	if err != nil {
		return platform.Settings{}, err
	}
	return app.settings, nil
}

func (d *memoryDesk) SetSettings(_ context.Context, caller platform.Caller, id string, patch controller.SettingsPatch) (platform.Settings, error) {
	app, err := d.of(caller, id, platform.RoleOperator)
	if err != nil {
		return platform.Settings{}, err
	}
	before := app.settings
	if patch.Maintenance != nil {
		app.settings.Maintenance = *patch.Maintenance
	}
	if patch.Routable != nil {
		app.settings.Routable = *patch.Routable
	}
	if patch.DeployBranch != nil {
		app.settings.DeployBranch = *patch.DeployBranch
	}
	if patch.Whitelist != nil {
		app.settings.Whitelist = patch.Whitelist
	}
	app.settings.Labels, err = changed("label", before.Labels, patch.Labels)
	if err == nil {
		app.settings.Autoscale, err = changed("autoscale", before.Autoscale, patch.Autoscale)
	}
	if err != nil {
		app.settings = before
		return platform.Settings{}, err
	}
	if reflect.DeepEqual(app.settings, before) {
		return platform.Settings{}, &platform.UserError{Kind: platform.ErrConflict, Message: caller.User + " changed nothing"}
	}
	return app.settings, nil
}

func (d *memoryDesk) Volumes(_ context.Context, caller platform.Caller, id string) ([]controller.VolumeStatus, error) {
	app, err := d.of(caller, id, platform.RoleViewer)
	if err != nil {
		return nil, err
	}
	var all []controller.VolumeStatus
	for _, volume := range app.config.Volumes {
		all = append(all, controller.VolumeStatus{Volume: volume})
	}
	return all, nil
}

func (d *memoryDesk) SetVolume(_ context.Context, caller platform.Caller, id, name string, mounts map[string]*string) (platform.Volume, error) {
	app, err := d.of(caller, id, platform.RoleOperator)
	if err != nil {
		return platform.Volume{}, err
	}
	if err := platform.ValidVolumeName(name); err != nil {
		return platform.Volume{}, err
	}
	volume := platform.Volume{Name: name, Mounts: map[string]string{}}
	for process, at := range mounts {
		if at != nil {
			volume.Mounts[process] = *at
		}
	}
	if app.config.Volumes == nil {
		app.config.Volumes = map[string]platform.Volume{}
	}
	app.config.Volumes[name] = volume
	return volume, nil
}

func (d *memoryDesk) RemoveVolume(_ context.Context, caller platform.Caller, id, name string, _ bool) error {
	app, err := d.of(caller, id, platform.RoleOperator)
	if err != nil {
		return err
	}
	if _, has := app.config.Volumes[name]; !has {
		return &platform.NotFoundError{Kind: "Volume", ID: name}
	}
	delete(app.config.Volumes, name)
	return nil
}

func (d *memoryDesk) Ports(_ context.Context, caller platform.Caller, id string) ([]platform.Port, error) {
	_, err := d.of(caller, id, platform.RoleViewer)
	return nil, err
}

func (d *memoryDesk) AddPort(_ context.Context, caller platform.Caller, id string, p controller.NewPort) (platform.Port, error) {
	_, err := d.of(caller, id, platform.RoleOperator)
	return platform.Port{App: id, Listen: 30001, Process: p.Process, Port: p.Port, Proxy: p.Proxy}, err
}

func (d *memoryDesk) RemovePort(_ context.Context, caller platform.Caller, id string, listen int) error {
	if _, err := d.of(caller, id, platform.RoleAdmin); err != nil {
		return err
	}
	return &platform.NotFoundError{Kind: "Port", ID: fmt.Sprint(listen)}
}
