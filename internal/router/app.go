package router

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/balance"
	"github.com/slipway-paas/slipway/internal/match"
	"github.com/slipway-paas/slipway/internal/overload"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/rules"
)

// app is what hosts lead to. It stays the same while its route changes, so
// that a shift is one pointer stored, whatever the number of hosts and apps.
type app struct {
	name        string
	router      *Router
	route       atomic.Pointer[route]    // nil once removed
	cutover     atomic.Pointer[cutover]  // nil before the first
	bounds      atomic.Pointer[bounds]   // nil before the first request, unless its team set some
	lobby       atomic.Pointer[lobby]    // those who wait for an instance; nil before the first
	refused     atomic.Pointer[refusals] // before a gate; nil: nobody was
	tcpOpen     atomic.Int64             // connections of its TCP routes
	saidCrowded seldom
	short       atomic.Int64   // when it was taken note of that it is: see hearsay
	full        atomic.Int64   // requests for which each instance had too many
	lingering   atomic.Int64   // requests that wait a moment because nobody can be reached
	last        atomic.Int64   // end of the last request, on the router's clock; 0: none
	share       overload.Share // of what the router can do
	told        atomic.Int64   // when the log said that requests were turned away; 0: never
	untold      atomic.Int64   // how many were since
	bounding    sync.Mutex     // held by who changes bounds, or says what they are to know

	// Guarded by Router.mu.
	hosts []string // normal and sorted
	young bool     // it is in Router.young

	control bool // the control plane, not an app
}

// patient reports whether clients may send to it as slowly as they like: a git
// client says nothing while it packs.
func (a *app) patient() bool { return a != nil && a.control }

// route is where an app's requests go now. Immutable.
//
// There may be a hundred thousand that nobody asks for: what only a request
// needs is made for the first one, and what the team did not set is shared.
type route struct {
	*policy
	release     int
	cutover     int64
	maintenance bool
	httpsOnly   bool
	hold        bool            // requests wait while nobody is up
	uncertified bool            // its hosts ask for no certificate
	main        pool            // for what paths leads nowhere else
	services    map[string]pool // by process type
	tally       *tally          // of all backends; nil for the control plane

	shift *shift // nil: one release serves
	old   *route // of the other release; nil with shift

	front  *group            // of main
	others map[string]*group // of services
}

// policy is what an app's team set. Immutable.
type policy struct {
	edge       platform.Edge
	tcp        map[int]platform.TCPRoute // by port of the edge
	allow      *match.Networks
	rules      *rules.Rules // nil: the team asked for nothing
	paths      *paths
	clients    *clientPolicy // nil: certificates of clients are not asked for
	tlsProfile string        // empty: the router's
}

// noPolicy is that of all whose team set nothing.
var noPolicy = &policy{}

// pool is instances that may stand in for each other.
type pool []*instance

// backends are the instances of all pools.
func (rt *route) backends() []*instance {
	all := slices.Clone(rt.main)
	for _, service := range rt.services {
		all = append(all, service...)
	}
	if rt.old != nil {
		all = append(all, rt.old.backends()...)
	}
	return all
}

// list puts an instance into the pool of its process type.
func (rt *route) list(inst *instance, process string) {
	if process = mainAs(process); process == "" {
		rt.main = append(rt.main, inst)
		return
	}
	if rt.services == nil {
		rt.services = map[string]pool{}
	}
	rt.services[process] = append(rt.services[process], inst)
}

// acquire enters an instance of the app's current route that v may go to and
// that is not among tried, nor last if there is another; the caller must leave
// its door and give back its place. Without an instance it says why. The route
// is that of the instance's release, and nil when the app is gone.
//
// After entering it looks at the route again: whoever changes the route and
// then finds nobody inside an instance that left it knows that nobody comes.
func (a *app) acquire(now time.Duration, tried []*instance, last *instance, v *visit) (*route, berth, refusal) {
	for {
		rt := a.route.Load()
		if rt == nil {
			return nil, berth{}, gone
		}
		side, at, why := rt.choose(now, tried, last, v)
		if why != admitted {
			if (why == empty || why == full) && a.route.Load() != rt {
				continue
			}
			return rt, berth{}, why
		}
		if at.inst.door.enter() {
			if a.route.Load() == rt {
				return side, at, admitted
			}
			at.inst.door.leave()
		}
		at.entry.Undo()
	}
}

// pick takes a place at an instance of a process type.
func (rt *route) pick(process string, now time.Duration, tried []*instance, last *instance, v *visit) (berth, refusal) {
	g := rt.group(process)
	if g == nil {
		return berth{}, empty
	}
	switch at, why := g.pick(now, tried, last, v); why {
	case balance.Picked:
		return at, admitted
	case balance.Full:
		return berth{}, full
	default:
		return berth{}, empty
	}
}
