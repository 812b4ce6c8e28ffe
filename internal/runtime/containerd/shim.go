package containerd

import (
	"crypto/rand"
	"sync"
)

// perShim is how many instances share a shim, whatever their app: a shim costs
// some 11 MB by itself and a tenth of one for each instance. Who dies with a
// shim is started again, so this many instances at most stop together.
const perShim = 32

// shim holds some of our containers. Containerd ends it with its last one, so
// who joins must not meet the last one's removal: who removes a container that
// no other would outlive holds the lock alone, all others share it.
type shim struct {
	sync.RWMutex
	members map[string]*member // by container; guarded by Runtime.mu
}

type member struct {
	app     string
	settled bool // it holds the shim: it was created, and is not being removed
}

// joinShim finds a shim for a container that is to be made.
func (r *Runtime) joinShim(app, container string) (name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name = r.roomyShim(app)
	r.shim(name).members[container] = &member{app: app}
	return name
}

// keepShim has an adopted container be a member of the shim it is in.
func (r *Runtime) keepShim(name, app, container string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shim(name).members[container] = &member{app: app, settled: true}
}

// shim is the one of a name. r.mu is held.
func (r *Runtime) shim(name string) *shim {
	s := r.shims[name]
	if s == nil {
		s = &shim{members: make(map[string]*member)}
		r.shims[name] = s
	}
	return s
}

// roomyShim names the shim to join: the one with the fewest instances of the
// app, so that they do not all stop together, and of those the fullest; else a
// new one. r.mu is held.
func (r *Runtime) roomyShim(app string) string {
	best, copies, full := "", 0, 0
	for name, s := range r.shims {
		n, size := 0, len(s.members)
		for _, m := range s.members {
			if m.app == app {
				n++
			}
		}
		if size > 0 && size < perShim && (best == "" || n < copies || n == copies && size > full) {
			best, copies, full = name, n, size
		}
	}
	if best == "" {
		best = "shared-" + rand.Text()[:10] // no shim of an earlier life is called that
	}
	return best
}

// inShim runs create, which makes the container a member for good.
func (r *Runtime) inShim(name, container string, create func() error) error {
	r.mu.Lock()
	s := r.shim(name)
	r.mu.Unlock()
	s.RLock()
	defer s.RUnlock()
	err := create()
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := s.members[container]; m != nil {
		m.settled = err == nil
	}
	return err
}

// outOfShim runs remove, which takes the container out of its shim.
func (r *Runtime) outOfShim(name, container string, remove func() error) error {
	r.mu.Lock()
	s := r.shim(name)
	last := s.lastBut(container)
	r.mu.Unlock()
	if last {
		s.Lock()
		defer s.Unlock()
	} else {
		s.RLock()
		defer s.RUnlock()
	}
	return remove()
}

// leaveShim forgets a container that is gone, and a shim that held nothing else.
func (r *Runtime) leaveShim(name, container string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.shims[name]; s != nil {
		delete(s.members, container)
		if len(s.members) == 0 {
			delete(r.shims, name)
		}
	}
}

// lastBut reports whether nothing but the container holds the shim, and has it
// hold it no more. Runtime.mu is held.
func (s *shim) lastBut(container string) bool {
	if m := s.members[container]; m != nil {
		m.settled = false
	}
	for _, m := range s.members {
		if m.settled {
			return false
		}
	}
	return true
}
