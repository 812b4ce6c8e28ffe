package attach

import (
	"context"
	"sync"
)

// window is what a side may still send before it hears of credit.
type window struct {
	mu    sync.Mutex
	left  int
	grown chan struct{} // capacity 1: left was raised
}

func newWindow() *window { return &window{left: Window, grown: make(chan struct{}, 1)} }

// take blocks until some of max bytes may be sent and returns how many. Only
// one goroutine may take at a time.
func (w *window) take(ctx context.Context, max int) (int, error) {
	for {
		if err := ctx.Err(); err != nil {
			return 0, context.Cause(ctx)
		}
		w.mu.Lock()
		n := min(max, w.left, chunk)
		w.left -= n
		w.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		select {
		case <-ctx.Done():
		case <-w.grown:
		}
	}
}

// grant returns n bytes; more than were taken break the protocol.
func (w *window) grant(n int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n < 0 || w.left+n > Window {
		return errProtocol
	}
	w.left += n
	select {
	case w.grown <- struct{}{}:
	default:
	}
	return nil
}

// consumed counts what a side took out of its inbox and has not given back.
// Giving back by the quarter keeps lines of a terminal from doubling messages;
// a sender whose window is used up always hears of a quarter soon.
type consumed struct{ bytes int }

// add returns the credit to send now, or 0.
func (c *consumed) add(n int) int {
	c.bytes += n
	if c.bytes < Window/4 {
		return 0
	}
	credit := c.bytes
	c.bytes = 0
	return credit
}

// piece is a part of a stream that arrived.
type piece struct {
	from channel
	data []byte
}

// inbox holds what arrived and was not consumed yet, at most Window bytes.
type inbox struct {
	mu     sync.Mutex
	pieces []piece
	held   int
	end    error         // set once: what follows the pieces
	more   chan struct{} // capacity 1: there is a piece or an end
}

func newInbox() *inbox { return &inbox{more: make(chan struct{}, 1)} }

// put never blocks; a sender that overruns its window breaks the protocol.
// What comes after the end is dropped.
func (b *inbox) put(p piece) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end != nil {
		return nil
	}
	if b.held+len(p.data) > Window {
		return errProtocol
	}
	b.pieces = append(b.pieces, p)
	b.held += len(p.data)
	b.wake()
	return nil
}

// finish lets the consumer see end after what it has not consumed; only the first counts.
func (b *inbox) finish(end error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end == nil {
		b.end = end
	}
	b.wake()
}

// abandon is finish without what was not consumed.
func (b *inbox) abandon(end error) {
	b.mu.Lock()
	b.pieces = nil
	b.mu.Unlock()
	b.finish(end)
}

func (b *inbox) wake() {
	select {
	case b.more <- struct{}{}:
	default:
	}
}

// next blocks for at most max bytes of one piece, or for the end.
func (b *inbox) next(max int) (piece, error) {
	for {
		b.mu.Lock()
		switch {
		case len(b.pieces) > 0:
			p := b.pieces[0]
			if len(p.data) > max {
				b.pieces[0].data = p.data[max:]
				p.data = p.data[:max]
			} else {
				b.pieces = b.pieces[1:]
			}
			b.held -= len(p.data)
			if len(b.pieces) > 0 || b.end != nil {
				b.wake()
			}
			b.mu.Unlock()
			return p, nil
		case b.end != nil:
			b.wake() // for the next call
			b.mu.Unlock()
			return piece{}, b.end
		}
		b.mu.Unlock()
		<-b.more
	}
}
