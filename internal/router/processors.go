package router

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// processors has Go's runtime use few of them while there is little to do.
// Whatever makes a goroutine ready wakes a thread where a processor is idle; by
// the time that runs there is mostly nothing left for it, so it looks around and
// goes to sleep again. Where requests come a few at a time that is a tenth of what
// they cost. So while this process needs less than half of one processor, a quarter
// of them serve, one at least, besides those that the loops keep to themselves.
type processors struct {
	all, few int // with the loops'; all is 0: the runtime's are left alone
	wanted   atomic.Int64
	set      sync.Mutex

	// The first loop's, as are look, areFew and rest.
	since, used time.Duration // of the last look
	calm        int           // looks in a row that found little
}

const (
	lookEvery  = 20 * time.Millisecond
	calmEnough = 5                      // looks
	restAfter  = 100 * time.Millisecond // without requests something else may want them all
)

// begin is called before there is a loop; own is how many there are to be
// besides the loops'.
func (p *processors) begin(own, loops int) {
	if own > 0 && loops > 0 {
		p.all, p.few = own+loops, max(1, own/4)+loops
		p.wanted.Store(int64(p.all))
		runtime.GOMAXPROCS(p.all)
	}
}

// look is called again and again while requests come; used says what the process
// has used of processors so far.
func (p *processors) look(now time.Duration, used func() time.Duration) {
	passed := now - p.since
	if p.all == 0 || passed < lookEvery {
		return
	}
	before := p.used
	p.since, p.used = now, used()
	if passed > restAfter || p.used-before > passed/2 {
		p.rest()
		return
	}
	if p.calm++; p.calm == calmEnough {
		p.use(p.few)
	}
}

func (p *processors) areFew() bool { return p.calm >= calmEnough }

func (p *processors) rest() {
	p.calm = 0
	p.use(p.all)
}

// use has the runtime use n. It waits for a collection to end, which no loop may.
func (p *processors) use(n int) {
	if p.wanted.Swap(int64(n)) == int64(n) {
		return
	}
	go func() { // ends at once
		p.set.Lock()
		defer p.set.Unlock()
		runtime.GOMAXPROCS(int(p.wanted.Load()))
	}()
}

// processorTime is what all threads of this process ran.
func processorTime() time.Duration {
	var ran unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ran) // never fails
	return time.Duration(ran.Nano())
}
