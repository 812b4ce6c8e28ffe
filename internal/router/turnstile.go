package router

import (
	"sync"
	"sync/atomic"
)

// turnstile counts who is inside and can be shut for good: once shut nobody
// enters, and who waits is told when the last one left. The zero value is open.
type turnstile struct {
	state atomic.Int64           // who is inside, plus shutBit once shut
	last  atomic.Pointer[lastly] // there before shutBit is
}

// lastly is told once that nobody is inside any more.
type lastly struct {
	once  sync.Once
	empty chan struct{}
}

const shutBit = int64(1) << 62

// enter reports whether the caller is inside. It must then leave.
func (t *turnstile) enter() bool {
	if t.state.Add(1)&shutBit == 0 {
		return true
	}
	t.leave()
	return false
}

// leave undoes one enter. Somebody who was turned away also passes here, which
// does no harm: empty, once true of a shut turnstile, stays true.
func (t *turnstile) leave() {
	if t.state.Add(-1) == shutBit {
		last := t.last.Load()
		last.once.Do(func() { close(last.empty) })
	}
}

// shut turns everybody away from now on and returns the channel that is
// closed when nobody is inside any more. It may be called again.
func (t *turnstile) shut() <-chan struct{} {
	t.last.CompareAndSwap(nil, &lastly{empty: make(chan struct{})})
	t.state.Add(1) // a place inside, so that leave below sees the emptiness
	for {
		old := t.state.Load()
		if t.state.CompareAndSwap(old, old|shutBit) {
			break
		}
	}
	t.leave()
	return t.last.Load().empty
}

func (t *turnstile) isShut() bool { return t.state.Load()&shutBit != 0 }

func (t *turnstile) inside() int { return int(t.state.Load() &^ shutBit) }
