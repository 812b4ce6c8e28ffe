package router

import (
	"time"

	"github.com/slipway-paas/slipway/internal/overload"
)

// fewOpen is how many requests and handshakes a router that is late by its own
// load has to do with at least. With fewer something else takes the processors.
const fewOpen = 256

// lateness is how late this process is by its own load: its goroutines, of which
// the runtime tells, and its loops, of which that knows nothing, for what waits for
// them waits in the kernel. So while there is much to do each loop's bell is rung
// at each look, and stands in the same queue as its clients do.
func (r *Router) lateness() time.Duration {
	lag, late := r.lag.Read(), time.Duration(0)
	for _, l := range r.allLoops() {
		late = max(late, l.lag())
	}
	if lag == overload.Unknown && r.inTime {
		lag = 0 // or nothing would be known of the loops either
	}
	r.inTime = lag != overload.Unknown && lag < overload.DefaultLag/2
	if r.open.inside()+r.handshakes.underWay()+r.guard.Asked() < fewOpen {
		return 0
	}
	for _, l := range r.allLoops() {
		l.post(func() {})
	}
	if lag == overload.Unknown && late <= overload.DefaultLag {
		return lag
	}
	return max(lag, late)
}

// spare has a router that is late do less: handshakes are put off first, and
// only when that is no help are requests turned away.
func (r *Router) spare(lag time.Duration) {
	if lag == overload.Unknown {
		return // what is known goes on
	}
	slowed, shed := r.handshakes.pace.Slowed(), r.guard.Snapshot().Late
	if r.handshakes.pace.Observe(r.now(), lag > overload.DefaultLag) {
		lag = 0
	}
	r.guard.Observe(lag)
	if !slowed && r.handshakes.pace.Slowed() {
		r.log.Warn("handshakes are put off", "reason", "the router is late")
	}
	if !shed && r.guard.Snapshot().Late {
		r.log.Warn("requests are turned away", "reason", "the router is late")
	}
}
