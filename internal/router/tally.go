package router

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// buckets of a histogram: eight a doubling, from 66 µs to 137 s, and what is
// outside in the first and the last. A value is known to about 6 %.
const buckets = 160

// histogram counts durations. Safe for concurrent use; the zero value is empty,
// and as small as that: the buckets are made for the first duration.
type histogram struct {
	counts atomic.Pointer[[buckets]atomic.Uint32]
}

func (h *histogram) add(d time.Duration) {
	counts := h.counts.Load()
	if counts == nil {
		h.counts.CompareAndSwap(nil, new([buckets]atomic.Uint32))
		counts = h.counts.Load()
	}
	counts[bucketOf(d)].Add(1)
}

// unit is 2^16 ns: the smallest duration told apart from none.
const unitBits = 16

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0)) >> unitBits
	if v < 8 {
		return int(v)
	}
	exp := bits.Len64(v) - 1
	return min(8+(exp-3)*8+int(v>>(exp-3)&7), buckets-1)
}

// bucketStart is the least duration of bucket i.
func bucketStart(i int) time.Duration {
	if i < 8 {
		return time.Duration(i) << unitBits
	}
	exp, sub := (i-8)/8+3, uint64((i-8)%8)
	return time.Duration((8 + sub) << (exp - 3) << unitBits)
}

// quantile is the duration that a share q of what the histograms counted does
// not exceed, interpolated within its bucket; 0 when they are empty.
func quantile(q float64, of ...*histogram) time.Duration {
	var sums [buckets]uint64
	var total uint64
	for _, h := range of {
		counts := h.counts.Load()
		if counts == nil {
			continue
		}
		for i := range sums {
			n := uint64(counts[i].Load())
			sums[i] += n
			total += n
		}
	}
	if total == 0 {
		return 0
	}
	rank := uint64(math.Ceil(q * float64(total)))
	for i, n := range sums {
		if n >= rank {
			start, end := bucketStart(i), bucketStart(i+1)
			return start + time.Duration(float64(end-start)*float64(rank)/float64(n))
		}
		rank -= n
	}
	return bucketStart(buckets)
}

// A tally covers the last minute, in slots of a window: three whole ones and
// the current.
const (
	slots     = 4
	slotWidth = 15 * time.Second
)

// tally counts the requests of one release of one app over about the last
// minute. Times are on the router's clock.
type tally struct {
	release int
	open    atomic.Int64 // requests under way, WebSockets included
	minute  window
}

// add counts one ended request. A negative latency is counted as none.
func (t *tally) add(now, latency time.Duration, failed bool) {
	t.minute.add(slotWidth, now, latency, failed)
}

// lastMinute sums what ended within the last 45 to 60 seconds.
func (t *tally) lastMinute(now time.Duration) (requests, failed int64, p99 time.Duration) {
	return t.minute.sum(slotWidth, now)
}

// window counts what ended within the last slots, all of one width. They are
// made when first needed, so that who has no requests costs nothing.
type window struct {
	slots [slots]atomic.Pointer[slot]
}

type slot struct {
	number           int64 // which width of the router's clock
	requests, failed atomic.Int64
	latency          histogram
}

func (w *window) add(width, now, latency time.Duration, failed bool) {
	s := w.slot(width, now)
	s.requests.Add(1)
	if failed {
		s.failed.Add(1)
	}
	if latency >= 0 {
		s.latency.add(latency)
	}
}

func (w *window) slot(width, now time.Duration) *slot {
	number := int64(now / width)
	at := &w.slots[number%slots]
	for {
		s := at.Load()
		if s != nil && s.number >= number {
			return s
		}
		fresh := &slot{number: number}
		if at.CompareAndSwap(s, fresh) {
			return fresh
		}
	}
}

// sum is what the last three whole slots and the current counted.
func (w *window) sum(width, now time.Duration) (requests, failed int64, p99 time.Duration) {
	first := int64(now/width) - slots + 1
	var latencies []*histogram
	for i := range w.slots {
		s := w.slots[i].Load()
		if s == nil || s.number < first {
			continue
		}
		requests += s.requests.Load()
		failed += s.failed.Load()
		latencies = append(latencies, &s.latency)
	}
	return requests, failed, quantile(0.99, latencies...)
}
