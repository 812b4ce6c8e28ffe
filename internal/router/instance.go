package router

import (
	"sync/atomic"

	"github.com/slipway-paas/slipway/internal/balance"
)

// instance is one running copy of an app, as the router knows it. Requests
// read it without a lock.
type instance struct {
	id    string
	door  *turnstile
	place atomic.Pointer[place] // nil: nobody knows where it is
	host  *balance.Host         // what its requests have found
	slots atomic.Int64          // of gates, that its requests have: see admission

	tunnels tunnels // that are open to it

	// Guarded by Router.mu.
	local   *place            // what the node said of it; nil: nothing
	remote  *place            // from a route's address; nil: none
	apps    map[*app]struct{} // whose routes list it
	removed bool              // the node took it away since it last set it
}

// place is where an instance is reached and whether it may serve. Immutable.
type place struct {
	address string
	up      bool
	ports   map[int]string // where its further ports are, by the number the app knows
	links   links
	multi   links // by HTTP/2
}

// by is the ways to it for what its app speaks: see platform.Edge.Protocol.
func (p *place) by(protocol string) links {
	if protocol == "h2c" {
		return p.multi
	}
	return p.links
}

func newInstance(id string) *instance {
	return &instance{id: id, door: newTurnstile(), host: balance.NewHost(id, 0), apps: map[*app]struct{}{}}
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
	if p != nil {
		p.links.close()
		p.multi.close()
	}
}
