package router

import (
	"cmp"
	"slices"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// tallyAfter is the count of a release that follows old, which may be nil.
func tallyAfter(old *route, release int) *tally {
	for ; old != nil; old = old.old {
		if old.release == release {
			return old.tally
		}
	}
	return &tally{release: release}
}

// beginCutover starts a count when the shift from old to next is one that the
// router has not seen.
func (r *Router) beginCutover(a *app, old, next *route) {
	var seen int64
	var from *tally
	if old != nil {
		seen, from = old.cutover, old.tally
	}
	if next.old != nil {
		from = next.old.tally
	}
	if c := a.cutover.Load(); c != nil && next.cutover == seen {
		c.begin(next.step())
	}
	if next.cutover != 0 && next.cutover != seen {
		c := newCutover(r.now(), a, next.cutover, from, next.tally)
		c.begin(next.step())
		a.cutover.Store(c)
		if !a.young {
			a.young = true
			r.young = append(r.young, a)
		}
	}
	if c := a.cutover.Load(); c != nil && c.number == next.cutover && next.shift != nil {
		c.recall(next.shift.told)
		next.shift.undone = &c.undone
	}
}

// youth is how long Cutovers tells of a cutover.
const youth = time.Minute

// Cutovers are the counts of the last cutover of each app, by app, running or
// ended, that began within the last minute, leads to two releases or has requests open
// to the old one yet. So its cost is that of what moves, however many apps there are.
func (r *Router) Cutovers() []platform.CutoverReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	var reports []platform.CutoverReport
	r.young = slices.DeleteFunc(r.young, func(a *app) bool {
		c := a.cutover.Load()
		report := c.report(r.now())
		a.young = r.apps[a.name] == a && (report.Shifting || report.Draining > 0 || time.Since(report.Started) <= youth)
		if a.young {
			reports = append(reports, report)
		} else {
			c.step.Store(nil) // nobody looks at it any more
		}
		return !a.young
	})
	slices.SortFunc(reports, func(a, b platform.CutoverReport) int { return cmp.Compare(a.App, b.App) })
	return reports
}

// Cutover is the count of the last cutover of one app, and whether there is
// one. It is there until the app's next cutover or its removal.
func (r *Router) Cutover(app string) (platform.CutoverReport, bool) {
	if c := r.cutover(app); c != nil {
		return c.report(r.now()), true
	}
	return platform.CutoverReport{}, false
}

// EndCutover freezes the count of a cutover, Draining excepted. Another number
// than the last one's is ignored.
func (r *Router) EndCutover(app string, number int64) {
	if c := r.cutover(app); c != nil && c.number == number {
		c.ended.Store(true)
	}
}

func (r *Router) cutover(app string) *cutover {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.apps[app]; a != nil {
		return a.cutover.Load()
	}
	return nil
}

// Traffic is what an app has had lately.
type Traffic struct {
	// LastMinute is how many requests of the current release ended within
	// about the last minute (45 to 60 s), and Failed how many of them failed.
	LastMinute, Failed int64
	// P99 is the time in which 99 of 100 of them began to be answered.
	P99 time.Duration
	// Last is when a request ended last; zero when none has yet.
	Last time.Time
	// Open is how many requests are under way, WebSockets included.
	Open int
	// Waiting is how many wait for an instance: see platform.Route.Hold.
	Waiting int
}

// Traffic says what an app has had lately; nothing for an unknown one.
func (r *Router) Traffic(app string) Traffic {
	r.mu.Lock()
	a := r.apps[app]
	r.mu.Unlock()
	if a == nil {
		return Traffic{}
	}
	t := Traffic{Waiting: a.waiting()}
	if last := a.last.Load(); last != 0 {
		t.Last = r.start.Add(time.Duration(last))
	}
	if rt := a.route.Load(); rt != nil {
		t.LastMinute, t.Failed, t.P99 = rt.tally.lastMinute(r.now())
		t.Open = int(rt.tally.open.Load())
		if rt.old != nil {
			t.Open += int(rt.old.tally.open.Load())
		}
	}
	return t
}
