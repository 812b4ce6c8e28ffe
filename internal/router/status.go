package router

import (
	"cmp"
	"slices"
	"time"

	"github.com/slipway-paas/slipway/internal/access"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Status is what the router counts of one app, at the cost of that app alone.
// An unknown app has nothing.
func (r *Router) Status(app string) platform.EdgeStatus {
	var status platform.EdgeStatus
	of := map[string]*platform.EdgeProcess{}
	at := func(process string) *platform.EdgeProcess {
		if of[process] == nil {
			of[process] = &platform.EdgeProcess{Process: process}
		}
		return of[process]
	}
	seen, waiting := r.snapshotOf(app)
	for _, p := range seen.Pools {
		one := at(p.Process)
		one.Open, one.Sound, one.Out, one.HalfOpen = p.Open, p.Sound, p.Out, p.HalfOpen
		one.Ejections, one.Quarantines, one.Retries, one.Hedges, one.Exhausted = p.Ejections, p.Quarantines, p.Retries, p.Hedges, p.Exhausted
	}
	for _, live := range r.metrics.Live(app, r.now()) {
		one := at(live.Process)
		one.Second, one.Ten, one.Minute = windowOf(live.Second), windowOf(live.Ten), windowOf(live.Minute)
	}
	for _, g := range seen.Gates {
		status.Gates = append(status.Gates, platform.EdgeGate{
			Process: g.Process, Mode: g.Mode, Limit: g.Limit, InFlight: g.InFlight, Queued: g.Queued, Level: g.Level,
			WaitP99: time.Duration(g.WaitP99 * float64(time.Second)),
		})
	}
	for _, one := range of {
		status.Processes = append(status.Processes, *one)
	}
	slices.SortFunc(status.Processes, func(a, b platform.EdgeProcess) int { return cmp.Compare(a.Process, b.Process) })
	slices.SortFunc(status.Gates, func(a, b platform.EdgeGate) int { return cmp.Compare(a.Process, b.Process) })
	status.Waiting, status.Shed, status.Would = waiting, shedOf(seen.Shed), shedOf(seen.Would)
	return status
}

// snapshotOf is Snapshot for one app.
func (r *Router) snapshotOf(app string) (s access.Snapshot, waiting int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.apps[app]
	if a == nil {
		return s, 0
	}
	a.gates(&s, r)
	if rt := a.route.Load(); rt != nil {
		s.Pools = rt.pools(app, r.now(), false)
	}
	return s, a.waiting() + int(a.lingering.Load())
}

func windowOf(w access.Window) platform.EdgeWindow {
	return platform.EdgeWindow{Requests: w.Requests, Failed: w.Failed, PerSecond: w.PerSecond, P50: w.P50, P95: w.P95, P99: w.P99}
}

func shedOf(counts []access.Shed) (all []platform.EdgeShed) {
	for _, c := range counts {
		all = append(all, platform.EdgeShed{Class: c.Class, Reason: c.Reason, Requests: c.Requests})
	}
	return all
}
