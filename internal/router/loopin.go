package router

import (
	"bytes"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/overload"
)

// inSocket is a client's connection that a loop serves: one request at a time,
// as inward does it, without a goroutine.
type inSocket struct {
	fd       int
	peer     peer
	door     entrance
	readable bool
	writable bool
	hungUp   bool // the client has closed its half
	noticed  bool // so it was at the last tick
	ended    bool
	waits    bool // for the body of a request whose head is there
	known    bool // who the client is was found out

	lingering bool
	handed    int32 // how often it was handed over

	slab *slab // what came: data[r:w]; nil: nothing is there
	r, w int
	scan h1.Scan // of the head that came in part
	need int32   // how many bytes have to be there of the body with its head

	due    time.Duration // on the loop's clock; 0: none
	rested time.Duration // since when there is no request, if there is none

	act *act // of the request that is under way; nil: there is none
}

// act is one request that a loop leads through. One is used again for another.
type act struct {
	loop   *loop
	x      exchange
	req    h1.Request
	head   int // bytes of the head and the body with it
	inline []byte

	owner    *inSocket // nil: its client left while it waited
	queued   bool      // it waits for a slot
	gate     *overload.Gate
	out      *outSocket
	interims int           // heads that came before the final one
	due      time.Duration // when the answer is to have begun; 0: any time
	begun    bool          // the client was told something of the answer

	// What goes to the client: first slab[:n], then rest, which is a part of
	// the instance's buffer.
	slab     *slab
	text     []byte
	sent     int
	rest     []byte
	chunked  bool
	unended  bool          // the answer ends with the connection
	final    bool          // the connection is closed after it
	complete bool          // all of the answer is in text and rest
	blocked  time.Duration // since when the client takes nothing of it; 0: it does
	pace     pace
}

func (c *inSocket) event(l *loop, events uint32) {
	c.readable = c.readable || events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	c.writable = c.writable || events&unix.EPOLLOUT != 0
	if events&unix.EPOLLRDHUP != 0 && !c.hungUp {
		c.hungUp = true
		l.by(c.fd, l.clock) // it is looked at twice
	}
	switch {
	case events&(unix.EPOLLHUP|unix.EPOLLERR) != 0:
		c.leaves(l)
	case c.lingering:
		c.linger(l)
	case c.act == nil:
		c.serve(l)
	case c.act.pending():
		c.relay(l)
		c.serve(l)
	}
}

// serve leads requests through for as long as they do not have to wait.
func (c *inSocket) serve(l *loop) {
	for !c.ended && c.act == nil && !c.lingering {
		if c.r < c.w {
			if !c.begin(l) {
				return
			}
			continue
		}
		if !c.readable {
			c.rests(l)
			c.pass(l)
			return
		}
		c.read(l)
	}
}

// rests has the client's connection wait for a request, without a buffer.
func (c *inSocket) rests(l *loop) {
	if c.r == c.w && c.slab != nil {
		l.put(c.slab)
		c.slab, c.r, c.w = nil, 0, 0
	}
	c.rested = l.clock
	l.lastRest.Store(max(1, int64(l.clock)))
	l.router.watch.changed()
}

// read takes what there is from the socket, as far as there is room.
func (c *inSocket) read(l *loop) {
	if c.slab == nil {
		c.slab, c.r, c.w = l.slab(), 0, 0
	}
	room := c.slab[c.w:]
	n, err := rawRead(c.fd, room)
	switch {
	case err == unix.EAGAIN: //nolint:errorlint // an Errno
		c.readable = false
	case err == unix.EINTR: //nolint:errorlint // an Errno
	case err != nil || n == 0:
		c.readable = false
		c.shut(l)
	default:
		if c.w == 0 {
			c.until(l, l.clock+l.router.opt.HeaderTimeout)
		}
		c.w += n
		c.readable = n == len(room) || c.hungUp
	}
}

// begin begins with the request whose first bytes are there. It reports false
// when more has to come first.
func (c *inSocket) begin(l *loop) bool {
	if c.w-c.r < int(c.need) {
		return c.continued(l)
	}
	a := l.act()
	n, err := c.scan.Parse(&a.req, c.slab[c.r:c.w], l.router.limits)
	switch {
	case err == nil && n == 0:
		l.drop(a)
		return c.continued(l)
	case err != nil && !bytes.HasPrefix(preface, c.held()[:min(4, len(c.held()))]):
		c.refuse(l, &a.req, badBody(err))
		l.drop(a)
	case err == nil && c.more(&a.req, n):
		c.need = int32(n) + int32(a.req.Length) //nolint:gosec // they fit a slab
		l.drop(a)
		if !c.waits {
			c.waits = true
			c.until(l, l.clock+l.router.watch.tick)
		}
		return c.continued(l)
	case err != nil || !c.simple(&a.req, n) || !l.router.open.enter():
		l.drop(a)
		c.handOver(l)
	default:
		c.lead(l, a, n)
	}
	return true
}

// continued looks for more of a head that is not whole, and reports false when
// that has to come first.
func (c *inSocket) continued(l *loop) bool {
	switch {
	case c.waits && c.hungUp && !c.readable:
		c.handOver(l) // which says what is wrong with that
	case c.hungUp && !c.readable:
		c.shut(l)
	case c.w == slabSize && c.r > 0:
		c.w = copy(c.slab[:], c.slab[c.r:c.w])
		c.r = 0
	case c.w == slabSize:
		c.handOver(l) // it is larger than what a loop reads
	case !c.readable:
		return false
	default:
		c.read(l)
	}
	return true
}

// lead begins to lead the request through whose head is the first n bytes.
func (c *inSocket) lead(l *loop, a *act, n int) {
	a.head, a.inline = n, nil
	if length := int(a.req.Length); length > 0 {
		a.inline = c.slab[c.r+n : c.r+n+length]
		a.head += length
	}
	if a.req.Upgrade != nil { // it may go on for long, without the buffer
		_, _ = a.req.Parse(bytes.Clone(c.slab[c.r:c.r+n]), l.router.limits) // as before
	}
	c.act, c.due, c.waits, c.need = a, 0, false, 0
	a.owner = c
	x := &a.x
	x.router, x.from, x.client, x.sink = l.router, &c.peer, a, a
	x.begin(&a.req, protoOf(&a.req))
	x.mayPass = true
	x.hasBody, x.inline, x.stream, x.ended = bodyOf(&a.req), a.inline, false, false
	if !x.fast() {
		c.resign(l)
		return
	}
	c.step(l, x.first())
}

// fast reports whether a loop can do all that the request's app may ask for.
// What computes, or begins a conversation, would hold up all others.
func (x *exchange) fast() bool {
	return !x.lookup() || x.app == nil || x.app.fast() // else it is refused
}

func (a *app) fast() bool {
	if a.control {
		return false
	}
	rt := a.route.Load()
	return rt == nil || rt.edge.Protocol == "" && rt.edge.Proxy == 0 && rt.edge.Auth == nil && len(rt.edge.Compress) == 0 && rt.edge.Balance.Hedge == 0
}

func protoOf(req *h1.Request) string {
	if req.Minor == 0 {
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

// simple reports whether a request with a head of n bytes is one of those that
// a loop leads through.
func (c *inSocket) simple(req *h1.Request, n int) bool {
	return !req.Expect && req.Length >= 0 && req.Length <= int64(c.w-c.r-n)
}

// more reports whether more of a small body is worth waiting for.
func (c *inSocket) more(req *h1.Request, n int) bool {
	there := int64(c.w - c.r - n)
	return !req.Expect && req.Length > there && int64(n)+req.Length <= slabSize
}

// step does what an exchange says is next.
func (c *inSocket) step(l *loop, s step) {
	a := c.act
	for {
		switch s.do {
		case toSend:
			if s.place.plain().addr == nil {
				a.x.left()
				c.resign(l)
				return
			}
			err := c.send(l, s.place)
			if err == nil {
				return
			}
			s = a.x.failed(err, true)
			continue
		case toAnswer:
			a.x.answer(s.page)
			a.complete = true
			a.x.over()
			c.relay(l)
		case toCut:
			a.x.over()
			c.shut(l)
		case toWait:
			if s.guest == nil { // for a slot
				a.queued = true
				l.waiting[a] = struct{}{}
				return
			}
			a.x.unwait(s.guest)
			c.resign(l)
		case toProve:
			c.resign(l)
		}
		return
	}
}

// unwait takes the request out of where it was about to wait.
func (x *exchange) unwait(g *guest) {
	switch {
	case g.brief:
		x.endLinger(g.app)
	case !x.router.leave(g):
		x.router.onItsWay(g)
	}
}

// held are the bytes that came and were not taken yet.
func (c *inSocket) held() []byte {
	if c.slab == nil {
		return nil
	}
	return c.slab[c.r:c.w]
}

func (c *inSocket) yield(l *loop) {
	l.put(c.slab)
	c.slab, c.r, c.w = nil, 0, 0
}

// send sends the request to a place.
func (c *inSocket) send(l *loop, at *place) error {
	a := c.act
	u := at.plain()
	out, err := l.take(u, l.router.connectTime(a.x.route))
	if err != nil {
		return err
	}
	a.out, a.interims = out, 0
	out.client = c
	a.x.sends = a.x.onward()
	if err := out.send(l, &a.req, &a.x.sends, a.inline); err != nil {
		out.shut(l)
		a.out = nil
		return err
	}
	return nil
}

// sentAll has the time run that the app has to begin its answer.
func (c *inSocket) sentAll(l *loop) {
	if limit := c.act.x.patience(); limit > 0 {
		c.act.due = l.clock + limit
		l.by(c.fd, c.act.due)
	}
}

// failed says that the instance's connection did not bring an answer's head.
func (c *inSocket) failed(l *loop, err error) {
	a := c.act
	a.out.shut(l)
	a.out, a.due = nil, 0
	c.step(l, a.x.failed(err, true))
}

// brokeOff says that the instance did not end the answer it began.
func (c *inSocket) brokeOff(l *loop) {
	a := c.act
	a.x.broken = true
	if a.unended {
		reset(c.fd)
	}
	if !a.unended && len(a.text) > a.sent { // what came of it is the client's
		_, _ = rawWrite(c.fd, a.text[a.sent:])
	}
	c.shut(l)
}

// leaves ends the connection because the client has.
func (c *inSocket) leaves(l *loop) {
	if c.act != nil && !c.act.x.ended && !c.act.begun {
		c.act.x.status = statusClientGone
	}
	c.shut(l)
}

// shut implements handler: nothing of the connection is left.
func (c *inSocket) shut(l *loop) {
	if c.ended {
		return
	}
	c.ended = true
	c.finish(l, false)
	l.release(c.fd)
	unix.Close(c.fd)
	c.yield(l)
	c.door.Close()
	l.part()
}

// finish ends the request that is under way, if there is one; whole says that
// it went well.
func (c *inSocket) finish(l *loop, whole bool) {
	a := c.act
	if a == nil {
		return
	}
	c.act = nil
	if a.out != nil {
		a.out.done(l, whole)
		a.out = nil
	}
	told := a.queued && !a.unqueue(l)
	a.x.over()
	l.router.open.leave()
	if !told {
		l.drop(a)
	}
}

// unqueue ends that the request waits for a slot, for its client has left. It
// reports false when it was decided about already, which slotted is told yet.
func (a *act) unqueue(l *loop) bool {
	delete(l.waiting, a)
	a.gate, a.owner = a.x.gate, nil
	out := a.gate.Leave(&a.x.waiter)
	a.x.slotted(overload.None, true)
	return out
}

// slotted goes on with a request that waited for a slot.
func (l *loop) slotted(a *act, why overload.Reason) {
	if a.owner == nil { // its client left
		if why == overload.None {
			a.gate.Release(l.clock, -1, -1)
		}
		l.drop(a)
		return
	}
	delete(l.waiting, a)
	a.queued = false
	c := a.owner
	c.step(l, a.x.slotted(why, false))
	c.serve(l)
}
