package fleet

import (
	"context"
	"iter"
	"sync"
)

// bell wakes everybody who waits. Take the channel before looking at what the
// bell is about, so that no ring falls in between.
type bell struct {
	mu   sync.Mutex
	rung chan struct{}
}

// next is closed by the next ring.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}

// subscriber is one Changes sequence.
type subscriber struct {
	pending map[string]struct{} // guarded by Fleet.mu
	kick    chan struct{}       // capacity 1
}

// Changes yields the id of each app of which a node has reported something new
// or whose route was set anew, from the call on, until ctx ends. Several changes of an app between two
// yields are one; none is lost. The sequence may be ranged over once; ctx must
// end, ranged over or not.
func (f *Fleet) Changes(ctx context.Context) iter.Seq[string] {
	s := &subscriber{pending: make(map[string]struct{}), kick: make(chan struct{}, 1)}
	f.mu.Lock()
	f.subs[s] = struct{}{}
	f.mu.Unlock()
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		delete(f.subs, s)
		f.mu.Unlock()
	})
	return func(yield func(string) bool) {
		for {
			select {
			case <-ctx.Done():
				return
			case <-f.closed.Done():
				return
			case <-s.kick:
			}
			f.mu.Lock()
			changed := s.pending
			s.pending = make(map[string]struct{})
			f.mu.Unlock()
			for id := range changed {
				if ctx.Err() != nil || !yield(id) {
					return
				}
			}
		}
	}
}

// tell notes a change of an app for every subscriber; f.mu is held.
func (f *Fleet) tell(id string) {
	for s := range f.subs {
		s.pending[id] = struct{}{}
		select {
		case s.kick <- struct{}{}:
		default:
		}
	}
}
