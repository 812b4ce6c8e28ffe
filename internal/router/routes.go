package router

import (
	"slices"

	"github.com/slipway-paas/slipway/internal/match"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/rules"
)

// SetRoute makes route where app's requests go; nil makes its hosts unknown.
// Requests under way end where they are. A host that another app has moves to
// this one when it comes to name it, and back when it names it no more; until
// then the other may be told again and again. A Cutover number other than the
// last one seen begins a report. What cannot be used of a route is left out,
// logged and told by Problems. The cost does not depend on how many apps there
// are.
func (r *Router) SetRoute(app string, route *platform.Route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if route == nil {
		r.dropRoute(app)
	} else {
		r.setRoute(app, *route).leave(r)
	}
	r.sweep()
}

// SetAll makes routes all there are, and edge what it says. Apps that are not
// among them become unknown. Of several that name a host, those that named it
// before stay in their order; of new ones the last wins.
func (r *Router) SetAll(edge platform.EdgeState, routes []platform.Route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setEdge(edge)
	var left []departure
	named := map[string]bool{}
	for _, route := range routes {
		named[route.App] = true
		left = append(left, r.setRoute(route.App, route))
	}
	for _, d := range left { // once all have taken theirs
		d.leave(r)
	}
	for name := range r.apps {
		if !named[name] {
			r.dropRoute(name)
		}
	}
	r.sweep()
}

// departure is the hosts that an app gives up.
type departure struct {
	app   *app
	hosts []string
}

func (d departure) leave(r *Router) {
	for _, host := range d.hosts {
		r.table.leave(host, d.app)
	}
	r.changes.Add(1)
	r.wake(d.app)
}

// setRoute makes wish the app's route and lets the app take its hosts. Those
// that it no longer names are for the caller to take from it.
func (r *Router) setRoute(name string, wish platform.Route) departure {
	a := r.apps[name]
	if a == nil {
		a = &app{name: name, router: r}
		r.apps[name] = a
	}
	old := a.route.Load()
	next := routeAfter(old, wish)
	for _, backend := range wish.Backends {
		next.of(backend.Release).list(r.listed(a, backend), backend.Process)
	}
	regroup(a, next, old)
	r.beginCutover(a, old, next)
	a.lead(next)
	r.keepSeries(name, next)
	if old != nil {
		a.forgive(r.now(), old, next)
		r.unlist(a, old.backends(), next.backends())
	}
	delete(r.demanding, a)
	if wish.HTTPSOnly {
		r.demanding[a] = true
	}
	hosts, wrong := normalPatterns(wish.Hosts)
	r.complain("app "+name, slices.Concat(wrong, next.complaints(), a.bounds.Load().complaints()))
	left := r.takeHosts(a, hosts)
	r.takePorts(a, old, next)
	r.wake(a)
	return departure{a, left}
}

// routeAfter is a route without backends; what is the same as in old, which
// may be nil, is taken over from it.
func routeAfter(old *route, wish platform.Route) *route {
	next := &route{
		release: wish.Release, cutover: wish.Cutover,
		maintenance: wish.Maintenance, httpsOnly: wish.HTTPSOnly, hold: wish.Hold,
		uncertified: wish.Uncertified, tally: tallyAfter(old, wish.Release),
	}
	next.policy = policyAfter(old, wish)
	next.old, next.shift = next.beside(old, wish), shiftOf(wish)
	return next
}

// complaints say what of the route is not applied, its hosts and bounds aside.
func (rt *route) complaints() []string {
	return slices.Concat(rt.allow.Wrong(), rt.rules.Wrong(), rt.paths.complaints(), rt.clients.complaints(), rt.shift.complaints())
}

// policyAfter is what a route sets; what it takes over is that of old, which may
// be nil. What is wrong with it is told by setRoute.
func policyAfter(old *route, wish platform.Route) *policy {
	before := noPolicy
	if old != nil {
		before = old.policy
	}
	if len(wish.TCP)+len(wish.Allow)+len(wish.Paths) == 0 && platform.Same(wish.Edge, platform.Edge{}) {
		return noPolicy
	}
	p := &policy{
		edge: wish.Edge, tcp: tcpRoutes(wish.TCP), allow: match.NetworksAfter(before.allow, wish.Allow),
		paths: pathsAfter(before.paths, wish.Paths), clients: clientsAfter(before.clients, wish.Edge.Clients), tlsProfile: profileOf(wish.Edge.TLS),
	}
	p.rules, _ = rules.Compile(wish.Edge, before.rules)
	return p
}

func (r *Router) dropRoute(name string) {
	a := r.apps[name]
	if a == nil {
		return
	}
	departure{a, a.hosts}.leave(r)
	old := a.route.Swap(nil)
	r.takePorts(a, old, nil)
	r.wake(a)
	r.unlist(a, old.backends(), nil)
	delete(r.apps, name)
	r.metrics.Keep(name)
	delete(r.demanding, a)
	r.complain("app "+name, nil)
}

// takeHosts lets a take sorted hosts and returns those that it had besides.
func (r *Router) takeHosts(a *app, hosts []string) (left []string) {
	for _, host := range a.hosts {
		if _, kept := slices.BinarySearch(hosts, host); !kept {
			left = append(left, host)
		}
	}
	for _, host := range hosts {
		if was, moved := r.table.take(host, a); moved {
			r.log.Warn("host moved from one app to another", "app", a.name, "domain", host, "from", was.name)
		}
	}
	a.hosts = hosts
	r.changes.Add(1)
	return left
}

// listed is the instance that a backend of a names.
func (r *Router) listed(a *app, b platform.Backend) *instance {
	inst := r.instances[b.Instance]
	if inst == nil {
		inst = newInstance(b.Instance)
		r.instances[b.Instance] = inst
	}
	if !slices.Contains(inst.apps, a) {
		inst.apps = append(inst.apps, a)
	}
	if inst.slots.Load() < 0 {
		inst.slots.Store(0) // it had left
	}
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
	kept := make(map[*instance]bool, len(next))
	for _, inst := range next {
		kept[inst] = true
	}
	for _, inst := range old {
		if !kept[inst] {
			inst.apps = slices.DeleteFunc(inst.apps, func(b *app) bool { return a == b })
			r.forget(inst)
		}
	}
}

// forget drops an instance that nothing refers to and nobody is inside of.
// While somebody is, Drain and InFlight must find it: sweep looks again.
func (r *Router) forget(inst *instance) {
	switch {
	case !inst.forgotten():
		delete(r.leaving, inst)
	case inst.door.inside() > 0:
		r.leaving[inst] = true
	default:
		delete(r.leaving, inst)
		inst.closeIdle()
		if r.instances[inst.id] == inst {
			delete(r.instances, inst.id)
		}
	}
}

// sweepAtOnce is how many of the instances that somebody was inside of are
// looked at again by one change: with many tunnels open there are many.
const sweepAtOnce = 16

// sweep forgets some of the instances that are leaving, if they may be.
func (r *Router) sweep() {
	looked := 0
	if len(r.leaving) == 0 {
		r.leaving = map[*instance]bool{} // one that was large takes long to walk through, empty too
	}
	for inst := range r.leaving { // begins anywhere, so that all get their turn
		if looked++; looked > sweepAtOnce {
			return
		}
		r.forget(inst)
	}
}
