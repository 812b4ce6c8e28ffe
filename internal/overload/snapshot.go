package overload

import (
	"math/bits"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// tallies are counted for as long as a gate lives.
type tallies struct {
	easy   uint64 // served without a look at the level
	served [Classes]uint64
	shed   Counts
	would  Counts
	waits  [waitBuckets]uint64 // by powers of two of microseconds
}

const waitBuckets = 26

func (t *tallies) wait(d time.Duration) {
	t.waits[min(bits.Len64(uint64(max(d, 0)/time.Microsecond)), waitBuckets-1)]++
}

// waitBelow is a bound that the share of waits was below.
func (t *tallies) waitBelow(share float64) time.Duration {
	var total uint64
	for _, n := range t.waits {
		total += n
	}
	left := uint64(share * float64(total))
	for i, n := range t.waits {
		if n > left {
			if i == 0 {
				return 0
			}
			return time.Duration(1) << i * time.Microsecond
		}
		left -= n
	}
	return 0
}

// Snapshot is what a gate knows at a moment. Counts are since it was made.
type Snapshot struct {
	Mode       platform.OverloadMode
	Cursor     Level // the lowest level that is admitted
	Overloaded bool  // the queue stands, and more comes than goes
	Limit      int   // slots of all instances
	InFlight   int
	Queued     int
	// WaitP50 and WaitP99 are upper bounds of how long served requests queued
	// since the last Snapshot.
	WaitP50, WaitP99 time.Duration
	// Unclassed were served when nothing was short, without a look at their class.
	Unclassed uint64
	Served    [Classes]uint64
	// Shed were turned away, by class and Reason; Would would have been, had
	// the mode been on.
	Shed, Would Counts
}

// Snapshot is what the gate knows now.
func (g *Gate) Snapshot(now time.Duration) Snapshot {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer clear(g.seen.waits[:])
	return Snapshot{
		Mode: g.set.Mode, Cursor: g.lowest(now), Overloaded: g.pressed,
		Limit: g.limit.total, InFlight: g.inflight, Queued: g.queue.size,
		WaitP50: g.seen.waitBelow(0.5), WaitP99: g.seen.waitBelow(0.99),
		Unclassed: g.seen.easy, Served: g.seen.served, Shed: g.seen.shed, Would: g.seen.would,
	}
}

func (g *Gate) lowest(now time.Duration) Level {
	if now < g.theirTo {
		return min(g.cursor.level, g.theirs)
	}
	return g.cursor.level
}

// Counts are of requests, by class and reason.
type Counts [Classes][Reasons]uint64

// Add adds more to c.
func (c *Counts) Add(more *Counts) {
	for class := range more {
		for why, n := range more[class] {
			c[class][why] += n
		}
	}
}

// Total is the count of all.
func (c *Counts) Total() (total uint64) {
	for _, by := range c {
		for _, n := range by {
			total += n
		}
	}
	return total
}
