package router

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// lobby is where requests of one app wait, first come first served, while its
// route holds them and no instance is up that they may go to. A request that
// waits costs its goroutine and its head; its body stays with the client.
//
// Those who waited do not all run at the instance at once, which has just begun
// and may queue few connections: a few are on their way at a time, and each
// that is answered, or is under way for a moment, lets the next one go. Whoever
// comes while somebody waits waits behind.
type lobby struct {
	size atomic.Int32 // how many wait, to be looked at without the lock

	mu     sync.Mutex
	guests []*guest // by ticket
	ticket int64    // the last given out
	moving int      // let go, and not yet known to be on their way
	since  time.Time
}

// guest is a request in the lobby.
type guest struct {
	app    *app
	ticket int64
	host   string // empty: it came by a port of the edge
	port   int    // which one
	visit  *visit
	brief  bool          // it is in no lobby: see linger
	let    chan struct{} // closed when it may try
	began  time.Duration

	timer *time.Timer
	once  sync.Once // that it is on its way is said once
}

// lobbyOf is the app's, made for the first who waits.
func (a *app) lobbyOf() *lobby {
	if a.lobby.Load() == nil {
		a.lobby.CompareAndSwap(nil, &lobby{})
	}
	return a.lobby.Load()
}

// waiting is how many are in the app's lobby.
func (a *app) waiting() int {
	l := a.lobby.Load()
	if l == nil {
		return 0
	}
	return int(l.size.Load())
}

const (
	maxMoving = 16
	// underWay is when one that was let go makes room for the next, answered or not.
	underWay = 100 * time.Millisecond
	// maxHeld bounds those who wait of all apps together.
	maxHeld = 10_000
)

// join lets g wait at its place. It reports false when there is no room, or the
// app has had nobody up for too long; until says when that will be so.
func (r *Router) join(g *guest) (until time.Time, ok bool) {
	l, now := g.app.lobbyOf(), time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since.IsZero() {
		l.since = now
	}
	until = l.since.Add(r.opt.HoldTime)
	if len(l.guests) >= r.opt.HoldRequests || !now.Before(until) {
		return until, false
	}
	if r.held.Add(1) > maxHeld {
		r.held.Add(-1)
		return until, false
	}
	if g.ticket == 0 {
		l.ticket++
		g.ticket = l.ticket
	}
	at, _ := slices.BinarySearchFunc(l.guests, g.ticket, func(g *guest, ticket int64) int { return int(g.ticket - ticket) })
	l.guests = slices.Insert(l.guests, at, g)
	l.size.Add(1)
	r.letGo(l) // somebody may have come up since g looked
	return until, true
}

// leave takes g out of the lobby, and reports false when it was let go before.
func (r *Router) leave(g *guest) bool {
	l := g.app.lobbyOf()
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.Index(l.guests, g)
	if at < 0 {
		return false
	}
	r.remove(l, at)
	return true
}

// remove takes one of the guests out. l.mu is held.
func (r *Router) remove(l *lobby, at int) {
	l.guests = slices.Delete(l.guests, at, at+1)
	l.size.Add(-1)
	r.held.Add(-1)
}

// wake looks again at who waits for the app: its route or an instance changed.
func (r *Router) wake(a *app) {
	if a.waiting() == 0 {
		return
	}
	l := a.lobbyOf()
	l.mu.Lock()
	defer l.mu.Unlock()
	r.letGo(l)
}

// letGo lets those go, in order, who have somewhere to go to, as many as may be
// on their way. l.mu is held.
func (r *Router) letGo(l *lobby) {
	for at := 0; at < len(l.guests) && l.moving < maxMoving; {
		g := l.guests[at]
		if !r.awaited(g) {
			at++
			continue
		}
		r.remove(l, at)
		l.moving++
		l.since = time.Time{}
		g.timer = time.AfterFunc(r.underWay, func() { r.onItsWay(g) })
		close(g.let)
	}
}

// awaited reports whether there is something to do for g: an instance is up, or
// there is no use in waiting.
func (r *Router) awaited(g *guest) bool {
	rt := g.app.route.Load()
	if rt == nil || !rt.hold || r.of(g) != g.app {
		return true
	}
	if g.host == "" {
		tr, leads := rt.tcp[g.port]
		return !leads || rt.pickPort(tr, nil) != nil
	}
	process, why := rt.admit(g.visit)
	return why != admitted || rt.anybody(process, g.visit)
}

// of is the app that what g came by leads to now.
func (r *Router) of(g *guest) *app {
	if g.host == "" {
		return r.door(g.port)
	}
	return r.find(g.host)
}

// onItsWay makes room for the next one.
func (r *Router) onItsWay(g *guest) {
	g.once.Do(func() {
		l := g.app.lobbyOf()
		l.mu.Lock()
		defer l.mu.Unlock()
		g.timer.Stop()
		l.moving--
		r.letGo(l)
	})
}

// behind reports whether a request that has just come has to wait because
// others do.
func (x *exchange) behind() bool {
	return x.guest == nil && x.app.waiting() > 0
}

// queue has the request wait in the lobby until it may try to be served.
func (x *exchange) queue() step {
	g := &guest{app: x.app, host: x.host, visit: &x.visit, let: make(chan struct{}), began: x.router.now()}
	if x.guest != nil { // let go before, in vain
		x.router.onItsWay(x.guest)
		if x.guest.app == x.app {
			g.ticket = x.guest.ticket
		}
	}
	until, ok := x.router.join(g)
	if !ok {
		return answerWith(crowded(x.app.name))
	}
	return step{do: toWait, guest: g, until: until}
}

// waited says what is next for a request that was let go, or has waited for
// long enough, or whose client has left.
func (x *exchange) waited(g *guest, left bool) step {
	if g.brief {
		return x.lingered(g, left)
	}
	inVain := x.router.leave(g)
	x.held += x.router.now() - g.began
	switch {
	case inVain && left:
		x.status, x.uncounted = statusClientGone, true
		return step{do: toCut}
	case inVain:
		return answerWith(nothingUp(x.app.name))
	}
	x.guest, x.tried = g, x.tried[:0]
	if next := x.router.find(x.host); next != nil {
		x.app = next // the host was handed over meanwhile
	}
	return x.next()
}
