package router

import (
	"cmp"
	"slices"

	"github.com/slipway-paas/slipway/internal/access"
)

// Metrics are what the router counts. They are read by an access.Exporter and
// by Live.
func (r *Router) Metrics() *access.Metrics { return r.metrics }

// Live says what each process type of an app has had lately: how many requests
// a second, how many at a time, and how long they took. An autoscaler asks for
// it. An unknown app has none.
func (r *Router) Live(app string) []access.Live { return r.metrics.Live(app, r.now()) }

// Snapshot is what an access.Exporter asks the router for. Its cost is that of
// all apps.
func (r *Router) Snapshot() access.Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	var s access.Snapshot
	for name, a := range r.apps {
		if waiting := a.lobby.size.Load(); waiting > 0 {
			s.Waiting = append(s.Waiting, access.Waiting{App: name, Requests: int(waiting)})
		}
	}
	for _, a := range r.young {
		report := a.cutover.Load().report(r.now())
		s.Cutovers = append(s.Cutovers, access.Cutover{
			App: a.name, To: report.To, Requests: report.Requests, Failed: report.Failed, Draining: report.Draining,
		})
	}
	slices.SortFunc(s.Waiting, func(a, b access.Waiting) int { return cmp.Compare(a.App, b.App) })
	return s
}
