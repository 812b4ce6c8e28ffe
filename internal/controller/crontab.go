package controller

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// crontab is which crons are due when, the next one first. It looks at the
// clock when that one is due, and now and then, for clocks are set: who sets
// one forward has what is due told soon, who sets it back does not have it told
// twice, unless it was so far ahead that it must have been wrong.
type crontab struct {
	now func() time.Time

	reading sync.Mutex // held from reading rows to set or put, so that the newest rows count

	mu   sync.Mutex
	next dues
	of   map[string]map[string]*due // by app and process type
	kick chan struct{}              // holds a token when the first may be another
}

// due is a cron and the next moment of its schedule.
type due struct {
	app, process string
	at           time.Time
	index        int // in dues
}

// lookAgain bounds how long a clock that was set goes unseen.
const lookAgain = 30 * time.Second

func newCrontab(now func() time.Time) *crontab {
	return &crontab{now: now, of: make(map[string]map[string]*due), kick: make(chan struct{}, 1)}
}

// set replaces what is known of an app: process types and their next moments.
func (t *crontab) set(app string, moments map[string]time.Time) {
	t.mu.Lock()
	for _, d := range t.of[app] {
		heap.Remove(&t.next, d.index)
	}
	delete(t.of, app)
	for process, at := range moments {
		t.push(&due{app: app, process: process, at: at})
	}
	t.mu.Unlock()
	t.tell()
}

// reset forgets all.
func (t *crontab) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next, t.of = nil, make(map[string]map[string]*due)
}

// put adds one cron, unless it is there: what set says is newer.
func (t *crontab) put(app, process string, at time.Time) {
	t.mu.Lock()
	if t.of[app][process] == nil {
		t.push(&due{app: app, process: process, at: at})
	}
	t.mu.Unlock()
	t.tell()
}

func (t *crontab) push(d *due) {
	if t.of[d.app] == nil {
		t.of[d.app] = make(map[string]*due)
	}
	t.of[d.app][d.process] = d
	heap.Push(&t.next, d)
}

func (t *crontab) tell() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

// take takes off the first when it is due; else it says how long to wait.
func (t *crontab) take() (d *due, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.next) == 0 {
		return nil, lookAgain
	}
	first, now := t.next[0], t.now()
	if first.at.After(now) {
		return nil, min(lookAgain, first.at.Sub(now))
	}
	heap.Pop(&t.next)
	delete(t.of[first.app], first.process)
	if len(t.of[first.app]) == 0 {
		delete(t.of, first.app)
	}
	return first, 0
}

// run tells each cron that is due until ctx ends; who is told puts it back. It
// calls wrong when the clock turns out to have been far ahead.
func (t *crontab) run(ctx context.Context, tell func(app, process string), wrong func()) {
	seen := t.now().Round(0) // by the clock on the wall: see package time
	for ctx.Err() == nil {
		now := t.now().Round(0)
		if now.Before(seen.Add(-platform.CronClockDrift)) {
			wrong()
		}
		seen = now
		d, wait := t.take()
		if d != nil {
			tell(d.app, d.process)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-t.kick:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// dues implement heap.Interface.
type dues []*due

func (d dues) Len() int           { return len(d) }
func (d dues) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d dues) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}

// Push implements heap.Interface.
func (d *dues) Push(x any) {
	item := x.(*due) //nolint:forcetypeassert // of heap.Push above
	item.index = len(*d)
	*d = append(*d, item)
}

// Pop implements heap.Interface.
func (d *dues) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}
