package h2

import (
	"context"
	"net"
	"slices"
	"sync"

	"github.com/slipway-paas/slipway/internal/h1"
)

// mostConns is how many connections a Pool has: each carries as many requests
// as its server lets it, and Options.MaxStreams at most.
const mostConns = 16

// Pool is the connections to one server that speaks HTTP/2 with prior
// knowledge. A further one is made when those there are carry all they may.
type Pool struct {
	opt  Options
	dial func(context.Context) (net.Conn, error)

	mu      sync.Mutex // taken before a connection's own
	conns   []*Conn
	dialing bool

	waitMu  sync.Mutex // taken after a connection's own
	waiting []chan error
}

// NewPool returns a pool that connects by dial. Nothing runs before Open.
func NewPool(opt Options, dial func(context.Context) (net.Conn, error)) *Pool {
	return &Pool{opt: opt, dial: dial}
}

// Open sends a request's head, on a stream that must be released. While all
// connections are full it waits, until ctx ends. An error is dial's or ctx's:
// nothing was sent.
func (p *Pool) Open(ctx context.Context, r *h1.Request, onward h1.Onward) (*Stream, error) {
	for {
		if s := p.TryOpen(r, onward); s != nil {
			return s, nil
		}
		turn := p.line()
		if s := p.TryOpen(r, onward); s != nil { // a place may have come before the line did
			p.leave(turn)
			return s, nil
		}
		if p.mayDial() {
			go p.connect(context.WithoutCancel(ctx)) // others may wait for it too
		}
		select {
		case err := <-turn:
			if err != nil {
				return nil, err
			}
		case <-ctx.Done():
			p.leave(turn)
			return nil, ctx.Err()
		}
	}
}

// TryOpen is Open where a connection has a place, and nil where none has.
func (p *Pool) TryOpen(r *h1.Request, onward h1.Onward) *Stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	gone := false
	for _, c := range p.conns {
		s, spent := c.openStream(r, onward)
		if s != nil {
			return s
		}
		gone = gone || spent
	}
	if gone {
		p.conns = slices.DeleteFunc(p.conns, (*Conn).isSpent)
	}
	return nil
}

func (p *Pool) mayDial() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dialing || len(p.conns) >= mostConns {
		return false
	}
	p.dialing = true
	return true
}

func (p *Pool) connect(ctx context.Context) {
	nc, err := p.dial(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing = false
	if err == nil {
		p.conns = append(p.conns, dialed(nc, p.opt, p.freed))
	}
	p.tell(err)
}

// tell has all who wait look again, or give up.
func (p *Pool) tell(err error) {
	p.waitMu.Lock()
	defer p.waitMu.Unlock()
	for _, turn := range p.waiting {
		turn <- err
	}
	p.waiting = nil
}

// freed has one who waits look again: there may be a place.
func (p *Pool) freed() {
	p.waitMu.Lock()
	defer p.waitMu.Unlock()
	if len(p.waiting) > 0 {
		p.waiting[0] <- nil
		p.waiting = p.waiting[1:]
	}
}

func (p *Pool) line() chan error {
	turn := make(chan error, 1)
	p.waitMu.Lock()
	defer p.waitMu.Unlock()
	p.waiting = append(p.waiting, turn)
	return turn
}

// leave gives a turn that was not used to the next.
func (p *Pool) leave(turn chan error) {
	p.waitMu.Lock()
	at := slices.Index(p.waiting, turn)
	if at >= 0 {
		p.waiting = slices.Delete(p.waiting, at, at+1)
	}
	p.waitMu.Unlock()
	if at < 0 {
		p.freed()
	}
}

// Close ends the connections that carry nothing, and the others once they do
// not. The pool stays usable.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Drain()
	}
	p.conns = nil
}
