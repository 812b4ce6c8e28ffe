package process

import (
	"context"
	"sync"

	"github.com/slipway-paas/slipway/internal/runtime"
)

// exits is the queue between the instances that end and the one who watches.
// It grows with the instances that end unwatched, one entry each.
type exits struct {
	mu     sync.Mutex
	queue  []runtime.Exit
	filled chan struct{} // holds one token while the queue may be filled
}

func newExits() *exits { return &exits{filled: make(chan struct{}, 1)} }

func (e *exits) add(exit runtime.Exit) {
	e.mu.Lock()
	e.queue = append(e.queue, exit)
	e.mu.Unlock()
	e.wake()
}

func (e *exits) wake() {
	select {
	case e.filled <- struct{}{}:
	default:
	}
}

// next blocks until an exit is there or ctx ends.
func (e *exits) next(ctx context.Context) (runtime.Exit, bool) {
	for ctx.Err() == nil {
		e.mu.Lock()
		if len(e.queue) > 0 {
			exit := e.queue[0]
			e.queue = e.queue[1:]
			e.mu.Unlock()
			return exit, true
		}
		e.mu.Unlock()
		select {
		case <-e.filled:
		case <-ctx.Done():
		}
	}
	e.wake() // a token may have been taken: leave it to the next watcher
	return runtime.Exit{}, false
}
