package router

import (
	"time"

	"github.com/slipway-paas/slipway/internal/balance"
	"github.com/slipway-paas/slipway/internal/overload"
	"github.com/slipway-paas/slipway/internal/platform"
)

// KnownFormat is what this router writes. What is added to a document does not
// change it, for unknown fields are ignored; what takes its meaning does.
const KnownFormat = 1

// maxKnown bounds the instances, and the gates, that a router tells of.
const maxKnown = 10_000

// Known is what a router has learnt of apps and instances, for the one that takes
// its place: what is at rest is not in it.
type Known struct {
	Format    int                          `json:"format"`
	Instances map[string]balance.HostState `json:"instances,omitempty"`
	Gates     []KnownGate                  `json:"gates,omitempty"`
	Cutovers  []platform.CutoverReport     `json:"cutovers,omitempty"`
}

// KnownGate is what the gate of an app's process type has learnt; empty is the
// main one.
type KnownGate struct {
	App     string             `json:"app"`
	Process string             `json:"process,omitempty"`
	State   overload.GateState `json:"state"`
}

// Known is what the router has learnt. It may be asked at any time.
func (r *Router) Known() Known {
	k := Known{Format: KnownFormat, Instances: map[string]balance.HostState{}, Cutovers: r.Cutovers()}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, inst := range r.instances {
		s := inst.host.State(r.now(), inst.slowStart())
		if s != (balance.HostState{}) && len(k.Instances) < maxKnown {
			k.Instances[id] = s
		}
	}
	for name, a := range r.apps {
		b := a.bounds.Load()
		if b == nil {
			continue
		}
		for process, g := range b.gates {
			if s, rests := g.State(); !rests && len(k.Gates) < maxKnown {
				k.Gates = append(k.Gates, KnownGate{name, process, s})
			}
		}
	}
	return k
}

// slowStart is how long the instance starts slowly: the longest of its apps.
func (i *instance) slowStart() (longest time.Duration) {
	for _, a := range i.apps {
		if rt := a.route.Load(); rt != nil {
			longest = max(longest, rt.edge.Balance.SlowStart)
		}
	}
	return longest
}

// Inherit makes what another router had learnt what this one knows, once it has
// its table and before it serves. An instance that is not in it is at rest, and
// has served for long. What is of apps and instances that this router has not
// is left out.
func (r *Router) Inherit(k Known) {
	r.mu.Lock()
	now := r.now()
	for id, inst := range r.instances {
		inst.host.Restore(now, k.Instances[id])
	}
	for _, g := range k.Gates {
		a := r.apps[g.App]
		if a == nil {
			continue
		}
		if gate := a.bound().gate(g.Process); gate != nil {
			gate.Restore(now, g.State)
		}
	}
	r.mu.Unlock()
	r.InheritCutovers(k.Cutovers)
}

// InheritCutovers adds the counts of a router before to those of the same
// cutovers here, in the place of what it said last. Nil: that router has gone, and
// has nothing open any more.
func (r *Router) InheritCutovers(counts []platform.CutoverReport) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, count := range counts {
		if a := r.apps[count.App]; a != nil {
			if c := a.cutover.Load(); c != nil && c.number == count.Cutover {
				c.before.Store(&count)
				c.recall(count.Undone)
			}
		}
	}
	if counts != nil {
		return
	}
	for _, a := range r.young {
		c := a.cutover.Load()
		if before := c.before.Load(); before != nil {
			left := *before
			left.Draining, left.OldLately, left.NewLately = 0, platform.SideCount{}, platform.SideCount{}
			c.before.Store(&left)
		}
	}
}
