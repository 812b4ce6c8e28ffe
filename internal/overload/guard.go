package overload

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Guard keeps the router itself from more than it can do. Its measure is how
// late the router is: the time between the moment that something could run and
// that it runs. While it is late, apps that asked for more than their fair share
// of what the router gets done lose requests, the lowest levels first; apps
// below their share lose none. While it is not, a request costs one load.
type Guard struct {
	late atomic.Bool // requests are counted

	mu      sync.Mutex
	most    time.Duration
	strikes int
	cursor  cursor // for apps over their share
	epoch   int
	win     guardWindow
	share   int     // of an app of weight 1, by the last window; 0: not known
	aim     float64 // what is to be taken in a window
	calm    int     // windows in time, lately
	shed    [Classes]uint64
}

// guardWindow is what a window saw.
type guardWindow struct {
	within, over, taken int // requests; over: of apps over their share
	weights             int // of the apps that asked
	hist                histogram
}

// DefaultLag is how late a router may be. A handshake is put off by about as
// much; people begin to notice at twice that.
const DefaultLag = 50 * time.Millisecond

const (
	strikes  = 3    // windows that make a lag more than a hiccup
	fewAsked = 20   // requests; fewer are no reason for a lag either
	relief   = 0.90 // of what was taken is, in the next window of lag
	modest   = 0.05 // of what comes is not what makes a router late: it is who is turned away, or something else
	recovery = 0.10 // more of it, when there is none; twice as much more in each window after
)

// NewGuard returns a guard for a router that may be late by most; 0 stands for
// DefaultLag.
func NewGuard(most time.Duration) *Guard {
	if most <= 0 {
		most = DefaultLag
	}
	return &Guard{most: most, cursor: cursor{level: Lowest}, epoch: 1}
}

// Share is an app's part in a Guard, which guards it. The zero value is ready;
// an app keeps one.
type Share struct {
	epoch int
	asked int
	over  bool // in the last window that it asked in
}

// Admit reports whether a request of an app may come in; an app of twice the
// weight has twice the share. level is asked only when the router is late. A
// nil Guard lets everything in.
func (g *Guard) Admit(s *Share, weight int, level func() Level) bool {
	if g == nil || !g.late.Load() {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count(s, max(weight, 1))
	if !s.over {
		g.win.within++
		g.win.taken++
		return true
	}
	at := level()
	g.win.over++
	g.win.hist[at]++
	if at <= g.cursor.level {
		g.win.taken++
		return true
	}
	g.shed[at.Class()]++
	return false
}

// count accounts for a request of an app, and judges the app by its last window
// when this is its first of another.
func (g *Guard) count(s *Share, weight int) {
	if s.epoch != g.epoch {
		s.over = s.epoch == g.epoch-1 && g.share > 0 && s.asked > g.share*weight
		s.epoch, s.asked = g.epoch, 0
		g.win.weights += weight
	}
	s.asked++
}

// Observe ends a window: lag is how late the router was in it, at the 99th
// percentile. It is called every 100 ms or so, by one goroutine.
func (g *Guard) Observe(lag time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if lag > g.most {
		g.strikes++
	} else {
		g.strikes = 0
	}
	switch {
	case g.late.Load() && lag > g.most && g.win.within+g.win.over < fewAsked:
		return // the window goes on: so few say nothing of what classes come
	case g.late.Load():
		g.steer(lag)
	case g.strikes >= strikes:
		g.late.Store(true)
	}
	g.epoch++
	g.win = guardWindow{}
}

// Asked is how many requests the guard has looked at in this window: none while
// the router is in time.
func (g *Guard) Asked() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.win.within + g.win.over
}

// steer moves the cursor by the window that ends.
func (g *Guard) steer(lag time.Duration) {
	w := &g.win
	floor := modest * float64(w.within+w.over)
	switch {
	case lag > g.most:
		g.calm = 0
		g.aim = max(float64(w.taken)*relief, floor)
		g.cursor.aim(&w.hist, g.part(), false)
	case lag < g.most/2:
		g.aim = max(g.aim, float64(w.taken))*(1+recovery*float64(int(1)<<min(g.calm, 20))) + 1
		g.calm++
		g.cursor.aim(&w.hist, g.part(), true)
	default:
		g.calm = 0
		g.aim = max(float64(w.taken), floor)
	}
	g.share = max(int(min(g.aim, math.MaxInt32))/max(w.weights, 1), 1)
	if g.cursor.level == Lowest && lag < g.most/2 {
		g.late.Store(false)
		g.share, g.aim, g.calm = 0, 0, 0
	}
}

// part is how much of what the apps over their share ask for is to be taken.
func (g *Guard) part() float64 {
	return max(g.aim-float64(g.win.within), 0) / float64(max(g.win.over, 1))
}

// GuardSnapshot is what a guard knows at a moment.
type GuardSnapshot struct {
	Late   bool
	Cursor Level
	Shed   [Classes]uint64
}

// Snapshot is what the guard knows now.
func (g *Guard) Snapshot() GuardSnapshot {
	g.mu.Lock()
	defer g.mu.Unlock()
	return GuardSnapshot{g.late.Load(), g.cursor.level, g.shed}
}
