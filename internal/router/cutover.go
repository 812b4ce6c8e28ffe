package router

import (
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// cutover counts one shift of an app from one release to another.
type cutover struct {
	began platform.CutoverReport // what was known at the shift
	from  *tally                 // nil: there was no release before
	to    *tally

	requests, failed     atomic.Int64 // of every release, since the shift
	toRequests, toFailed atomic.Int64
	held, longest        atomic.Int64 // those who waited for an instance, and how long one did
	after                histogram    // latencies of the new release
	ended                atomic.Bool
}

// newCutover is the count of a shift that happens now.
func newCutover(now time.Duration, a *app, number int64, from, to *tally) *cutover {
	c := &cutover{from: from, to: to, began: platform.CutoverReport{
		App: a.name, Cutover: number, To: to.release, Started: time.Now(),
	}}
	if from != nil {
		c.began.From = from.release
		c.began.BeforeRequests, c.began.BeforeFailed, c.began.P99Before = from.lastMinute(now)
	}
	return c
}

// add counts one request that ended, whichever release had it.
func (c *cutover) add(t *tally, latency time.Duration, failed bool) {
	if c.ended.Load() {
		return
	}
	c.requests.Add(1)
	if failed {
		c.failed.Add(1)
	}
	if t != c.to {
		return
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

// report is the count as it stands.
func (c *cutover) report() platform.CutoverReport {
	r := c.began
	r.Requests, r.Failed = c.requests.Load(), c.failed.Load()
	r.ToRequests, r.ToFailed = c.toRequests.Load(), c.toFailed.Load()
	r.Held, r.HeldLongest = c.held.Load(), time.Duration(c.longest.Load())
	r.P99After = quantile(0.99, &c.after)
	if c.from != nil && c.from != c.to {
		r.Draining = int(c.from.open.Load())
	}
	return r
}
