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
	release, cutover := 0, int64(0)
	if now := c.fleet.Route(app); now != nil {
		release, cutover = now.Release, now.Cutover
	}
	return c.writeRoute(ctx, app, release, cutover)
}

// rerouteTimeout is how long a verb waits for routers that are slow or away.
const rerouteTimeout = 2 * time.Second

// reroute is refreshRoute for a verb: a caller who leaves stops nothing, and
// the app's lane makes up for what failed. The routers have it when this
// returns; one that is away for longer takes it when it comes back.
func (c *Controller) reroute(ctx context.Context, app string) error {
	version, err := c.refreshRoute(context.WithoutCancel(ctx), app)
	if err != nil {
		c.wake(app)
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, rerouteTimeout)
	defer cancel()
	_ = c.fleet.Acked(ctx, version)
	return nil
}

// shiftRoute leads the app's requests to a release and returns the number of
// the cutover and the version of the nodes' state that holds it.
func (c *Controller) shiftRoute(ctx context.Context, app string, release int) (cutover, version int64, err error) {
	defer c.lockRoute(app)()
	cutover = 1
	if now := c.fleet.Route(app); now != nil {
		cutover = now.Cutover
		if now.Release != release {
			cutover++
		}
	}
	version, err = c.writeRoute(ctx, app, release, cutover)
	return cutover, version, err
}

// writeRoute hands fleet the app's route as the rows want it. An unroutable
// app has none.
func (c *Controller) writeRoute(ctx context.Context, app string, release int, cutover int64) (int64, error) {
	var settings platform.Settings
	var hosts []string
	err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
		if settings, err = tx.Settings(app); err != nil {
			return err
		}
		hosts, err = c.hosts(tx, app)
		return err
	})
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
	route := &platform.Route{App: app, Hosts: hosts, Release: release, Cutover: cutover, Maintenance: settings.Maintenance}
	if now := c.fleet.Route(app); now != nil && !c.fleet.Synced() {
		// The nodes have not said yet what runs: what was in the route stays.
		route.Backends = now.Backends
	} else {
		route.Backends = backends(instances, release)
	}
	if !settings.Routable {
		route.Hosts, route.Backends = nil, nil
	}
	return c.fleet.SetRoute(app, route)
}

// backends are the instances of a release that belong into its app's route.
// One that a node runs has no address here: its router knows it from the first
// listening to the last request, and this list comes a moment late for both.
func backends(instances []platform.Instance, release int) []platform.Backend {
	var all []platform.Backend
	for _, instance := range instances {
		if instance.Release != release || !serves(instance) {
			continue
		}
		backend := platform.Backend{Instance: instance.ID}
		if instance.Node == "" {
			backend.Address = instance.Address
		}
		all = append(all, backend)
	}
	slices.SortFunc(all, func(a, b platform.Backend) int { return strings.Compare(a.Instance, b.Instance) })
	return all
}

// serves reports whether an instance belongs into its app's route. One that
// crashed stays: the router, which knows first, passes it over until it is up.
func serves(instance platform.Instance) bool {
	return platform.Routable(instance.Process) &&
		instance.State != platform.InstanceTerminating && instance.State != platform.InstanceDown
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
