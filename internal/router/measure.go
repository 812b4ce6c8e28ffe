package router

import (
	"cmp"
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/access"
)

// Metrics are what the router counts. They are read by an access.Exporter and
// by Live.
func (r *Router) Metrics() *access.Metrics { return r.metrics }

// Live says what each process type of an app has now and had lately, by name:
// requests under way and waiting, requests a second and at a time, how long they
// took, and what serves them. It is the one thing that an autoscaler asks; it
// costs what the app alone costs, and holds up no request. A type that nobody
// asked for is there with nothing, an unknown app is not.
func (r *Router) Live(app string) []access.Live {
	seen, waiting := r.snapshotOf(app)
	of := map[string]*access.Live{}
	at := func(process string) *access.Live {
		if of[process] == nil {
			of[process] = &access.Live{App: app, Process: process}
		}
		return of[process]
	}
	for _, live := range r.metrics.Live(app, r.now()) {
		*at(live.Process) = live
	}
	for _, p := range seen.Pools {
		at(p.Process).Open, at(p.Process).Instances = p.Open, p.Sound
	}
	for _, g := range seen.Gates {
		at(g.Process).Waiting, at(g.Process).Limit = g.Queued, g.Limit
	}
	if waiting > 0 {
		at(mainProcess).Waiting += waiting
	}
	var all []access.Live
	for _, process := range slices.Sorted(maps.Keys(of)) {
		all = append(all, *of[process])
	}
	return all
}

// Snapshot is what an access.Exporter asks the router for: of the apps that it
// exports, and of who waits. Routes change meanwhile.
func (r *Router) Snapshot() access.Snapshot {
	var s access.Snapshot
	now := r.now()
	for _, a := range r.asked(&s) {
		if waiting := int64(a.waiting()) + a.lingering.Load(); waiting > 0 {
			s.Waiting = append(s.Waiting, access.Waiting{App: a.name, Requests: int(waiting)})
		}
		pools := a.route.Load().pools(a.name, now, true)
		if len(pools) == 0 {
			continue
		}
		s.Pools = append(s.Pools, pools...)
		a.gates(&s, r)
		if full := a.full.Load(); full > 0 {
			s.Shed = append(s.Shed, access.Shed{App: a.name, Class: "any", Reason: "instances", Requests: full})
		}
	}
	sortShed(&s)
	slices.SortFunc(s.Waiting, func(a, b access.Waiting) int { return cmp.Compare(a.App, b.App) })
	return s
}

// asked are the apps that anybody has asked for; the cutovers go into s.
func (r *Router) asked(s *access.Snapshot) (all []*app) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.apps {
		if a.bounds.Load() != nil || a.last.Load() != 0 || a.waiting() > 0 {
			all = append(all, a)
		}
	}
	for _, a := range r.young {
		report := a.cutover.Load().report(r.now())
		if report.Requests == 0 && report.Draining == 0 {
			continue
		}
		s.Cutovers = append(s.Cutovers, access.Cutover{
			App: a.name, To: report.To, Requests: report.Requests, Failed: report.Failed, Draining: report.Draining,
		})
	}
	return all
}

// dial connects to an instance, and counts it.
func (r *Router) dial(ctx context.Context, dialer *net.Dialer, network, address string) (net.Conn, error) {
	began := r.now()
	conn, err := dialer.DialContext(ctx, network, address)
	r.metrics.Connected(r.now()-began, err)
	return conn, err
}

// keepSeries drops what is counted of process types that the route has no
// more. r.mu is held.
func (r *Router) keepSeries(app string, rt *route) {
	var processes []string
	rt.groups(func(g *group) { processes = append(processes, g.name()) })
	r.metrics.Keep(app, processes...)
}

// pools are the instances of a route, of both releases together, by process
// type: of all, or of those that are exported.
func (rt *route) pools(app string, now time.Duration, exported bool) []access.Pool {
	by := map[string]*access.Pool{}
	rt.groups(func(g *group) {
		if exported && !g.kept.series.Load().Exported() {
			return
		}
		c, p := g.counts(now), by[g.name()]
		if p == nil {
			p = &access.Pool{App: app, Process: g.name()}
			by[g.name()] = p
		}
		p.Open += c.Open
		p.Sound += c.Hosts - c.Out - c.Probe
		p.Out += c.Out
		p.HalfOpen += c.Probe
		// The balancers of both releases go on from one, and share these.
		p.Ejections, p.Quarantines = c.Ejections, c.Quarantines
		p.Retries, p.Hedges, p.Exhausted = c.Retries, c.Hedges, c.Exhausted
	})
	var all []access.Pool
	for _, name := range slices.Sorted(maps.Keys(by)) {
		all = append(all, *by[name])
	}
	return all
}

// note has the request written down, if it is to be.
func (x *exchange) note(now time.Duration, failed bool) {
	opt := &x.router.opt
	if opt.Access == nil {
		return
	}
	var share *int
	if x.route != nil {
		share = x.route.edge.Log.Sample
	}
	if opt.Sampled == nil || opt.Sampled(share, failed) {
		opt.Access(x.record(now, failed))
	}
}

func (x *exchange) record(now time.Duration, failed bool) Access {
	a := Access{
		Time: x.router.start.Add(x.began), Duration: now - x.began, Client: x.origin.client,
		Host: x.host, Method: string(x.req.Method), Path: x.visit.path(), Proto: x.proto, Scheme: x.origin.proto,
		Status: x.status, Bytes: x.bytes, In: max(x.req.Length, 0), Attempts: x.attempts,
		RequestID: string(x.origin.id), Failed: failed, Why: x.shed.String(),
		Referer: string(x.req.Get("referer")), Agent: string(x.req.Get("user-agent")),
	}
	if _, query, ok := strings.Cut(string(x.req.Target), "?"); ok {
		a.Query = query
	}
	if x.app != nil {
		a.App = x.app.name
	}
	if x.route != nil {
		a.Release = x.route.release
	}
	if x.inst != nil {
		a.Instance, a.Process = x.inst.id, x.berth.group.name()
	}
	return a
}
