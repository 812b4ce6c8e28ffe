package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"golang.org/x/sys/unix"
)

// A process rests while it uses hardly any of a processor between two looks. It
// is worth a collection then if enough was allocated since the last one.
const (
	restLook  = 2 * time.Second
	restUse   = restLook / 100
	restWorth = 4 << 20
)

// ballast counts as live for Go's runtime, which collects when the heap has
// doubled, and is no memory, for nobody writes to it. A node lives in some 5 MB:
// without it each hundredth handshake would have a collection begin.
const ballast = 16 << 20

// giveBack gives memory back to the system whenever the process comes to rest,
// until ctx ends: Go's runtime collects when the heap has doubled, and where
// nothing allocates, what a start or a push took would stay until then. held is
// how much of what lives is nobody's use: ballast.
func giveBack(ctx context.Context, held uint64) {
	tick := time.NewTicker(restLook)
	defer tick.Stop()
	var r rest
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if all, live := allocated(); r.due(processorTime(), all, live-min(live, held)) {
			debug.FreeOSMemory()
		}
	}
}

// rest is what was seen at the last look.
type rest struct {
	ran   time.Duration
	given uint64 // what had been allocated when memory was given back last
}

// due reports whether memory is to be given back: all is how many bytes of heap
// there ever were, live how many lived through the last collection.
func (r *rest) due(ran time.Duration, all, live uint64) bool {
	quiet := ran-r.ran < restUse
	r.ran = ran
	if !quiet || all-r.given <= max(restWorth, live/2) {
		return false
	}
	r.given = all
	return true
}

func allocated() (all, live uint64) {
	two := [...]metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(two[:])
	return two[0].Value.Uint64(), two[1].Value.Uint64()
}

// processorTime is what all threads of this process ran.
func processorTime() time.Duration {
	var ran unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ran) // never fails
	return time.Duration(ran.Nano())
}
