package router

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/match"
	"github.com/slipway-paas/slipway/internal/overload"
	"github.com/slipway-paas/slipway/internal/platform"
)

// bounds are what keeps an app from more than it can do. Immutable; the gates
// in it stay from route to route. Where the team set none they begin with the
// first request.
type bounds struct {
	levels *overload.Levels
	rates  *overload.Rates           // nil: none
	gates  map[string]*overload.Gate // by process type, "" for the main one
	paths  bool                      // rules ask for paths
}

// lead makes next the app's route, and has its bounds follow.
func (a *app) lead(next *route) {
	a.bounding.Lock()
	defer a.bounding.Unlock()
	a.route.Store(next)
	set := &next.edge
	if old := a.bounds.Load(); old != nil || len(set.Rates) > 0 || !platform.Same(set.Overload, platform.Overload{}) {
		a.bounds.Store(boundsAfter(old, a, next))
	}
}

// bound is the app's bounds; nil for the control plane, and for one that is gone.
func (a *app) bound() *bounds {
	if b := a.bounds.Load(); b != nil || a.control {
		return b
	}
	a.bounding.Lock()
	defer a.bounding.Unlock()
	if rt := a.route.Load(); rt != nil && a.bounds.Load() == nil {
		a.bounds.Store(boundsAfter(nil, a, rt))
	}
	return a.bounds.Load()
}

// boundsAfter are the bounds of a route with all its backends. What was learnt
// in old's is kept. a.bounding is held, so that no change of an instance passes
// a gate by.
func boundsAfter(old *bounds, a *app, next *route) *bounds {
	key, now := a.router.userKey(), a.router.now()
	if old == nil {
		old = &bounds{}
	}
	b := &bounds{
		levels: overload.LevelsAfter(old.levels, a.name, key, next.edge.Overload),
		rates:  overload.RatesAfter(old.rates, key, next.edge.Rates),
		gates:  make(map[string]*overload.Gate, 1+len(next.services)),
	}
	b.paths = slices.ContainsFunc(next.edge.Overload.Classes, func(c platform.OverloadClass) bool { return c.Path != "" }) ||
		slices.ContainsFunc(next.edge.Rates, func(r platform.RateLimit) bool { return r.Path != "" })
	set := overload.Settings{Mode: overloadMode(next.edge.Overload), Limit: next.edge.Overload.Limit, Target: next.edge.Overload.Target}
	for process, up := range next.ups() {
		g := old.gates[process]
		if g == nil {
			g = overload.NewGate(set, uint64(now))
		} else {
			g.Set(now, set)
		}
		g.Instances(now, up)
		b.gates[process] = g
	}
	return b
}

// ups is how many instances of each process type may serve, of both releases
// where two do; "" is the main one.
func (rt *route) ups() map[string]int {
	n := map[string]int{"": 0}
	rt.eachPool(func(process string, p pool) { n[process] += p.up() })
	return n
}

// eachPool calls f for the pools of all releases, by process type.
func (rt *route) eachPool(f func(process string, p pool)) {
	for side := rt; side != nil; side = side.old {
		f("", side.main)
		for process, p := range side.services {
			f(process, p)
		}
	}
}

// overloadMode is what is done for an app. Who says how much an instance can do
// wants it kept to; others are observed, which cannot harm them.
func overloadMode(wish platform.Overload) platform.OverloadMode {
	switch {
	case wish.Mode != "":
		return wish.Mode
	case wish.Limit > 0:
		return platform.OverloadOn
	}
	return platform.OverloadObserve
}

// gate is that of a process type; nil: there is none.
func (b *bounds) gate(process string) *overload.Gate {
	if b == nil {
		return nil
	}
	return b.gates[process]
}

func (b *bounds) complaints() []string {
	if b == nil {
		return nil
	}
	return slices.Concat(b.levels.Complaints(), b.rates.Complaints())
}

// resize tells an app's gates how many instances are up.
func (a *app) resize(now time.Duration) {
	a.bounding.Lock()
	defer a.bounding.Unlock()
	rt, b := a.route.Load(), a.bounds.Load()
	if rt == nil || b == nil {
		return
	}
	up := rt.ups()
	for process, g := range b.gates {
		g.Instances(now, up[process])
	}
}

// up is how many of a pool may serve.
func (p pool) up() (n int) {
	for _, inst := range p {
		if inst.eligible() {
			n++
		}
	}
	return n
}

// slots counts the gate's slots of requests at an instance, so that those of
// one that has left do not keep others from the instances that came for it.
const slotsGone = -1 << 30

// forgive gives back the slots of requests at instances that a route no longer
// names.
func (a *app) forgive(now time.Duration, rt, next *route) {
	b := a.bounds.Load()
	stays := map[*instance]bool{}
	for _, inst := range next.backends() {
		stays[inst] = true
	}
	rt.eachPool(func(process string, p pool) {
		for _, inst := range p {
			if stays[inst] {
				continue
			}
			n := inst.slots.Swap(slotsGone)
			if g := b.gate(process); g != nil && n > 0 {
				g.Forgive(now, int(n))
			}
		}
	})
}

// admission is what a request has of its app's bounds.
type admission struct {
	in     bool           // it was let in, and is asked nothing more
	gate   *overload.Gate // it has a slot of; nil: of none
	bound  bool           // the slot counts at the instance that it is at
	since  time.Duration  // it has the slot
	queued time.Duration  // how long it waited for it
	asked  time.Duration  // when it began to

	seen   overload.Visit // as bounds look at the request
	level  overload.Level
	known  bool // level is
	shed   overload.Reason
	held   overload.Held
	waiter overload.Waiter
	ready  chan overload.Reason // made when one waits for the first time
}

func (d *admission) begin() {
	d.in, d.gate, d.bound, d.queued, d.known, d.shed = false, nil, false, 0, false, overload.None
}

// admitted asks the app's bounds for a request that has somewhere to go. Unless
// ok, s is to be done, and next called then if it has to wait.
func (x *exchange) admitted() (s step, ok bool) {
	d := &x.admission
	if d.in {
		return step{}, true
	}
	b := x.app.bound()
	if b == nil {
		return step{}, true
	}
	now := x.router.now()
	if !x.router.guard.Admit(&x.app.share, 1, x.levelOf) {
		return x.turnedAway(overload.Router, overloaded(x.app.name, 1+int(x.levelOf().Class()))), false
	}
	if b.rates != nil {
		if why, retry := b.rates.Admit(now, x.look(), &d.held); why != overload.None {
			return x.turnedAway(why, tooMany(x.app.name, retry)), false
		}
	}
	gate := b.gates[x.visit.process]
	if gate == nil || gate.Enter(now) {
		d.in, d.gate, d.since = true, gate, now
		return step{}, true
	}
	return x.ask(gate, now)
}

// ask asks a gate that is short.
func (x *exchange) ask(gate *overload.Gate, now time.Duration) (s step, ok bool) {
	d := &x.admission
	if d.ready == nil {
		ready := make(chan overload.Reason, 1)
		d.ready, d.waiter.Ready = ready, func(why overload.Reason) { ready <- why }
	}
	d.gate = gate
	x.app.tellShort(gate, x.visit.process, now)
	switch verdict, why := gate.Ask(now, x.levelOf(), &d.waiter); verdict {
	case overload.Go:
		d.in, d.since = true, now
		return step{}, true
	case overload.Wait:
		d.asked = now
		return step{do: toWait}, false
	default:
		return x.overloaded(why), false
	}
}

// slotted says what is next for a request that waited for a slot.
func (x *exchange) slotted(why overload.Reason, left bool) step {
	d, now := &x.admission, x.router.now()
	d.queued = now - d.asked
	switch {
	case left:
		d.gate = nil
		x.status, x.uncounted = statusClientGone, true
		return step{do: toCut}
	case why != overload.None:
		return x.overloaded(why)
	}
	d.in, d.since = true, now
	return x.next()
}

func (x *exchange) overloaded(why overload.Reason) step {
	retry := x.gate.RetryAfter(x.levelOf())
	x.gate = nil
	return x.turnedAway(why, overloaded(x.app.name, retry))
}

// turnedAway answers a request that is no release's fault.
func (x *exchange) turnedAway(why overload.Reason, p page) step {
	x.shed, x.uncounted = why, true
	x.app.tellShed(x.router, why)
	switch why {
	case overload.Router, overload.TooFast, overload.TooMany:
		x.app.countRefused(x.levelOf(), why)
	default: // its gate counted it
	}
	return answerWith(p)
}

// bind has the slot count at the instance that the request is at.
func (x *exchange) bind() {
	d := &x.admission
	if d.gate == nil {
		return
	}
	if x.inst.slots.Add(1) > 0 {
		d.bound = true
		return
	}
	d.gate.Forgive(x.router.now(), 1) // the instance is just leaving
	d.gate = nil
}

// unbind ends it. A slot of an instance that has left was given back then.
func (x *exchange) unbind() {
	if d := &x.admission; d.bound {
		d.bound = false
		if x.inst.slots.Add(-1) < 0 {
			d.gate = nil
		}
	}
}

// giveBack ends that the request has a slot.
func (x *exchange) giveBack() {
	d := &x.admission
	x.unbind()
	if d.gate == nil {
		return
	}
	now, took := x.router.now(), time.Duration(-1)
	if x.answered > 0 && x.res.Status < 500 {
		took = x.answered - d.since
	}
	d.gate.Release(now, now-d.since, took)
	d.gate = nil
}

// heard takes note of the head of an answer: of what the app says that it can
// still do, and of an answer that goes on for as long as its client likes.
func (x *exchange) heard(res *h1.Response) {
	d := &x.admission
	if level, ok := overload.ParseLevel(res.Get(loadLevel)); ok && d.gate != nil {
		d.gate.Told(x.router.now(), level)
	}
	if res.Status == 101 || bytes.HasPrefix(res.Get("content-type"), []byte("text/event-stream")) {
		x.answered = x.router.now()
		x.giveBack()
	}
}

// The headers by which apps and router tell each other levels.
const (
	loadLevel    = "x-load-level"
	requestLevel = "X-Request-Level"
)

// levelLine appends the request's level as a line of a head, if it was looked at.
func (d *admission) levelLine(dst []byte) []byte {
	if !d.known {
		return dst
	}
	dst = append(dst, requestLevel+": "...)
	return append(strconv.AppendInt(dst, int64(d.level), 10), "\r\n"...)
}

// userKey is what users' levels and clients' buckets are hashed with: routers
// agree on it, and nobody else knows it.
func (r *Router) userKey() (key overload.Key) {
	mac := hmac.New(sha256.New, []byte(*r.secret.Load()))
	mac.Write([]byte("levels of users"))
	copy(key[:], mac.Sum(nil))
	return key
}

// tend does what is due at each look of the watch: it tells who keeps this process
// from more than it can do how late it is, and judges what has to be judged in time.
func (r *Router) tend() {
	r.spare(r.late())
	r.judgeCutovers()
	r.handshakes.tidy.tick(r.handshakes.made.Load())
}

// levelOf is the request's level; it is found out once.
func (x *exchange) levelOf() overload.Level {
	if d := &x.admission; !d.known {
		d.level, d.known = x.app.bound().levels.Level(x.look()), true
	}
	return x.level
}

// look is the request as bounds look at it.
func (x *exchange) look() *overload.Visit {
	v := &x.seen
	client, _ := netip.ParseAddr(x.visit.client) // who has none is one of those that have none
	*v = overload.Visit{Head: x.req, Process: x.visit.process, Client: client, Unix: x.router.start.Add(x.began).Unix()}
	if x.app.bound().paths {
		v.Path, _ = match.CleanPath(x.visit.path())
	}
	return v
}
