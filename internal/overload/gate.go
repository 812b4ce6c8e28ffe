package overload

import (
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Settings are what an app's team wishes of its gates.
type Settings struct {
	// Mode on turns requests away; observe counts those that would be, and lets
	// all through. Off, which is also the zero value here, does nothing at all.
	Mode platform.OverloadMode
	// Limit is how many requests one instance serves at a time; 0: found out.
	Limit int
	// Target is how long requests may queue on average. Default what one takes to
	// be served, at least 5 ms. Less leaves instances idle between requests; more
	// is waited by everybody.
	Target time.Duration
	// Retry is how long a client that is turned away is asked to stay away, at
	// least. Default 1 s.
	Retry time.Duration
}

// mostTarget bounds what is taken for the target of slow apps.
const mostTarget = time.Second

// leastTarget is longer than the hiccups of a machine that is in use.
const leastTarget = 5 * time.Millisecond

func (s Settings) withDefaults() Settings {
	if s.Retry <= 0 {
		s.Retry = time.Second
	}
	return s
}

const (
	window      = 100 * time.Millisecond
	longWindow  = time.Second // of an app with few requests
	fewRequests = 20
	fewAnswers  = 10
	// patient is how long a request waits when the queue is a burst's, which ends.
	// Under overload it waits for as long as a full queue takes to be served, which
	// is what few requests take: longer would be waited in vain. Who comes to a queue
	// that has stood for that long, and grows, waits for twice that: see stands.
	patient = 5 * time.Second
	// standing is how long a queue must not have been empty to be overload.
	standing = 500 * time.Millisecond
	burst    = 256 // may wait that are one
	maxQueue = 4096
)

// Gate is the admission control of one app's instances of one process type. It
// stays while the app's route changes. All methods are safe for concurrent use
// and take the time on one clock, which never goes back.
type Gate struct {
	mu        sync.Mutex
	set       Settings
	instances int
	limit     limiter
	part      float64       // of a limit that was told, until partTo; 0: there is none
	partTo    time.Duration // see Share

	inflight int
	queue    queue

	win     counts
	cursor  cursor
	theirs  Level // the app's own cursor, until theirsTo
	theirTo time.Duration

	hold    time.Duration // mean time that a slot is held
	empty   time.Duration // when the queue was last empty
	pressed bool          // the queue stands, and more comes than goes
	rising  int           // see tick
	chance  uint64        // state of the jitter

	seen tallies
}

// NewGate returns a gate; seed varies its jitter.
func NewGate(set Settings, seed uint64) *Gate {
	g := &Gate{set: set.withDefaults(), instances: 1, chance: seed}
	g.cursor.level = Lowest
	g.limit.set(g.set.Limit, 1)
	return g
}

// Set changes the settings. What was learnt is kept.
func (g *Gate) Set(now time.Duration, set Settings) {
	g.mu.Lock()
	g.set = set.withDefaults()
	g.size(now)
	g.settle(now)
}

// Instances tells how many instances are up; none counts as one.
func (g *Gate) Instances(now time.Duration, n int) {
	g.mu.Lock()
	g.instances = max(n, 1)
	g.size(now)
	g.settle(now)
}

// settle lets those go who may and unlocks: for changes other than a request's.
func (g *Gate) settle(now time.Duration) {
	called := g.pump(now)
	g.mu.Unlock()
	called.call()
}

// Enter is Ask for when nothing is short, which is nearly always: it reports
// whether the request has a slot, without a look at its level. If not, Ask.
func (g *Gate) Enter(now time.Duration) bool {
	g.mu.Lock()
	if g.set.Mode == platform.OverloadOff || g.set.Mode == "" {
		g.inflight++
		g.mu.Unlock()
		return true
	}
	if now >= g.win.end {
		called := g.roll(now)
		defer called.call()
	}
	if 2*g.inflight >= g.limit.total || g.queue.size > 0 || g.cursor.level < Lowest || now < g.theirTo {
		g.mu.Unlock()
		return false
	}
	g.win.all++
	g.win.admitted++
	g.seen.easy++
	g.take(now, 1)
	g.mu.Unlock()
	return true
}

// Ask asks for a slot for a request of a level. On Wait, w is called back once,
// unless Leave takes it out before; w is the gate's until then. On Shed, the
// request is to be answered with 503 and RetryAfter.
func (g *Gate) Ask(now time.Duration, level Level, w *Waiter) (Verdict, Reason) {
	g.mu.Lock()
	var called calls
	if now >= g.win.end {
		called = g.roll(now)
	}
	verdict, why := g.ask(now, level, w, &called)
	g.mu.Unlock()
	called.call()
	return verdict, why
}

func (g *Gate) ask(now time.Duration, level Level, w *Waiter, called *calls) (Verdict, Reason) {
	g.win.add(level)
	why := g.judge(now, level)
	if why == None {
		g.win.admitted++
	}
	if g.set.Mode != platform.OverloadOn {
		return g.observe(now, level, why)
	}
	if why == ByLevel && g.inflight < g.limit.total && g.queue.size == 0 {
		g.win.spare++
		why = None // nobody else is there for the slot
	}
	if why != None {
		g.seen.shed[level.Class()][why]++
		return Shed, why
	}
	if g.inflight < g.limit.total && g.queue.size == 0 {
		g.seen.served[level.Class()]++
		g.waited(0)
		g.take(now, 1)
		return Go, None
	}
	return g.enqueue(now, level, w, called)
}

// judge compares a level with the cursors.
func (g *Gate) judge(now time.Duration, level Level) Reason {
	switch {
	case level > g.cursor.level:
		return ByLevel
	case now < g.theirTo && level > g.theirs:
		return ByApp
	}
	return None
}

// observe lets a request through, and notes what would have become of it.
func (g *Gate) observe(now time.Duration, level Level, why Reason) (Verdict, Reason) {
	if over := g.inflight - g.limit.total; over >= 0 && why == None {
		wait := time.Duration(over) * g.perSlot()
		g.waited(wait)
		if wait > patient || g.pressed && wait > g.fullQueue() {
			why = Full
		}
	} else if why == None {
		g.waited(0)
		g.empty = now
	}
	if why != None {
		g.seen.would[level.Class()][why]++
	} else {
		g.seen.served[level.Class()]++
	}
	g.take(now, 1)
	return Go, None
}

// enqueue lets a request wait, in the place of one of a lesser level if need be.
func (g *Gate) enqueue(now time.Duration, level Level, w *Waiter, called *calls) (Verdict, Reason) {
	if g.queue.size == 0 {
		g.empty = now
	}
	if g.queue.size >= g.room() {
		victim := g.queue.worst()
		if level >= victim.level {
			g.seen.shed[level.Class()][Full]++
			return Shed, Full
		}
		g.drop(victim, Evicted, called)
	}
	w.since, w.level, w.stands = now, level, g.stands(now)
	g.queue.push(w)
	if w.queued {
		return Wait, None
	}
	return Shed, Full
}

// room is how many may wait.
func (g *Gate) room() int {
	n := g.limit.total
	if each := g.perSlot(); each > 0 {
		n = max(n, int(g.fullQueue()/each))
	}
	if !g.pressed {
		n = max(n, burst)
	}
	if g.limit.unsure() {
		n = maxQueue
	}
	return min(n, maxQueue)
}

// fullQueue is how long what may wait, if it is no burst, takes to be served. With
// less, those who could be served leave when chance brings many at once; with
// more, all wait. While the limit is found out, what waits inside counts too, and
// less is known of how much that is.
func (g *Gate) fullQueue() time.Duration {
	target := g.target()
	if g.limit.told {
		return target * 11 / 4
	}
	return max(target*5/2-(g.hold-target), target)
}

// perSlot is how often a slot comes free when all are taken.
func (g *Gate) perSlot() time.Duration { return g.hold / time.Duration(max(g.limit.total, 1)) }

// target is how long requests may queue on average.
func (g *Gate) target() time.Duration {
	if g.set.Target > 0 {
		return g.set.Target
	}
	return min(max(leastTarget, g.limit.usual(g.hold)), mostTarget)
}

// stands reports whether the queue is that of an app at its capacity, where it
// is now longer and now shorter but seldom empty.
func (g *Gate) stands(now time.Duration) bool {
	return now-g.empty > g.fullQueue() && g.rising >= fewRises
}

// patience is how long a request waits.
func (g *Gate) patience(w *Waiter) time.Duration {
	switch {
	case g.pressed:
		return min(g.fullQueue(), patient)
	case w.stands && !g.limit.unsure():
		return min(2*g.fullQueue(), patient)
	}
	return patient
}

// Release gives back a slot. held is how long it was had, negative when that
// says nothing; answered is how long
// the instance took to begin its answer, negative when it did not, or failed.
func (g *Gate) Release(now, held, answered time.Duration) {
	g.mu.Lock()
	g.take(now, -1)
	if g.set.Mode == platform.OverloadOff || g.set.Mode == "" {
		called := g.pump(now) // those who waited when it was switched off
		g.mu.Unlock()
		called.call()
		return
	}
	g.win.out++
	if held >= 0 {
		g.hold += (held - g.hold) / 16
	}
	if answered >= 0 {
		g.limit.sample(answered)
	}
	if now < g.win.end && g.queue.size == 0 {
		g.mu.Unlock()
		return
	}
	g.finish(now)
}

// finish rolls the window if it is time, lets those go who may, and unlocks.
func (g *Gate) finish(now time.Duration) {
	var called calls
	if now >= g.win.end {
		called = g.roll(now)
	}
	called.append(g.pump(now))
	g.mu.Unlock()
	called.call()
}

// Forgive ends that n slots are taken whose requests go on where no others go
// any more: at instances that left. They are not released.
func (g *Gate) Forgive(now time.Duration, n int) {
	g.mu.Lock()
	g.take(now, -n)
	g.settle(now)
}

// Shedding reports whether requests of some levels are turned away: then none
// should be sent a second time.
func (g *Gate) Shedding() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.set.Mode == platform.OverloadOn && g.cursor.level < Lowest
}

// Tick does what is due: it is called when a Waiter's Deadline is over.
func (g *Gate) Tick(now time.Duration) {
	g.mu.Lock()
	g.finish(now)
}

// Leave takes w out of the queue: its client has gone. It reports false when w
// was called back before, or will be at once; with a slot, that is to be
// released.
func (g *Gate) Leave(w *Waiter) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !w.queued {
		return false
	}
	g.queue.remove(w)
	return true
}

// Deadline is how long w waits from now on, as things are. It may become less:
// then w is called back by whoever comes, or Tick.
func (g *Gate) Deadline(now time.Duration, w *Waiter) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return w.since + g.patience(w) - now
}

// Told takes the app's own cursor from an answer's X-Load-Level. It counts for
// a second.
func (g *Gate) Told(now time.Duration, level Level) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.theirs, g.theirTo = level, now+time.Second
	if level == Lowest {
		g.theirTo = 0
	}
}

// RetryAfter is how many seconds a client that is turned away is asked to stay
// away: longer for lesser classes, and not the same for all.
func (g *Gate) RetryAfter(level Level) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	least := int((g.set.Retry + time.Second - 1) / time.Second)
	spread := least << level.Class()
	g.chance = g.chance*6364136223846793005 + 1442695040888963407
	return least + int((g.chance>>33)%uint64(spread+1))
}

// take changes how many slots are taken.
func (g *Gate) take(now time.Duration, n int) {
	g.win.occupy(now, g.inflight)
	g.inflight += n
	g.win.peak = max(g.win.peak, g.inflight)
}

// waited accounts for a request that gets its slot after a wait.
func (g *Gate) waited(wait time.Duration) {
	g.win.queued += wait
	g.win.waits++
	g.seen.wait(wait)
}

// pump gives free slots to those who wait: see next. Who waited too long is
// turned away instead.
func (g *Gate) pump(now time.Duration) (called calls) {
	free := g.set.Mode != platform.OverloadOn
	for g.queue.size > 0 && (free || g.inflight < g.limit.total) {
		w := g.next()
		if wait := now - w.since; wait <= g.patience(w) || free {
			g.queue.remove(w)
			g.seen.served[w.level.Class()]++
			g.waited(wait)
			g.take(now, 1)
			called.add(w, None)
			continue
		}
		g.drop(w, Late, &called)
	}
	if g.queue.size == 0 {
		g.empty = now
	}
	return called
}

// next is who gets the slot that is free: of the best class who came first. In a
// queue that not all will see the end of, a class that cannot be served wholly is
// served by level.
func (g *Gate) next() *Waiter {
	if g.pressed || g.ahead() > g.fullQueue() {
		if w := g.queue.best(); w.level.Class() >= g.cursor.cut.Class() {
			return w
		}
	}
	return g.queue.eldest()
}

// expire turns away all who waited too long.
func (g *Gate) expire(now time.Duration, called *calls) {
	for w := range g.queue.firsts {
		for ; w != nil && now-w.since > g.patience(w); w = g.queue.by[w.level].first {
			g.drop(w, Late, called)
		}
	}
}

func (g *Gate) drop(w *Waiter, why Reason, called *calls) {
	g.queue.remove(w)
	g.seen.shed[w.level.Class()][why]++
	called.add(w, why)
}
