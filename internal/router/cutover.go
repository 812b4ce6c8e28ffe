package router

import (
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// cutover counts one shift of an app from one release to another.
type cutover struct {
	app     *app
	number  int64
	started time.Time
	from    *tally // nil: there was no release before
	to      *tally

	// Of the release before, in the minute before.
	beforeRequests, beforeFailed int64
	beforeP99                    time.Duration

	requests, failed     atomic.Int64 // of every release, since the shift
	toRequests, toFailed atomic.Int64
	held, longest        atomic.Int64 // those who waited for an instance, and how long one did
	after                histogram    // latencies of the new release
	ended                atomic.Bool
	step                 atomic.Pointer[stage]
	undone               atomic.Pointer[platform.LedBack]       // nil: it holds
	before               atomic.Pointer[platform.CutoverReport] // what a router before this one counted; nil: nothing
}

// stage counts what both releases had since one step of a cutover began.
type stage struct {
	number   int // 0: the new release serves alone
	old, new side
	mirror   mirrored
}

// side is what one release had, in all and lately.
type side struct {
	requests, failed atomic.Int64
	latency          histogram
	lately           window
}

// lately is the width of the slots that say what was a moment ago.
const lately = 500 * time.Millisecond

func (s *side) add(now, latency time.Duration, failed bool) {
	s.requests.Add(1)
	if failed {
		s.failed.Add(1)
	}
	if latency >= 0 {
		s.latency.add(latency)
	}
	s.lately.add(lately, now, latency, failed)
}

func (s *side) counts(now time.Duration) (all, recent platform.SideCount) {
	all = platform.SideCount{Failed: s.failed.Load(), P99: quantile(0.99, &s.latency)}
	all.Requests = s.requests.Load() // last: all that failed are among them
	recent.Requests, recent.Failed, recent.P99 = s.lately.sum(lately, now)
	return all, recent
}

// begin starts to count a step, unless it is the one that is counted.
func (c *cutover) begin(number int) {
	if s := c.step.Load(); s == nil || s.number != number {
		c.step.Store(&stage{number: number})
	}
}

// newCutover is the count of a shift that happens now.
func newCutover(now time.Duration, a *app, number int64, from, to *tally) *cutover {
	c := &cutover{app: a, number: number, started: time.Now(), from: from, to: to}
	if from != nil {
		c.beforeRequests, c.beforeFailed, c.beforeP99 = from.lastMinute(now)
	}
	return c
}

// add counts one request that ended, whichever release had it.
func (c *cutover) add(now time.Duration, t *tally, latency time.Duration, failed bool) {
	if c.ended.Load() {
		return
	}
	c.requests.Add(1)
	if failed {
		c.failed.Add(1)
	}
	s := c.step.Load()
	if s != nil && t == c.from {
		s.old.add(now, latency, failed)
	}
	if t != c.to {
		return
	}
	if s != nil {
		s.new.add(now, latency, failed)
	}
	c.toRequests.Add(1)
	if failed {
		c.toFailed.Add(1)
	}
	if latency >= 0 {
		c.after.add(latency)
	}
}

// waited counts one request that waited for an instance before it was served.
func (c *cutover) waited(d time.Duration) {
	if c.ended.Load() {
		return
	}
	c.held.Add(1)
	for {
		longest := c.longest.Load()
		if int64(d) <= longest || c.longest.CompareAndSwap(longest, int64(d)) {
			return
		}
	}
}

// report is the count as it stands, with that of a router before.
func (c *cutover) report(now time.Duration) platform.CutoverReport {
	own := c.counted(now)
	before := c.before.Load()
	if before == nil {
		return own
	}
	sum := own.Add(*before)
	sum.Shifting = own.Shifting
	return sum
}

// counted is what this router counted itself.
func (c *cutover) counted(now time.Duration) platform.CutoverReport {
	r := platform.CutoverReport{
		App: c.app.name, Cutover: c.number, To: c.to.release, Started: c.started,
		BeforeRequests: c.beforeRequests, BeforeFailed: c.beforeFailed, P99Before: c.beforeP99,
	}
	if c.from != nil {
		r.From = c.from.release
	}
	r.Failed, r.ToFailed = c.failed.Load(), c.toFailed.Load()
	r.Requests, r.ToRequests = c.requests.Load(), c.toRequests.Load() // after: all that failed are among them
	r.Held, r.HeldLongest = c.held.Load(), time.Duration(c.longest.Load())
	r.P99After = quantile(0.99, &c.after)
	if c.from != nil && c.from != c.to {
		r.Draining = int(c.from.open.Load())
	}
	if led := c.undone.Load(); led != nil {
		r.Undone = *led
	}
	if s := c.step.Load(); s != nil {
		r.Step, r.Shifting = s.number, s.number != 0
		r.Old, r.OldLately = s.old.counts(now)
		r.New, r.NewLately = s.new.counts(now)
		r.Mirror = s.mirror.count()
	}
	return r
}

// recall has the old release serve all that the router leads, for the rest of
// the cutover. The first word of why it does so counts.
func (c *cutover) recall(led platform.LedBack) (first bool) {
	return led.Why != "" && c.undone.CompareAndSwap(nil, &led)
}

// judgeCutovers leads those back whose new release breaks its budget, by what
// this router alone has counted. It asks nobody, so a control plane that is away
// costs no more requests than one that is there.
func (r *Router) judgeCutovers() {
	if !r.mu.TryLock() {
		return // the table changes: at the next tick
	}
	defer r.mu.Unlock()
	for _, a := range r.young {
		c, rt := a.cutover.Load(), a.route.Load()
		if rt == nil || rt.shift == nil || rt.shift.budget == nil || rt.shift.ledBack() {
			continue
		}
		why := rt.shift.budget.Broken(c.report(r.now()))
		if !c.recall(platform.LedBack{Step: rt.step(), Why: why, At: time.Now().UTC().Round(time.Millisecond)}) {
			continue
		}
		r.log.Warn("cutover was led back", "app", a.name, "release", rt.release, "err", why)
		if r.opt.LedBack != nil {
			r.opt.LedBack()
		}
	}
}
