package router

import (
	"time"

	"golang.org/x/sys/unix"
)

// joint is an upgraded connection that a loop carries: two descriptors, what it
// takes to count its request in the end, and no buffer while nothing is said.
type joint struct {
	loop        *loop
	of          *inSocket // whose request it was
	inst        *instance
	client, app limb

	quiet time.Duration // how long it may carry nothing
	heard time.Duration // when it last carried something
	due   time.Duration // when it ends at the latest; 0: any time
	ended bool

	socket bool   // it speaks WebSocket
	frames frames // those that the app said
}

// limb is one end of it.
type limb struct {
	fd       int
	of       *joint
	other    *limb
	readable bool
	hungUp   bool   // it has closed its half
	over     bool   // all that it said was read
	slab     *slab  // what rest is in; nil: the loop's common buffer, or another
	rest     []byte // what it said and the other did not take yet
}

// join makes the two connections one, after the app has switched protocols.
func (c *inSocket) join(l *loop) {
	a, o := c.act, c.act.out
	x := &a.x
	a.due = 0
	x.heard(&x.res)
	x.tells = x.back(&x.res)
	_ = a.answer(&x.res, &x.tells)
	j := &joint{
		loop: l, of: c, inst: x.inst, quiet: x.quietLimit(), heard: l.clock, socket: isWebSocket(x.res.Upgrade),
	}
	if early := o.data[o.r:o.w]; len(early) > 0 {
		a.text = append(a.text, early...)
		j.said(early)
	}
	c.r += a.head
	j.client = limb{fd: c.fd, of: j, other: &j.app, readable: c.readable, hungUp: c.hungUp, slab: c.slab, rest: c.held()}
	j.app = limb{fd: o.fd, of: j, other: &j.client, readable: o.readable, hungUp: o.hungUp, slab: a.slab, rest: a.text}
	c.slab, a.slab, a.text, a.out = nil, nil, nil, nil
	c.ended, o.ended, o.client = true, true, nil
	setUnheard(c.fd, 0) // two who talk for hours may be apart for a while
	o.yield(l)
	l.sockets[c.fd].handler, l.sockets[o.fd].handler = &j.client, &j.app
	l.clients.Add(-1)           // nobody waits for its end who waits until all are quiet
	l.router.watch.count.Add(1) // for its other descriptor, which is its own now
	l.by(c.fd, j.heard+j.quiet)
	j.inst.tunnels().add(j, x.route.edge.Timeouts.Upgraded)
	j.app.carry(l)
	j.client.carry(l)
}

func (s *limb) event(l *loop, events uint32) {
	s.readable = s.readable || events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	s.hungUp = s.hungUp || events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	s.carry(l)
	if events&unix.EPOLLOUT != 0 {
		s.other.carry(l)
	}
}

// maxPieces is how many pieces are carried before others get their turn.
const maxPieces = 16

// carry brings what one limb says to the other, until one of them has to wait.
func (s *limb) carry(l *loop) {
	for pieces := 0; !s.of.ended && s.push(l) && s.readable; pieces++ {
		if pieces == maxPieces { // with nothing in hand: the common buffer is others' now
			l.again = append(l.again, s)
			return
		}
		s.read(l)
	}
}

// push reports whether the other has all that was said.
func (s *limb) push(l *loop) bool {
	for len(s.rest) > 0 {
		n, err := rawWrite(s.other.fd, s.rest)
		switch {
		case err == unix.EAGAIN: //nolint:errorlint // an Errno
			s.keep(l)
			return false
		case err == unix.EINTR: //nolint:errorlint // an Errno
		case err != nil:
			s.of.end(l)
			return false
		default:
			s.rest = s.rest[n:]
		}
	}
	l.put(s.slab)
	s.slab, s.rest = nil, nil
	return true
}

// keep has what is left outlast the turn.
func (s *limb) keep(l *loop) {
	if s.slab == nil && len(s.rest) <= slabSize {
		s.slab = l.slab()
		s.rest = s.slab[:copy(s.slab[:], s.rest)]
	}
}

func (s *limb) read(l *loop) {
	room := l.common()[:slabSize]
	n, err := rawRead(s.fd, room)
	switch {
	case err == unix.EAGAIN: //nolint:errorlint // an Errno
		s.readable = false
	case err == unix.EINTR: //nolint:errorlint // an Errno
	case err != nil || n == 0 && s.other.over:
		s.of.end(l)
	case n == 0:
		s.readable, s.over = false, true
		_ = unix.Shutdown(s.other.fd, unix.SHUT_WR)
	default:
		s.rest = room[:n]
		s.readable = n == len(room) || s.hungUp
		s.of.heard = l.clock
		if s == &s.of.app {
			s.of.said(s.rest)
		}
	}
}

func (j *joint) said(text []byte) {
	if j.socket {
		j.frames.pass(text)
	}
}

// tick implements handler.
func (s *limb) tick(l *loop) {
	j := s.of
	end := j.heard + j.quiet
	if j.due > 0 {
		end = min(end, j.due)
	}
	if end <= l.clock {
		j.end(l)
		return
	}
	l.by(s.fd, end)
}

// shut implements handler.
func (s *limb) shut(l *loop) { s.of.end(l) }

// end ends both sides.
func (j *joint) end(l *loop) {
	if j.ended {
		return
	}
	j.ended = true
	for _, s := range [...]*limb{&j.client, &j.app} {
		l.release(s.fd)
		unix.Close(s.fd)
		l.put(s.slab)
		s.slab, s.rest = nil, nil
	}
	j.inst.tunnels().remove(j)
	j.of.finish(l, false)
	j.of.door.Close()
	l.router.watch.count.Add(-1)
	l.clients.Add(1) // for a moment
	l.part()
}

// part implements parting, for anybody.
func (j *joint) part() {
	l := j.loop
	l.post(func() {
		if !j.ended && !j.farewell(l) {
			j.end(l)
		}
	})
}

// farewell tells the client that the connection ends, if that can be told now,
// and has it end a moment later.
func (j *joint) farewell(l *loop) (told bool) {
	if !j.socket || !j.frames.between() || len(j.app.rest) > 0 {
		return false
	}
	n, err := rawWrite(j.client.fd, goingAway)
	j.due = l.clock + partTime - l.router.watch.tick // which it may be late by
	l.by(j.client.fd, j.due)
	return err == nil && n == len(goingAway)
}
