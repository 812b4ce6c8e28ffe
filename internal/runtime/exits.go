package runtime

import (
	"context"
	"iter"
	"sync"
)

// Exits is the queue between the instances that end and the one who watches.
// It grows with the instances that end unwatched, one entry each.
type Exits struct {
	mu     sync.Mutex
	queue  []Exit
	filled chan struct{} // holds one token while the queue may be filled
}

// NewExits makes an empty queue.
func NewExits() *Exits { return &Exits{filled: make(chan struct{}, 1)} }

// Add puts an end at the back.
func (e *Exits) Add(exit Exit) {
	e.mu.Lock()
	e.queue = append(e.queue, exit)
	e.mu.Unlock()
	e.wake()
}

func (e *Exits) wake() {
	select {
	case e.filled <- struct{}{}:
	default:
	}
}

// Next blocks until an exit is there or ctx ends.
func (e *Exits) Next(ctx context.Context) (Exit, bool) {
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
	return Exit{}, false
}

// Watch yields each end once, in order, until ctx ends, and calls told with its
// id when its watcher has come back for more.
func (e *Exits) Watch(ctx context.Context, told func(id string)) iter.Seq[Exit] {
	return func(yield func(Exit) bool) {
		for {
			exit, ok := e.Next(ctx)
			if !ok {
				return
			}
			more := yield(exit)
			told(exit.ID)
			if !more {
				return
			}
		}
	}
}
