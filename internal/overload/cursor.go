package overload

import (
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// counts are what a window saw.
type counts struct {
	began, end time.Duration
	all        int // requests that came
	admitted   int // of them those that the cursors let through
	spare      int // others that took a slot which nobody else was there for
	out        int // slots given back
	queued     time.Duration
	waits      int
	busy       float64 // slots taken, integrated over seconds
	busyAt     time.Duration
	hist       *histogram // of all, nil until one came; a quarter is forgotten each window
	peak       int        // of the slots taken
	ticked     [2]int     // all and out at the last tick
}

// histogram counts requests by level. Most gates never see one that has to be
// asked about, and have none.
type histogram [levels]uint32

// add counts a request.
func (c *counts) add(level Level) {
	c.all++
	if c.hist == nil {
		c.hist = new(histogram)
	}
	c.hist[level]++
}

// occupy accounts for the time since the last change, in which n slots were taken.
func (c *counts) occupy(now time.Duration, n int) {
	c.busy += float64(n) * (now - c.busyAt).Seconds()
	c.busyAt = now
}

// next begins another window.
func (c *counts) next(now time.Duration) {
	c.began, c.end, c.busyAt = now, now+window, now
	c.ticked = [2]int{}
	c.all, c.admitted, c.spare, c.out, c.queued, c.waits, c.busy = 0, 0, 0, 0, 0, 0, 0
	c.peak = 0
}

// fade forgets a part of the histogram. Not all: with few requests a window one
// would see too few users.
func (c *counts) fade() {
	if c.hist == nil {
		return
	}
	for i, n := range c.hist {
		c.hist[i] -= (n + 3) / 4
	}
}

// cursor is the lowest level that is admitted.
type cursor struct {
	level  Level
	cut    Level
	steady int // windows since it moved up by a step
}

const (
	increase = 0.01 // of what came, when it was not
	least    = 0.01 // of what came is always admitted
	growth   = 1.25 // of what was admitted, at most, when slots are free
	drain    = 5    // windows in which a backlog is to be gone
	// margin is how much more is admitted than went out. The queue takes the best
	// levels of it, so that there is always one of them to take a slot.
	margin = 2
	alarm  = 10 // times the target of work ahead is overload, however short the queue has stood
	stepUp = 5  // windows between steps up at full use
)

// aim puts the cursor where share of what comes is admitted, by the histogram.
// up says which way it may move.
func (c *cursor) aim(hist *histogram, share float64, up bool) {
	if to := hist.level(share); up && to > c.level || !up && to < c.level {
		c.level = to
	}
}

// level is the lowest down to which a share of what came is no more than that;
// Lowest when nothing is known. Somebody is always served.
func (h *histogram) level(share float64) Level {
	total := 0
	if h != nil {
		for _, n := range h {
			total += int(n)
		}
	}
	if total == 0 {
		return Lowest
	}
	left := share * float64(total)
	to := Level(-1)
	for to < Lowest && float64(h[to+1]) <= left {
		to++
		left -= float64(h[to])
	}
	return max(to, 0)
}

// roll ends a window: it moves cursor and limit by what the window saw, and
// turns away who waits too long by now.
func (g *Gate) roll(now time.Duration) (called calls) {
	w := &g.win
	if w.began == 0 && w.end == 0 { // the first
		w.next(now)
		return called
	}
	dt := now - w.began
	g.tick()
	if g.partTo > 0 && now >= g.partTo {
		g.size(now)
	}
	if dt < longWindow && (w.all < fewRequests || w.out < fewAnswers) {
		w.end = now + window
		g.expire(now, &called)
		return called
	}
	if g.queue.size == 0 && g.set.Mode == platform.OverloadOn {
		g.empty = now
	}
	w.occupy(now, g.inflight)
	seconds := dt.Seconds()
	used := w.busy / seconds
	if dt > 2*longWindow && w.all <= 1 {
		g.cursor.level = Lowest // nobody asked for long: what was known is old
	} else {
		g.move(now, dt, used)
	}
	p := pace{seconds, w.busy, float64(w.all), float64(w.out)}
	g.limit.roll(p, w.peak, g.queue.size > 0, g.rising >= fewRises)
	w.fade()
	w.next(now)
	g.expire(now, &called)
	return called
}

// A burst of requests, as one page load is, makes a queue too, but it ends: it
// is overload only when more comes than goes, again and again.
const fewRises, mostRises = 3, 6

// tick takes note, every 100 ms, of whether more came than went.
func (g *Gate) tick() {
	w := &g.win
	came, went := w.all-w.ticked[0], w.out-w.ticked[1]
	w.ticked = [2]int{w.all, w.out}
	switch {
	case came == 0 && went == 0:
	case came >= went:
		g.rising = min(g.rising+1, mostRises)
	default:
		g.rising = max(g.rising-1, 0)
	}
}

// move decides whether the window was one of overload, and moves the cursor.
func (g *Gate) move(now, dt time.Duration, used float64) {
	w, target := &g.win, g.target()
	average := g.queue.age(now) / 2
	if g.cursor.level == Lowest {
		average = min(average, g.ahead()/2) // the oldest may be one that better ones pass by
	}
	if w.waits > 0 {
		average = max(average, w.queued/time.Duration(w.waits))
	}
	over := average > target
	if g.cursor.level == Lowest && !g.pressed {
		over = over && now-g.empty > standing || g.ahead() > alarm*target
		over = over && g.rising >= fewRises && !g.limit.unsure()
	}
	g.pressed = over || g.pressed && average > target/2
	all := float64(max(w.all, 1))
	g.cursor.cut = w.hist.level(float64(w.out) / all)
	switch {
	case over:
		if fewer := g.fewer(dt); fewer < float64(w.admitted) {
			g.cursor.aim(w.hist, max(fewer, least*all)/all, false)
		}
		g.cursor.steady = 0
	case average < target/2 && g.cursor.level < Lowest:
		g.cursor.steady++
		if more := g.more(used, dt); more > 0 {
			g.cursor.aim(w.hist, more/all, true)
		}
	}
}

// fewer is how many to admit in a window after one of overload: margin times what
// went out, less a part of what is to be drained from the queue.
func (g *Gate) fewer(dt time.Duration) float64 {
	w := &g.win
	out := float64(w.out)
	backlog := float64(g.backlog()) - out*(g.target().Seconds()/2)/dt.Seconds()
	return max(margin*out-backlog/drain, out/2)
}

// ahead is how long one that comes now would wait.
func (g *Gate) ahead() time.Duration { return time.Duration(g.backlog()) * g.perSlot() }

// backlog is how many wait; in observe mode, how many would.
func (g *Gate) backlog() int {
	return max(g.queue.size, min(g.inflight-g.limit.total, g.room()))
}

// more is how many to admit after a calm window; 0: no more than now.
func (g *Gate) more(used float64, dt time.Duration) float64 {
	w, growth := &g.win, growth
	if each := g.perSlot(); each > 0 && float64(w.all) < 0.8*float64(dt/each) {
		growth = 2 // all that came, refused or not, could have been served
	}
	admitted, all := float64(w.admitted), float64(w.all)
	used *= admitted / max(admitted+float64(w.spare), 1) // by those the cursor chose
	if use := used / float64(max(g.limit.total, 1)); use < 0.95 {
		return max(admitted*min(1/max(use, 0.01), growth)+increase*all, 1)
	}
	if g.cursor.steady%stepUp == 0 {
		return max(admitted+increase*all, 1)
	}
	return 0
}
