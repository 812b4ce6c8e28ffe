package router

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/h1"
)

// What a client's connection ends by that a loop serves: what came too late, or was
// taken too slowly, and what is no request.

// until has something be due; 0: nothing is.
func (c *inSocket) until(l *loop, due time.Duration) {
	c.due = due
	l.by(c.fd, due)
}

// tick implements handler.
func (c *inSocket) tick(l *loop) {
	a := c.act
	switch {
	case c.due > 0 && c.due <= l.clock:
		c.late(l)
	case a == nil:
		l.by(c.fd, c.due)
	case a.due > 0 && a.due <= l.clock && !a.begun:
		c.failed(l, errTimeout)
		c.serve(l)
	case c.slow(l):
		reset(c.fd)
		c.shut(l)
	case c.hungUp && c.noticed:
		c.leaves(l)
	default:
		if c.noticed = c.hungUp; c.noticed {
			l.by(c.fd, l.clock)
		}
		if l.by(c.fd, a.due); a.blocked > 0 {
			l.by(c.fd, a.pace.next(a.blocked, &l.router.opt))
		}
	}
}

// slow reports whether the client takes too little of its answer.
func (c *inSocket) slow(l *loop) bool {
	a, opt := c.act, &l.router.opt
	return a.blocked > 0 && a.pace.next(a.blocked, opt) <= l.clock && a.pace.slow(a.blocked, l.clock, acknowledged(c.fd), opt)
}

// late ends what took too long to come.
func (c *inSocket) late(l *loop) {
	switch {
	case c.lingering || c.r == c.w:
		c.shut(l)
	case c.waits && l.alarms.hands == 0:
		c.until(l, l.clock) // with the next ones
	case c.waits:
		l.alarms.hands--
		c.handOver(l) // which knows how slow a body may be
	default:
		c.refuse(l, new(h1.Request), slowHead())
	}
}

// refuse answers what is no request.
func (c *inSocket) refuse(l *loop, req *h1.Request, p page) {
	t := l.router.badHead(&c.peer, "HTTP/1.1", req, p)
	_, _ = rawWrite(c.fd, append(h1.AppendResponse(nil, &t.res, t.back), t.body...)) // into its empty buffer
	c.r, c.w = 0, 0
	c.linger(l)
}

// linger has the client read the last answer before the connection ends: one
// that is closed with bytes unread is reset.
func (c *inSocket) linger(l *loop) {
	if !c.lingering {
		c.lingering = true
		c.until(l, l.clock+drainTime)
		if unix.Shutdown(c.fd, unix.SHUT_WR) != nil {
			c.shut(l)
			return
		}
		c.yield(l)
	}
	for n := 0; c.readable && n < lingerBytes; {
		more, err := rawRead(c.fd, l.common())
		switch {
		case err == unix.EAGAIN: //nolint:errorlint // an Errno
			c.readable = false
		case err != nil || more == 0:
			c.shut(l)
			return
		}
		n += more
	}
}
