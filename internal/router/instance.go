package router

import (
	"sync/atomic"

	"github.com/slipway-paas/slipway/internal/balance"
)

// instance is one running copy of an app, as the router knows it. Requests
// read it without a lock.
type instance struct {
	id    string
	door  turnstile
	place atomic.Pointer[place] // nil: nobody knows where it is
	host  *balance.Host         // what its requests have found
	slots atomic.Int64          // of gates, that its requests have: see admission

	upgraded atomic.Pointer[tunnels] // nil: none was ever looked for

	// Guarded by Router.mu.
	local   *place // what the node said of it; nil: nothing
	remote  *place // from a route's address; nil: none
	apps    []*app // whose routes list it
	removed bool   // the node took it away since it last set it
}

// place is where an instance is reached and whether it may serve. Immutable.
type place struct {
	*ways
	ports map[int]string // where its further ports are, by the number the app knows
	up    bool
}

// ways are the connections to an address. Each kind is made when it is needed.
type ways struct {
	router  *Router
	address string
	single  atomic.Pointer[upstream]
	multi   atomic.Pointer[multiUpstream] // by HTTP/2
}

// by is the ways for what an app speaks: see platform.Edge.Protocol.
func (w *ways) by(protocol string) links {
	if protocol != "h2c" {
		return w.plain()
	}
	if w.multi.Load() == nil {
		w.multi.CompareAndSwap(nil, newMultiUpstream(w.router, w.address))
	}
	return w.multi.Load()
}

// plain is those by HTTP/1.1.
func (w *ways) plain() *upstream {
	if u := w.single.Load(); u != nil {
		return u
	}
	w.single.CompareAndSwap(nil, newUpstream(w.router, w.address))
	return w.single.Load()
}

func newInstance(id string) *instance { return &instance{id: id, host: balance.NewHost(id, 0)} }

// tunnels are the upgraded connections that are open to it.
func (i *instance) tunnels() *tunnels {
	if i.upgraded.Load() == nil {
		i.upgraded.CompareAndSwap(nil, &tunnels{})
	}
	return i.upgraded.Load()
}

// eligible reports whether a new request may go to it at all.
func (i *instance) eligible() bool {
	p := i.place.Load()
	return p != nil && p.up && p.address != "" && !i.door.isShut()
}

// reachable is eligible for connections to one of its ports.
func (i *instance) reachable(port int) bool {
	p := i.place.Load()
	return p != nil && p.up && p.ports[port] != "" && !i.door.isShut()
}

// settle makes what the node knows win over what the route says.
func (i *instance) settle() {
	if i.local != nil {
		i.place.Store(i.local)
		return
	}
	i.place.Store(i.remote)
}

// forgotten reports whether nothing refers to it any more.
func (i *instance) forgotten() bool { return i.local == nil && len(i.apps) == 0 }

// closeIdle ends connections to it that carry nothing.
func (i *instance) closeIdle() {
	i.local.closeIdle()
	i.remote.closeIdle()
}

// closeIdle ends connections to it that carry nothing; nowhere has none.
func (p *place) closeIdle() {
	if p == nil {
		return
	}
	if u := p.single.Load(); u != nil {
		u.close()
	}
	if u := p.multi.Load(); u != nil {
		u.close()
	}
}
