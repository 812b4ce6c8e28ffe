package router

import (
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestADurationIsKnownToWithinAnEighth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(2*time.Minute)).Draw(t, "d"))
		i := bucketOf(d)
		if from, to := bucketStart(i), bucketStart(i+1); d < from || d >= to || to-from > from/7 {
			t.Fatalf("%v is in bucket %d: %v to %v", d, i, from, to)
		}
	})
}

func TestEveryDurationHasABucket(t *testing.T) {
	for _, d := range []time.Duration{-time.Hour, 0, 1, time.Microsecond, time.Hour, 1 << 62} {
		if i := bucketOf(d); i < 0 || i >= buckets {
			t.Errorf("%v is in bucket %d", d, i)
		}
	}
}

func TestTheQuantileIsThatOfWhatWasCounted(t *testing.T) {
	var h histogram
	if got := quantile(0.99, &h); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		if got := quantile(q, &h); got < want*94/100 || got > want*106/100 {
			t.Errorf("q%v: %v, want about %v", q, got, want)
		}
	}
}

func TestATallyForgetsAfterAMinute(t *testing.T) {
	var c tally
	second := time.Second
	c.add(0, 10*time.Millisecond, true)
	c.add(20*second, 10*time.Millisecond, false)
	for now, want := range map[time.Duration]int64{20 * second: 2, 59 * second: 2, 60 * second: 1, 74 * second: 1, 75 * second: 0, time.Hour: 0} {
		if got, _, _ := c.lastMinute(now); got != want {
			t.Errorf("after %v: %d, want %d", now, got, want)
		}
	}
	c.add(2*time.Hour, time.Millisecond, false)
	if got, failed, p99 := c.lastMinute(2 * time.Hour); got != 1 || failed != 0 || p99 > 2*time.Millisecond {
		t.Errorf("later: %d, %d failed, p99 %v", got, failed, p99)
	}
}

func TestATallyCountsFromManyAtOnce(t *testing.T) {
	var c tally
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 1000 {
				c.add(time.Duration(i)*40*time.Millisecond, time.Millisecond, false)
			}
		})
	}
	all.Wait()
	if got, _, _ := c.lastMinute(40 * time.Second); got != 8000 {
		t.Errorf("%d, want 8000", got)
	}
}
