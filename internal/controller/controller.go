// Package controller is the desk: it is handed a caller's wish by a door,
// checks that the caller may, writes the wish and its event in one
// transaction, and makes it true with the stations: builder, scheduler, fleet.
// Every change is a row first; a loop per app makes it so and resumes after a
// crash, so a request may leave while its work goes on.
package controller

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/blobs"
	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/fleet"
	"github.com/slipway-paas/slipway/internal/images"
	"github.com/slipway-paas/slipway/internal/logs"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/sbom"
	"github.com/slipway-paas/slipway/internal/scheduler"
	"github.com/slipway-paas/slipway/internal/stack"
	"github.com/slipway-paas/slipway/internal/store"
	"github.com/slipway-paas/slipway/internal/volume"
)

// Options of a Controller. The zero value of each field is its default.
type Options struct {
	// Domain is the platform domain; apps are served at <id>.<Domain>.
	Domain string
	// URL words how a browser reaches a host: http://<host>.
	URL func(host string) string
	// Reserved are app ids and subdomains nobody may take.
	Reserved []string
	// DeployTimeout bounds the time from a release's first instance to all of
	// them being up: 120 s. Too short and slow starters can never deploy.
	DeployTimeout time.Duration
	// Watch is how long a cutover under traffic is observed before the old
	// instances are let go: 1 s. It delays the end of a deploy, not the shift.
	Watch time.Duration
	// DrainWait bounds how long a deploy waits for requests to the old release
	// before it calls itself done: 10 s. The node goes on draining for Drain.
	DrainWait time.Duration
	// Drain is how long an instance may finish its requests once it receives no
	// new ones: 30 s.
	Drain time.Duration
	// HandOver bounds how long an instance with a volume may finish its requests
	// before its successor, which cannot begin beside it, has it end: 10 s. New
	// requests wait meanwhile.
	HandOver time.Duration
	// FailureBudget is the share of failed requests on the new release, beyond
	// the old one's, at which a cutover undoes itself: 0.05. Fewer failures than
	// BudgetFailures (3) are chance.
	FailureBudget  float64
	BudgetFailures int64
	// LatencyBudget is how much slower the new release's p99 may be than the
	// old one's before a cutover undoes itself: 2 s, judged from
	// LatencyRequests (20) requests on.
	LatencyBudget   time.Duration
	LatencyRequests int64
	// InstanceMemory bounds an instance of an app that sets no memory limit, in
	// bytes. 0: no bound, and one app can take the machine's memory.
	InstanceMemory int64
	// Builds is how many builds run at once: half the cores, at least 1. More
	// wait in line.
	Builds int
	// CronRuns is how many runs of crons there are at once, of all apps: twice
	// the cores, at least 4. More wait for room; too many at once and the apps
	// that serve have no time.
	CronRuns int
	// ImageQuota is how many bytes the images of an app may hold for which nobody
	// said otherwise; 0: any number.
	ImageQuota int64
	// NodeTags are the labels this machine carries, which an app's tags are
	// held against, beside kubernetes.io/hostname, /arch and /os.
	NodeTags map[string]string
	// DefaultTags are the tags of an app that has none of its own.
	DefaultTags map[string]string
	// TCPPorts are the ports of the edge that apps may be given.
	TCPPorts PortRange
	// Edge is what apps have whose teams set nothing else: see platform.Edge.Over.
	Edge platform.Edge
	// HTTPSOnly sends plain HTTP to HTTPS where a team has not chosen.
	HTTPSOnly bool
	// Whitelist are addresses and networks to which every app is served, beside
	// those of its own; with WhitelistYields only apps that have none.
	Whitelist       []string
	WhitelistYields bool
	// CheckRoute says what of a route the routers could not have: a verb that would
	// write such a one is refused. Default nil: routers alone say it.
	CheckRoute func(platform.Route) error
	// DefaultApp gets the requests for hosts that no app has. Empty: 404.
	DefaultApp string
	// Volumes keeps the data of the apps' volumes.
	Volumes volume.Dir
	// Destroyed is told of every destroyed app, after its last instance.
	Destroyed func(app string)
	// Renamed is told of every app that got another id, so that what others
	// keep by the old one follows. It may be told again what it has done
	// already; after an error it is, until it succeeds.
	Renamed func(old, id string) error
	// RejectLostProcfile refuses an image without a Procfile where the build
	// before had one.
	RejectLostProcfile bool
	// KeepLostProcfile gives such an image the Procfile of the build before;
	// else the process types it named go.
	KeepLostProcfile bool
	// DeployHookURLs are told of every new release: see CheckDeployHookURL. What
	// of one is secret belongs in its user part or its query, which are not
	// logged.
	DeployHookURLs []string
	// Version of Slipway, which provenance names.
	Version string
	// DeployHookSecret signs what they are told; empty: nothing is signed.
	DeployHookSecret string
}

func (o Options) withDefaults() Options {
	setDefault(&o.Domain, "localhost")
	setDefault(&o.DeployTimeout, 120*time.Second)
	setDefault(&o.Watch, time.Second)
	setDefault(&o.DrainWait, 10*time.Second)
	setDefault(&o.Drain, 30*time.Second)
	setDefault(&o.HandOver, 10*time.Second)
	setDefault(&o.FailureBudget, 0.05)
	setDefault(&o.BudgetFailures, 3)
	setDefault(&o.LatencyRequests, 20)
	setDefault(&o.LatencyBudget, 2*time.Second)
	setDefault(&o.Builds, max(1, runtime.NumCPU()/2))
	setDefault(&o.CronRuns, max(4, 2*runtime.NumCPU()))
	o.NodeTags = nodeTags(o.NodeTags)
	if o.URL == nil {
		o.URL = func(host string) string { return "http://" + host }
	}
	if o.CheckRoute == nil {
		o.CheckRoute = func(platform.Route) error { return nil }
	}
	if o.Destroyed == nil {
		o.Destroyed = func(string) {}
	}
	if o.Renamed == nil {
		o.Renamed = func(string, string) error { return nil }
	}
	return o
}

// nodeTags adds what every machine says of itself, unless it is said already.
func nodeTags(given map[string]string) map[string]string {
	host, _ := os.Hostname() // a machine without a name has no such tag
	tags := map[string]string{"kubernetes.io/hostname": host, "kubernetes.io/arch": runtime.GOARCH, "kubernetes.io/os": runtime.GOOS}
	maps.Copy(tags, given)
	return tags
}

func setDefault[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}

// Build turns a request into an image; *builder.Picker has it.
type Build func(context.Context, builder.Request) (builder.Result, error)

// Parts are the stations the controller knows.
type Parts struct {
	Store     *store.Store
	Blobs     *blobs.Bucket
	Build     Build
	Images    *images.Puller
	Scheduler scheduler.Scheduler
	Fleet     *fleet.Fleet
	Logs      *logs.Logs
	// Shelf is the platform's registry; nil: nothing is known of its images.
	Shelf Shelf
	// Stacks makes stacks and lays slugs on them; nil: neither can be done.
	Stacks *stack.Stacks
	// SBOM attaches documents to images; nil: nobody does.
	SBOM *sbom.Clerk
	// Authority gets certificates by itself; nil: nobody does.
	Authority Authority
}

// Controller owns the verbs. All are safe for concurrent use; each checks the
// caller's permission first and answers in the kinds of platform's errors.
// Verbs that deploy block until the outcome; when ctx ends they return its
// error and the work goes on.
type Controller struct {
	log     *slog.Logger
	options Options

	store     *store.Store
	blobs     *blobs.Bucket
	build     Build
	images    *images.Puller
	scheduler scheduler.Scheduler
	fleet     *fleet.Fleet
	logs      *logs.Logs
	stacks    *stack.Stacks
	shelf     Shelf
	sbom      *sbom.Clerk

	makingStack sync.Mutex // one at a time

	building chan struct{} // one token a running build
	cronning chan struct{} // one token a running cron

	notices  *notices // something of an app changed
	progress *progress
	hooks    *hooks
	agenda   *agenda
	defaults atomic.Pointer[platform.Edge] // see Options.Edge
	crontab  *crontab
	cronRuns cronRuns

	// work ends with Close: loops and builds run under it.
	work    context.Context // owned by the controller, ended by Close
	stop    context.CancelFunc
	running sync.WaitGroup

	mu         sync.Mutex
	lanes      map[string]*lane
	unsaid     map[string]struct{} // apps of the start that were not looked at yet
	pushing    map[string]bool
	pulling    map[string]bool
	destroying map[string]bool        // has no row, and something of it is left
	attesting  map[string]int         // image: how often something is being attached to it
	replaces   map[string]int         // whose route holds for a replacement that was not asked for yet
	routes     map[string]*sync.Mutex // one writer of an app's route at a time
	closed     bool

	authority   Authority
	certifyLock sync.Mutex // from what is read to what is wanted

	edgeLock sync.Mutex
	edge     bool // SetEdge was called
}

// New makes a controller. Start sets its loops going.
func New(log *slog.Logger, parts Parts, options Options) *Controller {
	options = options.withDefaults()
	work, stop := context.WithCancel(context.Background())
	if parts.Authority == nil {
		parts.Authority = nobody{}
	}
	c := &Controller{
		log:       log,
		options:   options,
		store:     parts.Store,
		blobs:     parts.Blobs,
		build:     parts.Build,
		images:    parts.Images,
		scheduler: parts.Scheduler,
		fleet:     parts.Fleet,
		logs:      parts.Logs,
		stacks:    parts.Stacks,
		shelf:     parts.Shelf,
		sbom:      parts.SBOM,
		authority: parts.Authority,
		building:  make(chan struct{}, options.Builds),
		cronning:  make(chan struct{}, options.CronRuns),
		notices:   newNotices(),
		progress:  newProgress(),
		agenda:    newAgenda(),
		crontab:   newCrontab(time.Now),
		cronRuns:  cronRuns{end: make(map[string]context.CancelCauseFunc)},
		work:      work,
		stop:      stop,
		lanes:     make(map[string]*lane),
		unsaid:    make(map[string]struct{}),
		pushing:   make(map[string]bool),
		pulling:   make(map[string]bool),

		destroying: make(map[string]bool),
		attesting:  make(map[string]int),
		replaces:   make(map[string]int),
		routes:     make(map[string]*sync.Mutex),
	}
	c.defaults.Store(&options.Edge)
	c.hooks = newHooks(log, options, c.note)
	return c
}

// SetDefaults replaces Options.Edge. The routes follow a few at a time, some
// moments after it returns.
func (c *Controller) SetDefaults(ctx context.Context, edge platform.Edge) error {
	var apps []string
	err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
		apps, err = tx.AllAppIDs()
		return err
	})
	if err != nil {
		return err
	}
	c.defaults.Store(&edge)
	c.agenda.addAll(apps)
	return nil
}

// Start makes every app in the store true again, resumes unfinished releases,
// takes away what belongs to no app, and follows what instances do from then on.
//
// Releases that were under way go on at once; the apps to which nothing
// happened are looked at a few at a time, so that ten thousand of them cost a
// pass over the rows and no more memory than a few.
func (c *Controller) Start(ctx context.Context) error {
	var apps []string
	var unfinished []platform.Release
	shas := make(map[string]string)
	err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
		if apps, err = tx.AllAppIDs(); err != nil {
			return err
		}
		if unfinished, err = tx.UnfinishedReleases(""); err != nil {
			return err
		}
		for _, release := range unfinished {
			if shas[release.UUID], err = shaOf(tx, release); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	rows := apps
	apps = c.known(rows)
	c.mu.Lock()
	for _, app := range apps {
		c.unsaid[app] = struct{}{}
		if _, has := slices.BinarySearch(rows, app); !has {
			c.destroying[app] = true
		}
	}
	c.mu.Unlock()
	if len(apps) == 0 {
		c.fleet.Settled()
	}
	changes := c.scheduler.Watch(c.work) // before anybody waits for one
	c.hooks.run(c.work, c.goRun)
	for _, release := range unfinished {
		c.hooks.announce(release, shas[release.UUID])
		c.wake(release.App)
	}
	c.agenda.addAll(apps)
	c.goRun(func() { c.runAgenda(c.work) })
	c.goRun(func() {
		for app := range changes {
			c.notices.publish(app)
			c.agenda.addChanged(app)
		}
	})
	if err := c.resumeGroups(ctx); err != nil {
		return err
	}
	return c.startCrons(ctx)
}

// Close ends the loops at a point from which Start resumes, and waits for them.
func (c *Controller) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.running.Wait()
}

// goRun runs f as a goroutine that Close waits for. It reports false, and does
// not run f, when the controller is closed.
func (c *Controller) goRun(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.running.Go(f)
	return true
}

// Ready returns nil when the store answers.
func (c *Controller) Ready(ctx context.Context) error { return c.store.Ping(ctx) }

// Authorize returns nil when the caller may push to app, and so fetch its
// source; an error matching ErrNotFound when there is no such app, else
// ErrForbidden.
func (c *Controller) Authorize(ctx context.Context, caller platform.Caller, app string) error {
	return c.allow(ctx, caller, app, platform.RoleDeployer)
}

// May returns nil when the caller may do with app what needs the role; else an
// error as of Authorize. It is for doors that must know before they begin.
func (c *Controller) May(ctx context.Context, caller platform.Caller, app string, need platform.Role) error {
	return c.allow(ctx, caller, app, need)
}

// allow is may for a verb that reads no more of the store.
func (c *Controller) allow(ctx context.Context, caller platform.Caller, app string, need platform.Role) error {
	return c.store.Read(ctx, func(tx *store.Tx) error {
		_, err := may(tx, caller, app, need)
		return err
	})
}

// may is the one place that says who may do what with an app. It returns the
// app when the caller's role on it covers need: all of it for the owner and
// superusers, that of their row for whom it is shared with, and in no case
// more than the caller's token. An app that does not exist is ErrNotFound, all
// else ErrForbidden.
func may(tx *store.Tx, caller platform.Caller, id string, need platform.Role) (platform.App, error) {
	app, err := tx.App(id)
	if err != nil {
		return platform.App{}, err
	}
	role, err := roleOn(tx, caller, app)
	if err != nil {
		return platform.App{}, err
	}
	if !role.Covers(need) || !caller.Scope.Allows(id, need) {
		return platform.App{}, fmt.Errorf("app %s: %w", id, platform.ErrForbidden)
	}
	return app, nil
}

// roleOn is the caller's role on an app, whatever their token; empty for none.
func roleOn(tx *store.Tx, caller platform.Caller, app platform.App) (platform.Role, error) {
	switch {
	case caller.Admin:
		return platform.RoleOwner, nil
	case caller.User == "":
		return "", nil
	case caller.User == app.Owner:
		return platform.RoleOwner, nil
	}
	return tx.RoleOf(app.ID, caller.User)
}

// note writes one line of the controller into the app's stream.
func (c *Controller) note(app, format string, args ...any) {
	c.logs.Append(app, platform.LogLine{
		At: time.Now(), App: app, Source: platform.LogController, Text: fmt.Sprintf(format, args...),
	})
}

// event is what a verb writes beside its change.
func event(caller platform.Caller, name, app string, attrs map[string]string) platform.Event {
	return platform.Event{At: time.Now(), Name: name, App: app, User: caller.User, From: caller.From, Token: caller.Token, Attrs: attrs}
}

// read runs a read-only verb: the permission check, then get.
func read[T any](ctx context.Context, c *Controller, caller platform.Caller, app string, need platform.Role, get func(*store.Tx, platform.App) (T, error)) (T, error) {
	var result T
	err := c.store.Read(ctx, func(tx *store.Tx) error {
		a, err := may(tx, caller, app, need)
		if err != nil {
			return err
		}
		result, err = get(tx, a)
		return err
	})
	return result, err
}

// list is read for verbs that answer a page and a count.
func list[T any](ctx context.Context, c *Controller, caller platform.Caller, app string, need platform.Role, get func(*store.Tx) ([]T, int, error)) ([]T, int, error) {
	var count int
	items, err := read(ctx, c, caller, app, need, func(tx *store.Tx, _ platform.App) ([]T, error) {
		items, n, err := get(tx)
		count = n
		return items, err
	})
	return items, count, err
}
