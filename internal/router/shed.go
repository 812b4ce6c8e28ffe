package router

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/access"
	"github.com/slipway-paas/slipway/internal/overload"
	"github.com/slipway-paas/slipway/internal/platform"
)

// refusals count, by class and reason, what was turned away before it came to a
// gate: for a rate limit, or for the router's own sake.
type refusals [overload.Classes][overload.Reasons]atomic.Int64

// countRefused counts one.
func (a *app) countRefused(level overload.Level, why overload.Reason) {
	if a.refused.Load() == nil {
		a.refused.CompareAndSwap(nil, new(refusals))
	}
	a.refused.Load()[level.Class()][why].Add(1)
}

// tellShedEvery is how often the log says of an app that requests of it are
// turned away.
const tellShedEvery = 10 * time.Second

// tellShed says in the log that requests are turned away, now and then.
func (a *app) tellShed(r *Router, why overload.Reason) {
	n, now, told := a.untold.Add(1), int64(r.now()), a.told.Load()
	if told != 0 && now-told < int64(tellShedEvery) || !a.told.CompareAndSwap(told, now) {
		return
	}
	a.untold.Add(-n)
	r.log.Warn("requests were turned away", "app", a.name, "reason", why.String(), "requests", n)
}

// gates appends what the app's gates know, and what was turned away.
func (a *app) gates(s *access.Snapshot, r *Router) {
	b := a.bounds.Load()
	if b == nil {
		return
	}
	var shed, would overload.Counts
	for process, g := range b.gates {
		seen := g.Snapshot(r.now())
		shed.Add(&seen.Shed)
		would.Add(&seen.Would)
		if seen.Mode == platform.OverloadOff {
			continue
		}
		s.Gates = append(s.Gates, access.Gate{
			App: a.name, Process: cmp.Or(process, "web"), Mode: string(seen.Mode), Limit: seen.Limit,
			InFlight: seen.InFlight, Queued: seen.Queued, Level: int(seen.Cursor), WaitP99: seen.WaitP99.Seconds(),
		})
	}
	if refused := a.refused.Load(); refused != nil {
		for class := range refused {
			for why := range refused[class] {
				shed[class][why] += uint64(refused[class][why].Load())
			}
		}
	}
	s.Shed = append(s.Shed, counted(a.name, &shed)...)
	s.Would = append(s.Would, counted(a.name, &would)...)
}

// counted are the counts that are not zero.
func counted(app string, counts *overload.Counts) (all []access.Shed) {
	for class := range counts {
		for why, n := range counts[class] {
			if n > 0 {
				all = append(all, access.Shed{
					App: app, Class: overload.Class(class).String(), Reason: overload.Reason(why).String(), Requests: int64(n),
				})
			}
		}
	}
	return all
}

// sortShed brings what came by maps into an order.
func sortShed(s *access.Snapshot) {
	slices.SortStableFunc(s.Shed, func(a, b access.Shed) int { return cmp.Compare(a.App, b.App) })
	slices.SortStableFunc(s.Would, func(a, b access.Shed) int { return cmp.Compare(a.App, b.App) })
	slices.SortFunc(s.Gates, func(a, b access.Gate) int {
		return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Process, b.Process))
	})
}
