package h2

import (
	"net"

	"github.com/slipway-paas/slipway/internal/h1"
)

// dialed makes a connection to a server ready and starts it. Slots is told,
// with the connection locked, when there may be place for another stream.
func dialed(nc net.Conn, opt Options, slots func()) *Conn {
	c := newConn(nc, opt, true)
	c.slots = slots
	c.begin()
	c.handlers.Go(func() { c.end(c.readAll()) })
	return c
}

// openStream sends a request's head on a stream of its own, nil where there is
// no place; spent says that there never will be.
func (c *Conn) openStream(r *h1.Request, onward h1.Onward) (s *Stream, spent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spent() {
		return nil, true
	}
	if !c.takes() {
		return nil, false
	}
	if c.last == 0 {
		c.last = 1
	} else {
		c.last += 2
	}
	s = newStream(c, c.last)
	s.method = append(s.method, r.Method...)
	c.streams[s.id] = s
	dst, at := beginHeaders(c.buffer())
	c.out = endHeaders(appendRequest(dst, r, onward), at, s.id, !onward.Body, c.peer.frame)
	c.poke()
	if !onward.Body {
		s.finish()
	}
	return s, false
}

// takes reports whether a stream may be opened now. c.mu is held.
func (c *Conn) takes() bool {
	return len(c.streams) < c.opt.MaxStreams && uint32(len(c.streams)) < c.peer.streams && //nolint:gosec // few
		len(c.out) < mostBacklog/2
}

// spent reports whether no stream ever will be.
func (c *Conn) spent() bool {
	return c.err != nil || c.closing || c.leaving.asked || c.last > mostWindow-2
}

func (c *Conn) isSpent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spent()
}

// Head waits for the answer's head; each interim one comes before. It holds
// until Release. ErrUnsent says that the request may be sent again.
func (s *Stream) Head() (*h1.Response, error) {
	for {
		if r, err := s.head(); r != nil || err != nil {
			return r, err
		}
		<-s.wake
	}
}

func (s *Stream) head() (*h1.Response, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	switch {
	case len(s.interims) > 0:
		first := s.interims[0]
		s.interims = s.interims[1:]
		return &first.answer, nil
	case s.headed:
		return &s.answer, nil
	}
	return nil, s.err
}

// mostInterims is how many interim responses may wait to be looked at.
const mostInterims = 8

// answered takes the head of a response. c.mu is held.
func (s *Stream) answered(b *block, end bool) error {
	s.block, *b = *b, s.block
	if err := s.block.response(&s.answer, s.method, s.c.opt.limits(), !end); err != nil {
		return malformed("8.1.1", err.Error())
	}
	if s.answer.Interim() {
		if len(s.interims) == mostInterims {
			return &streamError{Calm, "8.1", "there are too many interim responses"}
		}
		s.interims = append(s.interims, &interim{s.block, s.answer})
		s.block, s.answer = block{}, h1.Response{}
	} else {
		s.headed, s.left = true, s.answer.Length
		if end {
			s.end()
		}
	}
	s.mayRead()
	return nil
}

// Release ends the use of a client's stream; one that is not done is reset.
// Every stream must be released, once, and not be used after.
func (s *Stream) Release() {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if !s.over {
		c.reset(s, Cancel, &ResetError{Cancel, false})
	}
	c.release(s)
}
