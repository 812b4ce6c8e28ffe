package router

import (
	"io"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/overload"
)

// act is what an exchange sees of a loop's client when it answers by itself.
// What is for requests that wait is never asked of it: see inSocket.simple.

func (l *loop) act() *act {
	if last := len(l.acts) - 1; last >= 0 {
		a := l.acts[last]
		l.acts = l.acts[:last]
		return a
	}
	a := &act{loop: l}
	a.x.ready = make(chan overload.Reason) // nobody waits at it
	a.x.waiter.Ready = func(why overload.Reason) {
		l.post(func() { l.slotted(a, why) })
	}
	return a
}

// drop keeps an act for another request. What its fields refer to is another's
// by then.
func (l *loop) drop(a *act) {
	l.put(a.slab)
	a.slab, a.text, a.sent, a.rest = nil, nil, 0, nil
	a.inline, a.out, a.due = nil, nil, 0
	a.begun, a.complete, a.chunked, a.unended, a.final = false, false, false, false, false
	a.blocked, a.pace = 0, pace{}
	a.interims, a.queued, a.gate, a.owner = 0, false, nil, nil
	if len(l.acts) < maxFreed {
		l.acts = append(l.acts, a)
	}
}

func (a *act) whole() ([]byte, bool)      { return a.inline, true }
func (a *act) next() ([]byte, error)      { return nil, io.EOF }
func (a *act) trailers() []byte           { return nil }
func (a *act) hurry()                     {}
func (a *act) interim(*h1.Response) error { return nil }
func (a *act) flush() error               { return nil }
func (a *act) tunnel() *wire              { return nil }
func (a *act) abort()                     {}
func (a *act) gone() <-chan struct{}      { return nil }

func (a *act) answer(res *h1.Response, back *h1.Back) error {
	a.hold()
	back.Close = back.Close || a.req.Close
	a.chunked, a.unended = frame(back, a.req.Minor)
	a.final = back.Close
	a.begun = true
	a.text = h1.AppendResponse(a.text, res, *back)
	return nil
}

// hold takes a buffer for what is sent.
func (a *act) hold() {
	if a.slab == nil {
		a.slab = a.loop.slab()
		a.text = a.slab[:0]
	}
}

func (a *act) write(p []byte) error {
	a.hold()
	if a.chunked {
		a.text = h1.AppendChunkHead(a.text, len(p))
	}
	if a.text = append(a.text, p...); a.chunked {
		a.text = append(a.text, '\r', '\n')
	}
	return nil
}

func (a *act) end(trailers []byte) error {
	if a.chunked {
		a.hold()
		a.text = h1.AppendChunksEnd(a.text, trailers)
	}
	return nil
}

// pending reports whether something waits to be sent to the client, or came and
// was not looked at for that.
func (a *act) pending() bool { return len(a.text) > a.sent || len(a.rest) > 0 || a.complete }

// relay sends on what there is for the client, and takes more of the answer,
// until one of both sides has to wait, or the request is through.
func (c *inSocket) relay(l *loop) {
	a := c.act
	before := a.x.bytes
	for pieces := 0; !c.ended && c.act == a; pieces++ {
		if !c.flush(l) {
			return
		}
		if a.complete {
			c.through(l)
			return
		}
		if a.out == nil {
			return
		}
		if pieces == maxPieces || a.x.bytes-before >= maxPieces*slabSize {
			a.out.readable = true // there may be more
			l.again = append(l.again, a.out)
			return
		}
		if !a.out.more(l) {
			if c.act == a {
				c.flush(l) // what there is does not wait for more
			}
			return
		}
	}
}

// flush reports whether all that there was has gone to the client.
func (c *inSocket) flush(l *loop) bool {
	a := c.act
	for len(a.text) > a.sent || len(a.rest) > 0 {
		p := a.rest
		if len(a.text) > a.sent {
			p = a.text[a.sent:]
		}
		n, err := rawWrite(c.fd, p)
		switch {
		case err == unix.EAGAIN: //nolint:errorlint // an Errno
			c.writable = false
			if a.blocked == 0 {
				a.blocked = l.clock
				l.by(c.fd, a.blocked)
			}
			return false
		case err == unix.EINTR: //nolint:errorlint // an Errno
			continue
		case err != nil:
			c.leaves(l)
			return false
		}
		a.blocked = 0
		if len(a.text) > a.sent {
			a.sent += n
		} else {
			a.rest = a.rest[n:]
		}
	}
	l.put(a.slab)
	a.slab, a.text, a.sent = nil, nil, 0 // it may take long until there is more
	return true
}

// through ends a request whose answer the client has, and goes on with the next.
func (c *inSocket) through(l *loop) {
	a := c.act
	c.r += a.head
	final := a.final
	c.finish(l, true)
	c.noticed = false
	if final {
		c.linger(l)
		return
	}
	if c.r < c.w {
		c.until(l, l.clock+l.router.opt.HeaderTimeout)
		return
	}
	c.until(l, l.clock+l.router.opt.IdleTimeout)
	c.r, c.w = 0, 0
}
