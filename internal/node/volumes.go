package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

// A volume has one writer. An instance claims its volumes before its first
// start and has them until nothing of it is left, through its crashes and
// restarts; one that wants a claimed volume waits. One that is to leave while
// another waits for its volume serves on until that one is prepared, so that
// nobody has the volume for as short as can be.

// volumes say which instances have each volume.
type volumes struct {
	mu    sync.Mutex
	by    map[string][]platform.Mount // by instance
	freed chan struct{}               // closed, and made anew, when one gives volumes back
}

func newVolumes() *volumes {
	return &volumes{by: make(map[string][]platform.Mount), freed: make(chan struct{})}
}

// claim gives an instance its volumes if no other has one of them; else it says
// who has which, and gives a channel that is closed when some are given back.
// To claim again changes nothing.
func (v *volumes) claim(id string, mounts []platform.Mount) (holder, volume string, freed <-chan struct{}) {
	if len(mounts) == 0 {
		return "", "", nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for other, theirs := range v.by {
		for _, m := range mounts {
			if other != id && slices.ContainsFunc(theirs, m.SameVolume) {
				return other, m.Volume, v.freed
			}
		}
	}
	v.by[id] = mounts
	return "", "", nil
}

// keep takes note that an instance that was found running has its volumes,
// whoever else has them.
func (v *volumes) keep(id string, mounts []platform.Mount) {
	if len(mounts) == 0 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.by[id] = mounts
}

func (v *volumes) giveBack(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, had := v.by[id]; had {
		delete(v.by, id)
		close(v.freed)
		v.freed = make(chan struct{})
	}
}

// claimVolumes waits until the instance has its volumes, and prepares its start
// meanwhile. It reports false when there is something else to do.
func (i *instance) claimVolumes(ctx context.Context) bool {
	for {
		holder, volume, freed := i.volumes.claim(i.spec.ID, i.spec.Spec.Mounts)
		if holder == "" {
			return true
		}
		if !i.isPrepared() {
			if !i.prepare(ctx) {
				return false
			}
			continue
		}
		i.note(func(s *platform.Instance) {
			s.State, s.Message = platform.InstanceStarting, "waits for volume "+volume+", which "+holder+" has"
		})
		select {
		case <-freed:
		case <-ctx.Done():
			return false
		case <-i.removed:
			return false
		}
	}
}

// prepare does what can be done of a start while another has the volumes.
func (i *instance) prepare(ctx context.Context) bool {
	if p, ok := i.runtime.(runtime.Preparer); ok {
		bounded, cancel := context.WithTimeout(ctx, startTimeout)
		err := p.Prepare(bounded, i.spec)
		cancel()
		if ctx.Err() != nil {
			return false
		}
		if err != nil {
			i.unstarted(err)
			return false
		}
	}
	close(i.prepared)
	return true
}

func (i *instance) isPrepared() bool {
	select {
	case <-i.prepared:
		return true
	default:
		return false
	}
}

// awaitHeirs lets an instance that is to leave serve on until those who wait
// for its volumes are prepared, or no longer wanted. It reports false when ctx
// ended first.
func (i *instance) awaitHeirs(ctx context.Context) bool {
	if len(i.spec.Spec.Mounts) == 0 || i.look().State != platform.InstanceUp {
		return ctx.Err() == nil
	}
	late := time.NewTimer(startTimeout)
	defer late.Stop()
	for _, heir := range i.heirs(i) {
		select {
		case <-heir.prepared:
		case <-heir.removed:
		case exit := <-i.exits:
			i.hearExit(exit) // there is nothing left to serve on
			return true
		case <-late.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}

// heirs are the wanted instances that mount a volume of one.
func (s *supervisor) heirs(of *instance) []*instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	var heirs []*instance
	for _, other := range s.instances {
		if _, shared := platform.Shared(other.spec.Spec, of.spec.Spec); shared && other != of && !other.isRemoved() {
			heirs = append(heirs, other)
		}
	}
	return heirs
}
