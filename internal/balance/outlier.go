package balance

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// quarantine is how long a host that refused a connection is passed over.
	quarantine = time.Second
	// inARow is how many failures in a row eject a host.
	inARow = 5
	// An ejection takes ejection for each one lately, maxEjection at most.
	ejection    = 5 * time.Second
	maxEjection = 300 * time.Second
	// interval is how long success rates and latencies are gathered.
	interval = 10 * time.Second
	// Success rates are held against each other where minHosts had minRequests.
	minHosts    = 5
	minRequests = 100
	sigmas      = 1.9
	// A host is slow whose answers take slowFactor times those of the others and
	// slowBy more; both sides must have had minAnswers.
	slowFactor = 3
	slowBy     = 5 * time.Millisecond
	minAnswers = 20
)

// Result is what came of a request, as far as the host is to blame.
type Result int

// The results.
const (
	Served  Result = iota // an answer that is no 5xx
	Failed                // a 5xx, an answer that broke off or did not come
	Refused               // no connection came about
	Unknown               // nothing was found out: the client left, or an old connection had ended
)

// counts tells what was done. They only grow.
type counts struct {
	ejections, quarantines, retries, exhausted, hedges atomic.Int64
}

// Counts is what a pool has done since it came to be.
type Counts struct {
	Ejections, Quarantines  int64
	Retries, Hedges         int64
	Exhausted               int64 // retries and hedges that the budget was too small for
	Open, Out, Hosts, Probe int   // now
}

// Counts sums up the pool.
func (b *Balancer) Counts(now time.Duration) Counts {
	c := &b.shared.counts
	all := Counts{
		Ejections: c.ejections.Load(), Quarantines: c.quarantines.Load(),
		Retries: c.retries.Load(), Hedges: c.hedges.Load(), Exhausted: c.exhausted.Load(), Hosts: len(b.hosts),
	}
	for _, h := range b.hosts {
		all.Open += h.Open()
		switch h.standing(now) {
		case ejected, quarantined:
			all.Out++
		case halfOpen:
			all.Probe++
		case sound:
		}
	}
	return all
}

// Answered takes note that an answer to e's request began, after latency:
// Served or Failed. It may end long after; Done is still to be told, and then
// only a Failed counts besides.
func (b *Balancer) Answered(e *Entry, now time.Duration, result Result, latency time.Duration) {
	if e.host == nil || e.judged {
		return
	}
	b.judge(e, now, result, latency)
	e.judged, e.trial = true, false
	if e.probe {
		e.host.probe.Store(false) // after the verdict: the next probe sees it
		e.probe = false
	}
}

// Overdue takes note that e's request has waited for so long, and no answer has
// begun. Done is still to be told.
func (b *Balancer) Overdue(e Entry, now, waited time.Duration) {
	if e.host != nil {
		e.host.observe(now, waited, true)
	}
}

// Done gives a place back and takes note of what came of its request. Latency
// is the time until the answer began; negative: it did not, or Answered was told.
func (b *Balancer) Done(e Entry, now time.Duration, result Result, latency time.Duration) {
	h := e.host
	if h == nil {
		return
	}
	h.open.Add(-1)
	if !e.judged || result == Failed {
		b.judge(&e, now, result, latency)
	}
	if e.probe {
		h.probe.Store(false)
	}
	if due := b.shared.due.Load(); int64(now) >= due && b.shared.due.CompareAndSwap(due, int64(now+interval)) && due != 0 {
		b.evaluate(now)
	}
}

func (b *Balancer) judge(e *Entry, now time.Duration, result Result, latency time.Duration) {
	switch result {
	case Refused:
		b.refused(e.host, now)
	case Served, Failed:
		b.answered(e, now, result == Failed, latency)
	case Unknown:
	}
}

func (b *Balancer) refused(h *Host, now time.Duration) {
	before := h.standing(now)
	if before == ejected {
		return // which lasts longer
	}
	h.pass(now+quarantine, quarantined)
	b.shared.counts.quarantines.Add(1)
	if before == sound && b.told != nil { // else it was told
		b.told(h, now+quarantine, true)
	}
}

func (b *Balancer) answered(e *Entry, now time.Duration, failed bool, latency time.Duration) {
	h := e.host
	if latency >= 0 {
		h.observe(now, latency, failed)
		h.spent.Add(latency.Microseconds())
	}
	if !failed {
		h.counts.Add(1)
		if h.row.Load() != 0 {
			h.row.Store(0)
		}
		if e.trial {
			b.restore(h, now)
		}
		return
	}
	h.counts.Add(1 | 1<<32)
	again := e.trial && h.out.Load()&1 == 1
	if e.trial && !again {
		b.restore(h, now) // it takes connections, which is what it was passed over for
	}
	if h.row.Add(1) < inARow && !again {
		return
	}
	if b.fails(h, now) {
		b.tell(h)
	}
}

// fails ejects a host that fails, if it is to blame, and reports whether it did.
func (b *Balancer) fails(h *Host, now time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.commonFault(h) {
		h.row.Store(0)
		b.restore(h, now)
		return false
	}
	return b.eject(h, now)
}

func (b *Balancer) tell(h *Host) {
	if b.told != nil {
		b.told(h, time.Duration(h.out.Load()>>1), false)
	}
}

// restore takes a host back that answered while it was passed over. It starts
// slowly again, if hosts do and it was not by hearsay alone.
func (b *Balancer) restore(h *Host, now time.Duration) {
	if doubted := h.doubted.Swap(false); h.out.Swap(0) != 0 && !doubted {
		h.since.Store(int64(now))
	}
}

// commonFault reports whether the others fail as well: then it is the app's
// doing, or that of something behind it, and no ejection helps.
func (b *Balancer) commonFault(h *Host) bool {
	var requests, failed uint64
	for _, other := range b.hosts {
		if other != h {
			word := other.counts.Load()
			requests += word & math.MaxUint32
			failed += word >> 32
		}
	}
	return requests >= inARow && 2*failed >= requests
}

// eject passes h over, unless half of the pool is, and reports whether it is
// from now on. b.mu is held.
func (b *Balancer) eject(h *Host, now time.Duration) bool {
	h.row.Store(0)
	if h.standing(now) == ejected {
		return false
	}
	out := 1
	for _, other := range b.hosts {
		if other != h && other.standing(now) == ejected {
			out++
		}
	}
	if 2*out > len(b.hosts) {
		if h.standing(now) == halfOpen {
			h.out.Store(0) // it is needed
		}
		return false
	}
	times := min(h.times.Add(1), int32(maxEjection/ejection))
	h.pass(now+time.Duration(times)*ejection, ejected)
	h.doubted.Store(false)
	b.shared.counts.ejections.Add(1)
	return true
}

// row is what one host had in an interval.
type row struct {
	requests, failed uint64
	spent            time.Duration
}

func (r row) success() float64 { return 1 - float64(r.failed)/float64(r.requests) }

// evaluate looks at the interval that has ended.
func (b *Balancer) evaluate(now time.Duration) {
	for _, h := range b.evaluated(now) {
		b.tell(h)
	}
}

// evaluated does, and names who is ejected.
func (b *Balancer) evaluated(now time.Duration) []*Host {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all row
	for i, h := range b.hosts {
		word := h.counts.Swap(0)
		b.rows[i] = row{word & math.MaxUint32, word >> 32, time.Duration(h.spent.Swap(0)) * time.Microsecond}
		all.requests += b.rows[i].requests
		all.spent += b.rows[i].spent
		if h.standing(now) == sound && h.times.Load() > 0 {
			h.times.Add(-1)
		}
	}
	for i, h := range b.hosts {
		h.slow.Store(b.rows[i].slowerThan(row{requests: all.requests - b.rows[i].requests, spent: all.spent - b.rows[i].spent}))
	}
	return b.ejectFailing(now)
}

// slowerThan reports whether r is an outlier by latency beside the rest.
func (r row) slowerThan(rest row) bool {
	if r.requests < minAnswers || rest.requests < minAnswers {
		return false
	}
	mine, theirs := r.spent/time.Duration(r.requests), rest.spent/time.Duration(rest.requests)
	return mine > slowFactor*theirs && mine > theirs+slowBy
}

// ejectFailing ejects those whose success rate is far below the mean.
func (b *Balancer) ejectFailing(now time.Duration) (out []*Host) {
	var n, sum, squares float64
	for _, r := range b.rows {
		if r.requests >= minRequests {
			n, sum, squares = n+1, sum+r.success(), squares+r.success()*r.success()
		}
	}
	if n < minHosts {
		return nil
	}
	mean := sum / n
	floor := mean - sigmas*math.Sqrt(max(squares/n-mean*mean, 0))
	for i, h := range b.hosts {
		if r := b.rows[i]; r.requests >= minRequests && r.failed > 0 && r.success() < floor && b.eject(h, now) {
			out = append(out, h)
		}
	}
	return out
}
