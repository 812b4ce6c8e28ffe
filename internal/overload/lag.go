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
	last   []uint64
}

const (
	schedLatencies = "/sched/latencies:seconds"
	fewRuns        = 100 // below, one hiccup would be the 99th percentile
)

// Read is the 99th percentile since the last call; 0 when little ran, and at
// the first call.
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
	lag := percentile(h, l.last)
	copy(l.last, h.Counts)
	return lag
}

// percentile is the 99th of what h has more than before.
func percentile(h *metrics.Float64Histogram, before []uint64) time.Duration {
	var total uint64
	for i, n := range h.Counts {
		total += n - before[i]
	}
	if total < fewRuns {
		return 0
	}
	left := total / 100
	for i, count := range slices.Backward(h.Counts) {
		n := count - before[i]
		if n <= left {
			left -= n
			continue
		}
		if bound := h.Buckets[i]; !math.IsInf(bound, 0) {
			return time.Duration(bound * float64(time.Second))
		}
		return 0
	}
	return 0
}
