package router

import (
	"runtime/debug"
	"runtime/metrics"
)

// tidy gives back to the system what a burst of handshakes took. Each leaves
// garbage many times the size of what is kept of its connection, and where
// nothing follows Go's runtime keeps that for minutes.
type tidy struct {
	seen, done int64 // handshakes: at the last tick, at the last time
	still      int   // for how many ticks there was none
}

const (
	tidyAfter        = 500
	handshakeGarbage = 48 << 10
)

// tick is called by the watch, with how many handshakes there were so far.
func (t *tidy) tick(made int64) {
	if made != t.seen {
		t.seen, t.still = made, 0
		return
	}
	t.still++
	fresh := made - t.done
	if t.still != dozeAfter+2 || fresh < tidyAfter { // the connections are parked then
		return
	}
	// It costs what is live, so there has to be as much to be had.
	live := [1]metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live[:])
	if live[0].Value.Kind() != metrics.KindUint64 || uint64(fresh)*handshakeGarbage < live[0].Value.Uint64()/2 {
		return
	}
	t.done = made
	go debug.FreeOSMemory() // ends by itself
}
