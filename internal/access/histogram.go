package access

import (
	"math/bits"
	"time"
)

// bounds are the upper ends of the buckets that Prometheus is told of.
var bounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second, 60 * time.Second,
}

// histogram counts durations by bounds; the last bucket is what exceeds all.
type histogram struct {
	counts [len(bounds) + 1]uint64
	sum    time.Duration
}

func (h *histogram) add(d time.Duration) {
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.counts[i]++
	h.sum += max(d, 0)
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.sum += o.sum
}

// cumulative is what client_golang wants of a histogram.
func (h *histogram) cumulative() (n uint64, sum float64, buckets map[float64]uint64) {
	buckets = make(map[float64]uint64, len(bounds))
	for i, bound := range bounds {
		n += h.counts[i]
		buckets[bound.Seconds()] = n
	}
	return n + h.counts[len(bounds)], h.sum.Seconds(), buckets
}

// sketch counts durations finely enough for quantiles: four buckets a doubling
// from 262 µs to 137 s, so that a value is known to about 10 %.
const (
	sketchUnit    = 18 // 2^18 ns
	sketchBuckets = 80
)

func sketchOf(d time.Duration) int {
	v := uint64(max(d, 0)) >> (sketchUnit - 2)
	if v < 4 {
		return int(v)
	}
	exp := bits.Len64(v) - 1
	return min(4+(exp-2)*4+int(v>>(exp-2)&3), sketchBuckets-1)
}

func sketchStart(i int) time.Duration {
	if i < 4 {
		return time.Duration(i) << (sketchUnit - 2)
	}
	exp, sub := (i-4)/4+2, uint64((i-4)%4)
	return time.Duration((4 + sub) << (exp - 2) << (sketchUnit - 2))
}

// quantile is the duration that a share q does not exceed, interpolated.
func quantile(q float64, counts *[sketchBuckets]uint64, total uint64) time.Duration {
	if total == 0 {
		return 0
	}
	rank := max(uint64(q*float64(total)+0.9999999), 1)
	for i, n := range counts {
		if n >= rank {
			start, end := sketchStart(i), sketchStart(i+1)
			return start + time.Duration(float64(end-start)*float64(rank)/float64(n))
		}
		rank -= n
	}
	return sketchStart(sketchBuckets)
}
