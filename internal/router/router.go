package router

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Router is an http.Handler that leads requests to instances. All methods are
// safe for concurrent use; changes take effect for the next request, without a
// lock on a request's way.
type Router struct {
	log   *slog.Logger
	opt   Options
	start time.Time // zero of the router's clock

	table atomic.Pointer[table]
	edge  atomic.Pointer[edge]
	certs atomic.Pointer[certificates]

	mu        sync.Mutex // serializes changes; guards the maps and what says so
	apps      map[string]*app
	instances map[string]*instance
	leaving   map[*instance]bool // nothing refers to them; somebody may be inside

	serving
	buffers buffers
	quiet   *log.Logger // for net/http's remarks
}

// edge is the control plane, as requests see it. Immutable.
type edge struct {
	hosts map[string]bool
	app   *app
}

// New returns a router that knows no host yet. It runs nothing by itself:
// Serve, ServeTLS or a server of the caller's bring it requests.
func New(logger *slog.Logger, opt Options) *Router {
	r := &Router{
		log: logger, opt: opt.withDefaults(), start: time.Now(),
		apps: map[string]*app{}, instances: map[string]*instance{}, leaving: map[*instance]bool{},
		quiet: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	r.table.Store(newTable())
	r.edge.Store(&edge{})
	r.certs.Store(&certificates{})
	r.begin()
	return r
}

// now is the router's own clock: it never goes back.
func (r *Router) now() time.Duration { return time.Since(r.start) }

// ServeHTTP leads one request to an instance and its answer back. It returns
// when both are done, for an upgraded connection when that is closed.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	x := &exchange{router: r, w: &recorder{ResponseWriter: w}, req: req, began: time.Now()}
	x.passage.origin = originOf(req, r.opt.TrustedProxies)
	x.passage.draining = r.draining.Load
	if !r.open.enter() {
		x.answer(leaving())
		return
	}
	defer r.open.leave()
	defer x.finish()
	x.serve()
}

// find is the app of a normal host, nil when there is none. The control
// plane's names cannot be taken by an app.
func (r *Router) find(host string) *app {
	if e := r.edge.Load(); e.hosts[host] {
		return e.app
	}
	return r.table.Load().lookup(host)
}

// SetEdge replaces the control plane's names and address and the certificates.
// A certificate that does not parse is left out and logged; handshakes under
// way keep the one they have.
func (r *Router) SetEdge(state platform.EdgeState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setEdge(state)
}

func (r *Router) setEdge(state platform.EdgeState) {
	r.certs.Store(parseCertificates(r.log, state, r.certs.Load()))
	old := r.edge.Load()
	next := &edge{hosts: map[string]bool{}, app: old.app}
	for _, pattern := range state.ControlHosts {
		if host, ok := normalHost(pattern); ok {
			next.hosts[host] = true
		}
	}
	if old.app == nil || old.app.route.Load().backends[0].place.Load().address != state.Control {
		next.app = r.controlPlane(state.Control)
	}
	r.edge.Store(next)
	if old.app != nil && old.app != next.app {
		old.app.route.Load().backends[0].remote.carrier.close()
	}
}

// controlPlane is an app of one instance that is always thought to be up and
// may take any time to answer.
func (r *Router) controlPlane(address string) *app {
	inst := newInstance("control")
	inst.remote = &place{address: address, up: address != "", carrier: newUpstream(address, r.opt, 0, &r.buffers, r.quiet)}
	inst.settle()
	a := &app{control: true}
	a.route.Store(&route{backends: []*instance{inst}})
	return a
}

// SetRoute makes route where app's requests go; nil makes its hosts unknown.
// Requests under way end where they are. A host that another app has moves to
// this one. A Cutover number other than the last one seen begins a report.
func (r *Router) SetRoute(app string, route *platform.Route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.table.Load().draft()
	if route == nil {
		r.dropRoute(d, app)
	} else {
		r.setRoute(d, app, *route)
	}
	r.table.Store(d.table)
	r.sweep()
}

// SetAll makes routes all there are, and edge what it says. Apps that are not
// among them become unknown.
func (r *Router) SetAll(edge platform.EdgeState, routes []platform.Route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setEdge(edge)
	d := r.table.Load().draft()
	named := map[string]bool{}
	for _, route := range routes {
		named[route.App] = true
		r.setRoute(d, route.App, route)
	}
	for name := range r.apps {
		if !named[name] {
			r.dropRoute(d, name)
		}
	}
	r.table.Store(d.table)
	r.sweep()
}

func (r *Router) setRoute(d *draft, name string, wish platform.Route) {
	a := r.apps[name]
	if a == nil {
		a = &app{name: name}
		r.apps[name] = a
	}
	old := a.route.Load()
	next := &route{release: wish.Release, maintenance: wish.Maintenance, cutover: wish.Cutover, tally: tallyAfter(old, wish.Release)}
	for _, backend := range wish.Backends {
		next.backends = append(next.backends, r.listed(a, backend))
	}
	r.beginCutover(a, old, next)
	a.route.Store(next)
	if old != nil {
		r.unlist(a, old.backends, next.backends)
	}
	r.setHosts(d, a, wish.Hosts)
}

func (r *Router) dropRoute(d *draft, name string) {
	a := r.apps[name]
	if a == nil {
		return
	}
	r.setHosts(d, a, nil)
	old := a.route.Swap(nil)
	r.unlist(a, old.backends, nil)
	delete(r.apps, name)
}

// setHosts makes wished the hosts that lead to a.
func (r *Router) setHosts(d *draft, a *app, wished []string) {
	var hosts []string
	for _, pattern := range wished {
		host, ok := normalPattern(pattern)
		if !ok {
			r.log.Warn("host of a route was left out: it is no host name", "app", a.name, "domain", pattern)
			continue
		}
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	for _, host := range a.hosts {
		if _, kept := slices.BinarySearch(hosts, host); !kept {
			d.drop(host, a)
		}
	}
	for _, host := range hosts {
		if _, had := slices.BinarySearch(a.hosts, host); had && d.holder(host) == a {
			continue
		}
		if was := d.set(host, a); was != nil && was != a {
			r.log.Warn("host moved from one app to another", "app", a.name, "domain", host, "from", was.name)
		}
	}
	a.hosts = hosts
}

// listed is the instance that a backend of a names.
func (r *Router) listed(a *app, b platform.Backend) *instance {
	inst := r.instances[b.Instance]
	if inst == nil {
		inst = newInstance(b.Instance)
		r.instances[b.Instance] = inst
	}
	inst.apps[a] = struct{}{}
	if was := inst.remote; was == nil && b.Address != "" || was != nil && was.address != b.Address {
		inst.remote = nil
		if b.Address != "" {
			inst.remote = r.placeAt(b.Address, true)
		}
		defer was.closeIdle()
	}
	inst.settle()
	return inst
}

// unlist ends that the instances of old that are not among next belong to a.
func (r *Router) unlist(a *app, old, next []*instance) {
	for _, inst := range old {
		if !slices.Contains(next, inst) {
			delete(inst.apps, a)
			r.leaving[inst] = true
		}
	}
}

// sweep forgets instances that nothing refers to and nobody is inside of.
// While somebody is, Drain and InFlight must find them.
func (r *Router) sweep() {
	for inst := range r.leaving {
		switch {
		case !inst.forgotten():
			delete(r.leaving, inst)
		case inst.door.inside() == 0:
			delete(r.leaving, inst)
			inst.closeIdle()
			if r.instances[inst.id] == inst {
				delete(r.instances, inst.id)
			}
		}
	}
}

func (r *Router) placeAt(address string, up bool) *place {
	return &place{address: address, up: up, carrier: newUpstream(address, r.opt, r.opt.AnswerTimeout, &r.buffers, r.quiet)}
}

// SetInstance tells what this machine knows of one of its instances: where it
// listens and whether it may serve. It wins over the address in a route.
func (r *Router) SetInstance(id, address string, up bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	inst := r.instances[id]
	switch {
	case inst == nil:
		inst = newInstance(id)
		r.instances[id] = inst
	case inst.removed && inst.door.isShut():
		inst = r.replace(inst)
	}
	inst.removed = false
	was := inst.local
	switch {
	case was == nil || was.address != address:
		inst.local = r.placeAt(address, up)
	case was.up != up:
		inst.local = &place{address: address, up: up, carrier: was.carrier}
	}
	inst.settle()
	if was != nil && was.address != address {
		was.closeIdle()
	}
}

// replace puts a fresh instance with a new door in the place of one that was
// drained and removed: the same id was started again.
func (r *Router) replace(old *instance) *instance {
	fresh := newInstance(old.id)
	fresh.apps, fresh.remote = old.apps, old.remote
	r.instances[old.id] = fresh
	for a := range fresh.apps {
		next := *a.route.Load()
		next.backends = slices.Clone(next.backends)
		for i, inst := range next.backends {
			if inst == old {
				next.backends[i] = fresh
			}
		}
		a.route.Store(&next)
	}
	return fresh
}

// RemoveInstance ends what SetInstance told. An unknown id is no error.
func (r *Router) RemoveInstance(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	inst := r.instances[id]
	if inst == nil {
		return
	}
	was := inst.local
	inst.local, inst.removed = nil, true
	inst.settle()
	was.closeIdle()
	r.leaving[inst] = true
	r.sweep()
}

// InFlight is how many requests are open to the instance, WebSockets included.
func (r *Router) InFlight(id string) int {
	r.mu.Lock()
	inst := r.instances[id]
	r.mu.Unlock()
	if inst == nil {
		return 0
	}
	return inst.door.inside()
}

// Drain lets no request enter the instance from now on, for good, and returns
// nil when nothing is open to it any more: then it may be stopped. When ctx
// ends first it says how many requests are left; the instance stays closed to
// new ones. Put other instances into the route first. An unknown id has
// nothing open.
func (r *Router) Drain(ctx context.Context, id string) error {
	r.mu.Lock()
	inst := r.instances[id]
	r.mu.Unlock()
	if inst == nil {
		return nil
	}
	select {
	case <-inst.door.shut():
	case <-ctx.Done():
		return fmt.Errorf("drain %s: %d requests still open: %w", id, inst.door.inside(), ctx.Err())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	inst.closeIdle()
	r.sweep()
	return nil
}
