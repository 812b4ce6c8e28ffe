package router

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
)

// app is what hosts lead to. It stays the same while its route changes, so
// that a shift is one pointer stored, whatever the number of hosts and apps.
type app struct {
	name    string
	control bool                    // the control plane, not an app
	route   atomic.Pointer[route]   // nil once removed
	cutover atomic.Pointer[cutover] // nil before the first
	last    atomic.Int64            // end of the last request, on the router's clock; 0: none

	hosts []string // normal and sorted; guarded by Router.mu
}

// route is where an app's requests go now. Immutable.
type route struct {
	release     int
	maintenance bool
	cutover     int64
	backends    []*instance
	tally       *tally // nil for the control plane
}

// acquire enters an instance of the app's current route that is not among
// tried; the caller must leave its door. A nil instance means there is none
// to go to, a nil route that the app is gone.
//
// After entering it looks at the route again: whoever changes the route and
// then finds nobody inside an instance that left it knows that nobody comes.
func (a *app) acquire(now time.Duration, tried []*instance) (*route, *instance) {
	for {
		rt := a.route.Load()
		if rt == nil || rt.maintenance {
			return rt, nil
		}
		inst := rt.pick(now, tried)
		if inst != nil && inst.door.enter() {
			if a.route.Load() == rt {
				return rt, inst
			}
			inst.door.leave()
			continue
		}
		if inst == nil && a.route.Load() == rt {
			return rt, nil
		}
	}
}

// pick takes the less busy of two random instances that may serve; those that
// refused a connection a moment ago only when there are no others.
func (rt *route) pick(now time.Duration, tried []*instance) *instance {
	usable := func(i *instance) bool { return i.eligible() && !slices.Contains(tried, i) }
	trusted := func(i *instance) bool { return usable(i) && i.suspect.Load() <= int64(now) }
	if inst := rt.lessBusy(trusted); inst != nil {
		return inst
	}
	return rt.lessBusy(usable)
}

func (rt *route) lessBusy(ok func(*instance) bool) *instance {
	first := rt.any(ok)
	if first == nil || len(rt.backends) == 1 {
		return first
	}
	second := rt.any(func(i *instance) bool { return i != first && ok(i) })
	if second != nil && second.door.inside() < first.door.inside() {
		return second
	}
	return first
}

// any is the first that is ok, from a random start on.
func (rt *route) any(ok func(*instance) bool) *instance {
	n := len(rt.backends)
	if n == 0 {
		return nil
	}
	start := rand.IntN(n)
	for i := range n {
		if inst := rt.backends[(start+i)%n]; ok(inst) {
			return inst
		}
	}
	return nil
}
