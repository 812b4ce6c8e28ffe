package router

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/access"
	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/overload"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/rules"
)

// Router leads requests to instances. All methods are
// safe for concurrent use; changes take effect for the next request, without a
// lock on a request's way.
type Router struct {
	log   *slog.Logger
	opt   Options
	start time.Time // zero of the router's clock

	table claims[*app]
	doors sync.Map // of TCP routes: port of the edge to *app
	edge  atomic.Pointer[edge]
	certs certificates
	// fallback is for names that no certificate is for.
	fallback   atomic.Pointer[certificate]
	handshakes handshakes
	onDemand   onDemand

	proofs   *rules.Proofs
	encoders *rules.Encoders

	mu        sync.Mutex // serializes changes; guards the maps and what says so
	apps      map[string]*app
	instances map[string]*instance
	own       []string           // the platform's names
	leaving   map[*instance]bool // nothing refers to them; somebody may be inside
	stirred   atomic.Int64       // when a goroutine has last begun with a request: see stir
	young     []*app             // their last cutover began lately, or drains yet
	wrong     map[string][]string
	demanding map[*app]bool // those for HTTPS only

	metrics   *access.Metrics
	hearsay   hearsay
	secret    atomic.Pointer[string] // what all routers share
	underWay  time.Duration          // see underWay
	held      atomic.Int64           // requests that wait for an instance, of all apps
	httpsPort atomic.Int64           // where ServeTLS listens; 0: nowhere
	altSvc    atomic.Pointer[string] // the line that says where HTTP/3 is; nil: nowhere
	told      atomic.Bool            // the log knows of redirects to nowhere

	// changes counts those of what hosts lead to, so that a connection knows
	// whether what it remembers still holds.
	changes atomic.Uint64

	// guard keeps this process from more than it can do. How late that is is the
	// watch's: see lateness.
	guard  *overload.Guard
	lag    overload.Lag
	inTime bool                 // lag was small when it was known last
	late   func() time.Duration // lateness

	serving
	limits  h1.Limits   // of requests' heads
	listens *tls.Config // of handshakes
	slabs   slabs
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
		log: logger, opt: opt.withDefaults(), start: time.Now(), metrics: access.NewMetrics(),
		apps: map[string]*app{}, instances: map[string]*instance{}, leaving: map[*instance]bool{},
		proofs: rules.NewProofs(), encoders: rules.NewEncoders(encodersPerCore * runtime.GOMAXPROCS(0)),
		guard: overload.NewGuard(0), underWay: underWay, wrong: map[string][]string{}, demanding: map[*app]bool{},
	}
	r.limits = h1.Limits{Head: r.opt.MaxHeaderBytes, Target: r.opt.MaxTarget, Fields: r.opt.MaxFields}
	r.certs.begin()
	r.onDemand.begin()
	r.beginTLS()
	r.listens = r.tlsConfig()
	r.edge.Store(&edge{})
	r.setSecret(rand.Text())
	r.late = r.lateness
	r.begin(&r.opt)
	return r
}

// now is the router's own clock: it never goes back.
func (r *Router) now() time.Duration { return time.Since(r.start) }

// find is the app of a normal host, nil when there is none. The control
// plane's names cannot be taken by an app.
func (r *Router) find(host string) *app {
	if e := r.edge.Load(); e.hosts[host] {
		return e.app
	}
	if a, ok := r.table.lookup(host); ok {
		return a
	}
	a, _ := r.table.at(keyOf(anyHost))
	return a
}

// SetEdge replaces the control plane's names and address, the keys of session
// tickets, and the certificates that are told in one list: see SetCertificates.
func (r *Router) SetEdge(state platform.EdgeState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setEdge(state)
}

func (r *Router) setEdge(state platform.EdgeState) {
	r.own = ownNames(state)
	r.complainOf(r.certs.set(state.Certificates))
	r.setFallback()
	r.setTickets(state.Tickets)
	r.setSecret(state.RegistryPassword)
	r.onDemand.on.Store(state.OnDemand)
	old := r.edge.Load()
	next := &edge{hosts: map[string]bool{}, app: old.app}
	for _, pattern := range state.ControlHosts {
		if host, ok := normalHost(pattern); ok {
			next.hosts[host] = true
		}
	}
	if old.app == nil || old.app.route.Load().main[0].place.Load().address != state.Control {
		next.app = r.controlPlane(state.Control)
	}
	r.edge.Store(next)
	r.changes.Add(1)
	if old.app != nil && old.app != next.app {
		old.app.route.Load().main[0].remote.closeIdle()
	}
}

// controlPlane is an app of one instance that is always thought to be up and
// may take any time to answer.
func (r *Router) controlPlane(address string) *app {
	inst := newInstance("control")
	inst.remote = r.placeAt(address, address != "")
	inst.settle()
	a := &app{control: true, router: r}
	rt := &route{policy: noPolicy, main: pool{inst}}
	regroup(a, rt, nil)
	a.route.Store(rt)
	return a
}

func (r *Router) placeAt(address string, up bool) *place {
	return &place{ways: &ways{router: r, address: address}, up: up}
}

// SetInstance tells what this machine knows of one of its instances: where it
// listens and whether it may serve. It wins over the address in a route.
func (r *Router) SetInstance(id, address string, up bool) { r.SetPorts(id, address, nil, up) }

// SetPorts is SetInstance for an instance that has further ports, by the number
// the app knows them by. One that TCP routes alone lead to has no address.
func (r *Router) SetPorts(id, address string, ports map[int]string, up bool) {
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
		inst.local.ports = ports
	case was.up != up || !maps.Equal(was.ports, ports):
		inst.local = &place{ways: was.ways, up: up, ports: ports}
	}
	inst.settle()
	if up && (was == nil || !was.up || was.address != address) {
		inst.host.Revive(r.now())
	}
	for _, a := range inst.apps {
		a.resize(r.now())
		if up {
			a.route.Load().groups(func(g *group) { g.kept.away.Store(0) })
		}
		r.wake(a)
	}
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
	for _, a := range fresh.apps {
		was := a.route.Load()
		next := was.with(fresh, old)
		regroup(a, next, was)
		a.lead(next)
	}
	return fresh
}

// with is the route with fresh in the place of old.
func (rt *route) with(fresh, old *instance) *route {
	next := *rt
	next.main = next.main.with(fresh, old)
	next.services = maps.Clone(next.services)
	for process, p := range next.services {
		next.services[process] = p.with(fresh, old)
	}
	if next.old != nil {
		next.old = next.old.with(fresh, old)
	}
	return &next
}

// with is the pool with fresh in the place of old.
func (p pool) with(fresh, old *instance) pool {
	p = slices.Clone(p)
	for i, inst := range p {
		if inst == old {
			p[i] = fresh
		}
	}
	return p
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
	for _, a := range inst.apps {
		a.resize(r.now())
	}
	was.closeIdle()
	r.forget(inst)
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

// DrainTimes are how long the requests of an app may go on at an instance that
// goes, and its upgraded connections: what its team says, else usual.
func (r *Router) DrainTimes(app string, usual time.Duration) (requests, upgraded time.Duration) {
	r.mu.Lock()
	a := r.apps[app]
	r.mu.Unlock()
	if a == nil {
		return usual, usual
	}
	rt := a.route.Load()
	if rt == nil {
		return usual, usual
	}
	requests = cmp.Or(rt.edge.Timeouts.Drain, usual)
	return requests, cmp.Or(rt.edge.Timeouts.Upgraded, requests)
}

// Drain lets no request enter the instance from now on, for good, and returns
// nil when nothing is open to it any more: then it may be stopped. When ctx
// ends first it says how many requests are left; the instance stays closed to
// new ones. Put other instances into the route first. Requests have their own
// time, once that is over only upgraded connections are waited for; 0 is the
// time of ctx. Those end when the time is over that their app has for them, or
// that of requests where it says nothing. An unknown id has nothing open.
func (r *Router) Drain(ctx context.Context, id string, requests time.Duration) error {
	r.mu.Lock()
	inst := r.instances[id]
	r.mu.Unlock()
	if inst == nil {
		return nil
	}
	if err := inst.drained(ctx, inst.door.shut(), requests); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	inst.closeIdle()
	r.forget(inst)
	return nil
}
