package overload

import (
	"math"
	"runtime/metrics"
	"slices"
	"time"
)

// Lag reads how late goroutines ran: the difference between two readings of
// the runtime's histogram of scheduling latencies. It is not safe for
// concurrent use.
type Lag struct {
	sample [1]metrics.Sample
	last   []uint64 // when something was told
	reads  int      // since then
}

// Unknown is a lag of which nothing is known yet: too little ran.
const Unknown time.Duration = -1

const (
	schedLatencies = "/sched/latencies:seconds"
	fewRuns        = 100 // below, one hiccup would be the 99th percentile
	// manyReads are enough to tell something of what ran, however little it was: what
	// is very late runs seldom, and the runtime counts one run in eight.
	manyReads = 4
)

// Read is the 99th percentile since it was last known; Unknown while too little
// ran to tell, but not for long. 0 when nothing ran, and at the first call.
func (l *Lag) Read() time.Duration {
	l.sample[0].Name = schedLatencies
	metrics.Read(l.sample[:])
	if l.sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return 0
	}
	h := l.sample[0].Value.Float64Histogram()
	if l.last == nil {
		l.last = append(l.last, h.Counts...)
		return 0
	}
	l.reads++
	lag, runs := percentile(h, l.last)
	if runs < fewRuns && l.reads < manyReads {
		return Unknown
	}
	l.reads = 0
	copy(l.last, h.Counts)
	return lag
}

// percentile is the 99th of what h has more than before, and how many that are.
func percentile(h *metrics.Float64Histogram, before []uint64) (lag time.Duration, total uint64) {
	for i, n := range h.Counts {
		total += n - before[i]
	}
	left := total / 100
	for i, count := range slices.Backward(h.Counts) {
		n := count - before[i]
		if n <= left {
			left -= n
			continue
		}
		if bound := h.Buckets[i]; !math.IsInf(bound, 0) {
			return time.Duration(bound * float64(time.Second)), total
		}
		return 0, total
	}
	return 0, 0
}
