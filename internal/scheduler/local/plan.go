package local

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// plan is an app's instances as they were asked for, and what became of them.
type plan struct {
	wanted []platform.InstanceSpec // oldest first
	doomed map[string]bool         // to go when others stand in
	seen   map[string]platform.Instance
	// unclaimed run by an order that was lost.
	unclaimed []platform.Instance
}

// fill returns a group's instances: those it has, fewer or more as its
// quantity asks, and its doomed as long as anything of the group stays.
func (p plan) fill(app string, g platform.Group) []platform.InstanceSpec {
	like := platform.InstanceSpec{App: app, Process: g.Process, Release: g.Release, Revision: g.Revision, Spec: g.Spec}
	var kept, doomed []platform.InstanceSpec
	for _, spec := range p.wanted {
		switch {
		case !alike(spec, like):
		case p.doomed[spec.ID]:
			doomed = append(doomed, spec)
		default:
			kept = append(kept, spec)
		}
	}
	if g.Quantity <= 0 {
		return nil
	}
	kept = p.shrink(kept, g.Quantity)
	for len(kept) < g.Quantity {
		fresh := like
		fresh.ID = p.claim(like, kept)
		if fresh.ID == "" {
			fresh.ID = freshID(like, slices.Concat(doomed, kept))
		}
		kept = append(kept, fresh)
	}
	return append(doomed, kept...)
}

// claim names an unclaimed instance that runs what spec asks for and is none
// of kept, or nothing. Its digits tell: see instanceID.
func (p plan) claim(spec platform.InstanceSpec, kept []platform.InstanceSpec) string {
	stem := stemOf(spec)
	for _, i := range p.unclaimed {
		well := i.State == platform.InstanceUp || i.State == platform.InstanceStarting
		if well && strings.HasPrefix(i.ID, stem) && !slices.ContainsFunc(kept, func(o platform.InstanceSpec) bool { return o.ID == i.ID }) {
			return i.ID
		}
	}
	return ""
}

// shrink drops the least well, then the newest, down to n.
func (p plan) shrink(specs []platform.InstanceSpec, n int) []platform.InstanceSpec {
	if len(specs) <= n {
		return specs
	}
	order := make([]int, len(specs)) // from the best and oldest
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(p.health(specs[b]), p.health(specs[a]))
	})
	order = slices.Sorted(slices.Values(order[:n]))
	kept := make([]platform.InstanceSpec, 0, n)
	for _, i := range order {
		kept = append(kept, specs[i])
	}
	return kept
}

func (p plan) health(spec platform.InstanceSpec) int {
	switch i := p.seen[spec.ID]; i.State {
	case platform.InstanceUp:
		return 4
	case platform.InstanceStarting:
		return 3
	case platform.InstanceDown:
		return 2
	case platform.InstanceCrashed:
		return 1
	case platform.InstanceError:
		return 0
	default: // just asked for
		return 3
	}
}

// relieved reports whether the doomed spec can go: as many of its group as
// shall stay are up, and requests that reach it reach them too.
func (p plan) relieved(spec platform.InstanceSpec, route *platform.Route) bool {
	backends := make(map[string]bool)
	if route != nil {
		for _, b := range route.Backends {
			backends[b.Instance] = true
		}
	}
	for _, other := range p.wanted {
		if p.doomed[other.ID] || !alike(other, spec) {
			continue
		}
		if p.seen[other.ID].State != platform.InstanceUp {
			return false
		}
		if backends[spec.ID] && !backends[other.ID] {
			return false
		}
	}
	return true
}

// stillDoomed lists the doomed among specs.
func (p plan) stillDoomed(specs []platform.InstanceSpec) []string {
	var ids []string
	for _, spec := range specs {
		if p.doomed[spec.ID] {
			ids = append(ids, spec.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// alike reports whether one spec's instance does what the other's would.
func alike(a, b platform.InstanceSpec) bool {
	return a.Process == b.Process && a.Release == b.Release && a.Revision == b.Revision && platform.Same(a.Spec, b.Spec)
}

// freshID names an instance like spec as none of the others is named.
func freshID(spec platform.InstanceSpec, others []platform.InstanceSpec) string {
	for {
		id := instanceID(spec)
		if !slices.ContainsFunc(others, func(o platform.InstanceSpec) bool { return o.ID == id }) {
			return id
		}
	}
}

// instanceID names a new instance: <app>-<process>-<10 digits>-<5 letters or
// digits>. The digits are the same for all that run the same thing.
func instanceID(spec platform.InstanceSpec) string { return stemOf(spec) + suffix() }

// stemOf is an instance's name without its last part.
func stemOf(spec platform.InstanceSpec) string {
	spec.ID = ""
	what, err := json.Marshal(spec)
	if err != nil { // a Spec is plain data
		what = []byte(spec.Process)
	}
	sum := sha256.Sum256(what)
	return fmt.Sprintf("%s-%s-%010d-", spec.App, spec.Process, binary.BigEndian.Uint64(sum[:])%1e10)
}

// suffix is random: 5 of [a-z0-9].
func suffix() string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	var raw [5]byte
	_, _ = rand.Read(raw[:]) // never fails
	for i, b := range raw {
		raw[i] = letters[int(b)%len(letters)]
	}
	return string(raw[:])
}
