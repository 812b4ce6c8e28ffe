package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// A route has two authors: cutovers say which release it leads to, everything
// else about it (hosts, maintenance, instances) follows the rows and may
// change while a cutover is under way. Both write under the app's route lock.

// lockRoute makes the caller the only writer of the app's route.
func (c *Controller) lockRoute(app string) (unlock func()) {
	c.mu.Lock()
	lock, ok := c.routes[app]
	if !ok {
		lock = new(sync.Mutex)
		c.routes[app] = lock
	}
	c.mu.Unlock()
	lock.Lock()
	return lock.Unlock
}

// refreshRoute brings hosts, maintenance and instances of the app's route up
// to date, leaves it on the release it leads to, and returns the version of
// the nodes' state that holds it. It does not wait for the routers.
func (c *Controller) refreshRoute(ctx context.Context, app string) (version int64, err error) {
	defer c.lockRoute(app)()
	to := target{}
	now := c.fleet.Route(app)
	if now == nil {
		if led, err := c.ledByFormer(ctx, app); led || err != nil {
			return 0, err
		}
	} else {
		to = target{now.Release, now.Shift, now.Cutover}
	}
	return c.writeRoute(ctx, app, to, holdAsIs)
}

// target is what requests are led to.
type target struct {
	release int
	shift   *platform.Shift // nil: to that release alone
	cutover int64
}

// refreshHeld is refreshRoute for a route that holds.
func (c *Controller) refreshHeld(ctx context.Context, app string) error {
	if now := c.fleet.Route(app); now == nil || !now.Hold {
		return nil
	}
	_, err := c.refreshRoute(ctx, app)
	return err
}

// rerouteTimeout is how long a verb waits for routers that are there and slow: on
// a machine that is busy they take seconds, and whoever asks next relies on it.
const rerouteTimeout = 10 * time.Second

// reroute is refreshRoute for a verb: a caller who leaves stops nothing, and
// the app's lane makes up for what failed. The routers have it when this
// returns; one that is away for longer takes it when it comes back.
func (c *Controller) reroute(ctx context.Context, app string) error {
	version, err := c.refreshRoute(context.WithoutCancel(ctx), app)
	if err != nil {
		c.wake(app)
		return err
	}
	c.told(ctx, version)
	return nil
}

// told waits until the routers have a version, but not for long, nor for any
// that are away: those take it when they come back.
func (c *Controller) told(ctx context.Context, version int64) {
	ctx, cancel := context.WithTimeout(ctx, rerouteTimeout)
	defer cancel()
	_ = c.fleet.Told(ctx, version)
}

// shiftRoute leads the app's requests to a release and returns the number of
// the cutover and the version of the nodes' state that holds it.
func (c *Controller) shiftRoute(ctx context.Context, app string, release int) (cutover, version int64, err error) {
	return c.shift(ctx, app, release, nil, holdUntilUp)
}

// shiftHeld is shiftRoute for a release that may have nobody up yet: requests
// wait until it has.
func (c *Controller) shiftHeld(ctx context.Context, app string, release int) (cutover, version int64, err error) {
	return c.shift(ctx, app, release, nil, holdBegins)
}

// shift leads the app's requests to a release, or with by to that and another.
// The steps of a cutover have one number.
func (c *Controller) shift(ctx context.Context, app string, release int, by *platform.Shift, hold holding) (cutover, version int64, err error) {
	defer c.lockRoute(app)()
	cutover = 1
	if now := c.fleet.Route(app); now != nil {
		cutover = now.Cutover
		if now.Release != release {
			cutover++
		}
	}
	version, err = c.writeRoute(ctx, app, target{release, by, cutover}, hold)
	return cutover, version, err
}

// edgeRows are the rows that an app's route follows.
type edgeRows struct {
	app      platform.App
	settings platform.Settings
	tls      platform.TLS
	services []platform.Service
	ports    []platform.Port
	edge     platform.Edge
	hosts    []string
}

func (c *Controller) edgeRows(ctx context.Context, app string) (rows edgeRows, err error) {
	err = c.store.Read(ctx, func(tx *store.Tx) (err error) {
		rows, err = c.readEdgeRows(tx, app)
		return err
	})
	return rows, err
}

func (c *Controller) readEdgeRows(tx *store.Tx, app string) (rows edgeRows, err error) {
	if rows.app, err = tx.App(app); err != nil {
		return rows, err
	}
	if rows.settings, err = tx.Settings(app); err != nil {
		return rows, err
	}
	if rows.tls, err = tx.TLS(app); err != nil {
		return rows, err
	}
	if rows.services, err = tx.Services(app); err != nil {
		return rows, err
	}
	if rows.ports, err = tx.Ports(app); err != nil {
		return rows, err
	}
	if rows.edge, err = tx.Edge(app); err != nil {
		return rows, err
	}
	rows.hosts, err = c.hosts(tx, app)
	return rows, err
}

// plainRoute is the app's route as its rows want it, to nobody yet.
func (c *Controller) plainRoute(rows edgeRows) *platform.Route {
	return &platform.Route{
		App: rows.app.ID, Hosts: rows.hosts, Maintenance: rows.settings.Maintenance,
		Allow: allowed(c.whitelist(rows.settings)), HTTPSOnly: c.httpsOnly(rows.tls),
		Uncertified: rows.tls.Automatic != nil && !*rows.tls.Automatic,
		TCP:         tcpRoutes(rows.ports), Edge: rows.edge.Over(*c.defaults.Load()),
	}
}

// routable returns an error when routers could not have the app's routes as tx
// leaves its rows: they would go on by the last ones that they could.
func (c *Controller) routable(tx *store.Tx, app string) error {
	rows, err := c.readEdgeRows(tx, app)
	if err != nil {
		return err
	}
	route := c.plainRoute(rows)
	route.Paths = pathRoutes(rows.services, func(string) bool { return true })
	if err := c.options.CheckRoute(*route); err != nil {
		return &platform.UserError{Kind: platform.ErrInvalid, Message: "(edge): routers cannot have that: " + err.Error()}
	}
	return nil
}

// writeRoute hands fleet the app's route as the rows want it. An unroutable
// app has none.
func (c *Controller) writeRoute(ctx context.Context, app string, to target, hold holding) (int64, error) {
	rows, err := c.edgeRows(ctx, app)
	if errors.Is(err, platform.ErrNotFound) {
		return 0, nil // destroyed meanwhile: the lane sweeps
	}
	if err != nil {
		return 0, err
	}
	instances, err := c.scheduler.Instances(ctx, app)
	if err != nil {
		return 0, err
	}
	now := c.fleet.Route(app)
	routed := now != nil
	if !routed {
		now = new(platform.Route)
	}
	route := c.plainRoute(rows)
	route.Release, route.Shift, route.Cutover = to.release, to.shift, to.cutover
	route.Backends = backends(instances, to.release, addressedBy(rows.services, rows.edge), portsBy(rows.ports), now)
	if to.shift != nil {
		for _, b := range backends(instances, to.shift.From, addressedBy(rows.services, rows.edge), portsBy(rows.ports), now) {
			b.Release = to.shift.From
			route.Backends = append(route.Backends, b)
		}
	}
	switch {
	case hold == holdBegins:
		route.Hold = true
	case hold == holdAsIs || !c.fleet.Synced():
		route.Hold = now.Hold
	default:
		route.Hold = now.Hold && c.held(app, instances, to.release)
	}
	if routed && !c.fleet.Synced() {
		// The nodes have not said yet what runs: what was in the route stays.
		route.Backends = now.Backends
	}
	lead := func(process string) bool { return leads(rows.app, instances, route, now, process) }
	route.Paths = pathRoutes(rows.services, lead)
	route.Edge.Matches = slices.DeleteFunc(slices.Clone(route.Edge.Matches), func(m platform.Match) bool {
		return !platform.Routable(m.Process) && !lead(m.Process)
	})
	if app == c.options.DefaultApp {
		route.Hosts = append(route.Hosts, "*")
	}
	if !rows.settings.Routable {
		route.Hosts, route.Backends, route.Paths, route.TCP, route.Hold = nil, nil, nil, nil, false
	}
	return c.fleet.SetRoute(app, route)
}

// whitelist is whom an app is served to: the operator's word and its team's.
func (c *Controller) whitelist(s platform.Settings) []string {
	if c.options.WhitelistYields && len(s.Whitelist) > 0 {
		return s.Whitelist
	}
	if len(c.options.Whitelist) == 0 {
		return s.Whitelist
	}
	return union(c.options.Whitelist, s.Whitelist)
}

// httpsOnly is what the team chose, else the operator.
func (c *Controller) httpsOnly(tls platform.TLS) bool {
	if tls.Enforced != nil {
		return *tls.Enforced
	}
	return c.options.HTTPSOnly
}

// leads reports whether what a service or a match names is led away from web. A
// process type that has just got its service, or just been started, first has
// to be up: until then web answers, as it did before.
func leads(app platform.App, instances []platform.Instance, route, now *platform.Route, process string) bool {
	if app.Formation[process] == 0 || slices.ContainsFunc(now.Paths, func(p platform.PathRoute) bool { return p.Process == process }) ||
		slices.ContainsFunc(now.Edge.Matches, func(m platform.Match) bool { return m.Process == process }) {
		return true
	}
	return slices.ContainsFunc(instances, func(i platform.Instance) bool {
		return i.Process == process && i.State == platform.InstanceUp &&
			slices.ContainsFunc(route.Backends, func(b platform.Backend) bool { return b.Instance == i.ID })
	})
}

// backends are the instances of a release that belong into its app's route.
// One that a node runs has no address here: its router knows it from the first
// listening to the last request, and this list comes a moment late for both.
// Those of a process type that serves paths or ports alone carry its name.
func backends(instances []platform.Instance, release int, addressed map[string]bool, ports map[string][]int, now *platform.Route) []platform.Backend {
	main := mainProcess(instances, release, now)
	var all []platform.Backend
	for _, instance := range instances {
		if instance.Release != release || outbound(instance) {
			continue
		}
		backend := platform.Backend{Instance: instance.ID}
		switch {
		case instance.Process == main:
		case addressed[instance.Process] && instance.Address != "", // without: it runs from before its service
			len(ports[instance.Process]) > 0: // which its router knows
			backend.Process = instance.Process
		default:
			continue
		}
		if instance.Node == "" {
			backend.Address = instance.Address
		}
		all = append(all, backend)
	}
	slices.SortFunc(all, func(a, b platform.Backend) int { return strings.Compare(a.Instance, b.Instance) })
	return all
}

// outbound reports whether an instance takes no new requests and will not again.
func outbound(i platform.Instance) bool {
	return i.State == platform.InstanceTerminating || i.State == platform.InstanceDown
}

// mainProcess is the process type that gets what no service leads elsewhere:
// web, or cmd where no web is. While the first web of a release that has cmd
// starts, cmd goes on answering. An instance that crashed counts: the router,
// which knows first, passes it over until it is up.
func mainProcess(instances []platform.Instance, release int, now *platform.Route) string {
	cmd, web := false, false
	for _, i := range instances {
		if i.Release != release || outbound(i) {
			continue
		}
		cmd = cmd || i.Process == "cmd"
		web = web || i.Process == "web" && (i.State == platform.InstanceUp ||
			slices.ContainsFunc(now.Backends, func(b platform.Backend) bool { return b.Instance == i.ID && b.Process == "" }))
	}
	if cmd && !web {
		return "cmd"
	}
	return "web"
}

// hosts are the full host names of an app, in the order of its domains.
func (c *Controller) hosts(tx *store.Tx, app string) ([]string, error) {
	domains, _, err := tx.Domains(app, platform.Page{Limit: maxDomains})
	if err != nil {
		return nil, err
	}
	var hosts []string
	for _, domain := range domains {
		hosts = append(hosts, c.fullHost(domain.Domain))
	}
	return hosts, nil
}

// fullHost expands a name without a dot to a subdomain of the platform domain.
func (c *Controller) fullHost(domain string) string {
	if strings.Contains(domain, ".") {
		return domain
	}
	return domain + "." + c.options.Domain
}
