package router

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/h1"
)

// outPool is a loop's idle connections to one address, by when they were used
// last. The last one is used next.
type outPool struct {
	of   *upstream
	idle []*outSocket
}

// take is a connection to an address, which may still be coming about.
func (l *loop) take(u *upstream, within time.Duration) (*outSocket, error) {
	pool := l.out[u]
	for pool != nil && len(pool.idle) > 0 {
		last := len(pool.idle) - 1
		o := pool.idle[last]
		pool.idle[last] = nil
		pool.idle = pool.idle[:last]
		if o.era == u.era.Load() && l.clock-o.since < l.router.opt.UpstreamIdle {
			return o, nil
		}
		o.shut(l)
	}
	return l.connect(u, within)
}

func (l *loop) connect(u *upstream, within time.Duration) (*outSocket, error) {
	family, to := sockaddr(*u.addr)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, errRefused
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err := unix.Connect(fd, to); err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return nil, errRefused
	}
	o := &outSocket{fd: fd, of: u, era: u.era.Load(), connecting: true, since: l.clock, within: within}
	if err := l.register(fd, o, edges); err != nil {
		unix.Close(fd)
		return nil, errRefused
	}
	l.by(fd, o.since+within)
	return o, nil
}

func sockaddr(to netip.AddrPort) (family int, addr unix.Sockaddr) {
	if to.Addr().Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Addr: to.Addr().As16(), Port: int(to.Port())}
}

// reap closes those that nobody has used for long enough, and those that were
// given up.
func (p *outPool) reap(l *loop) {
	era, kept := p.of.era.Load(), p.idle[:0]
	for _, o := range p.idle {
		if o.era != era || l.clock-o.since >= l.router.opt.UpstreamIdle {
			o.shut(l)
			continue
		}
		kept = append(kept, o)
	}
	clear(p.idle[len(kept):])
	if p.idle = kept; len(kept) == 0 {
		delete(l.out, p.of)
	}
}

// forget takes one that has closed out of its pool.
func (p *outPool) forget(gone *outSocket) {
	for i, o := range p.idle {
		if o == gone {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			return
		}
	}
}

// outSocket is a loop's connection to an instance.
type outSocket struct {
	fd         int
	of         *upstream
	era        uint64        // of upstream, when it came about
	client     *inSocket     // nil: it carries nothing
	since      time.Duration // when it was begun, or given back
	connecting bool
	within     time.Duration // how long it may take to come about
	readable   bool
	hungUp     bool // the instance has closed its half
	used       bool // it has carried a request before
	ended      bool

	// The request, as far as it is not sent.
	textSlab *slab
	text     []byte

	// The answer.
	slab    *slab
	bulk    *bulk
	data    []byte // slab, bulk, or another; what came is data[r:w]. nil: nothing is there
	r, w    int
	heard   bool // bytes of it came
	got     bool // so did its head
	hurried bool // its rest was asked for
	final   bool // nothing comes after it
	framing framing
}

func (o *outSocket) send(l *loop, req *h1.Request, onward *h1.Onward, body []byte) error {
	o.heard, o.got, o.hurried, o.final = false, false, false, false
	o.framing.done = false
	if o.used && !o.silent(l) {
		return errUnsent
	}
	o.textSlab = l.slab()
	o.text = append(h1.AppendRequest(o.textSlab[:0], req, *onward), body...)
	if o.connecting {
		return nil
	}
	return o.push(l)
}

// silent reports whether nothing came since the last answer: it would be taken
// for the next one.
func (o *outSocket) silent(l *loop) bool {
	_, err := rawRead(o.fd, l.common()[:1])
	o.readable = false
	return err == unix.EAGAIN //nolint:errorlint // an Errno
}

// push sends what is left of the request, as far as it goes.
func (o *outSocket) push(l *loop) error {
	for len(o.text) > 0 {
		n, err := rawWrite(o.fd, o.text)
		switch {
		case err == unix.EAGAIN: //nolint:errorlint // an Errno
			return nil
		case err == unix.EINTR: //nolint:errorlint // an Errno
		case err != nil && o.used:
			return errStale
		case err != nil:
			return errLost
		}
		o.text = o.text[max(n, 0):]
	}
	l.put(o.textSlab)
	o.textSlab, o.text = nil, nil
	o.client.sentAll(l)
	return nil
}

func (o *outSocket) event(l *loop, events uint32) {
	o.readable = o.readable || events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	o.hungUp = o.hungUp || events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	c := o.client
	switch {
	case o.connecting:
		if !o.connected(l) {
			return
		}
	case c == nil:
		if o.readable {
			if pool := l.out[o.of]; pool != nil {
				pool.forget(o)
			}
			o.shut(l)
		}
		return
	}
	if c == nil {
		return
	}
	if len(o.text) > 0 && events&unix.EPOLLOUT != 0 {
		if err := o.push(l); err != nil {
			c.failed(l, err)
		}
	}
	if c.act != nil && c.act.out == o && o.readable {
		c.relay(l)
	}
	c.serve(l)
}

// connected reports whether the connection came about.
func (o *outSocket) connected(l *loop) bool {
	code, err := unix.GetsockoptInt(o.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil || code != 0 {
		o.refused(l)
		return false
	}
	if _, err := unix.Getpeername(o.fd); err != nil {
		return false // not yet
	}
	o.connecting = false
	l.router.metrics.Connected(l.clock-o.since, nil)
	if o.client == nil {
		o.shut(l)
		return false
	}
	return true
}

func (o *outSocket) refused(l *loop) {
	l.router.metrics.Connected(l.clock-o.since, errRefused)
	if c := o.client; c != nil {
		c.failed(l, errRefused)
		c.serve(l)
		return
	}
	o.shut(l)
}

// tick implements handler.
func (o *outSocket) tick(l *loop) {
	idle, pool := l.router.opt.UpstreamIdle, l.out[o.of]
	switch {
	case o.connecting && l.clock-o.since >= o.within:
		o.refused(l)
	case o.connecting:
		l.by(o.fd, o.since+o.within)
	case o.client != nil || pool == nil: // it is looked at once it is given back
	case l.clock-o.since >= idle:
		pool.reap(l)
	default:
		l.by(o.fd, o.since+idle)
	}
}

// shut implements handler.
func (o *outSocket) shut(l *loop) {
	if o.ended {
		return
	}
	o.ended, o.client = true, nil
	l.release(o.fd)
	unix.Close(o.fd)
	o.yield(l)
	l.put(o.textSlab)
	o.textSlab, o.text = nil, nil
}

func (o *outSocket) yield(l *loop) {
	if o.bulk != nil {
		bulks.Put(o.bulk)
		l.bulks--
	}
	l.put(o.slab)
	o.bulk, o.slab, o.data, o.r, o.w = nil, nil, nil, 0, 0
}

// done ends the use of the connection. It is kept for another request when this
// one is through and nothing came besides.
func (o *outSocket) done(l *loop, whole bool) {
	fit := whole && o.got && o.framing.done && !o.final && o.r == o.w && o.text == nil && o.era == o.of.era.Load()
	pool := l.out[o.of]
	if !fit || pool != nil && len(pool.idle) >= maxIdle {
		o.shut(l)
		return
	}
	if pool == nil {
		pool = &outPool{of: o.of}
		l.out[o.of] = pool
	}
	o.client, o.used, o.since = nil, true, l.clock
	o.yield(l)
	pool.idle = append(pool.idle, o)
	l.by(o.fd, o.since+l.router.opt.UpstreamIdle)
}

// bulk is a buffer for large bodies.
type bulk [256 << 10]byte

var bulks = sync.Pool{New: func() any { return new(bulk) }}

// maxBulks bounds how many of them a loop has in use: a client that takes
// nothing keeps one until its time is over.
const maxBulks = 64

// more takes more of the answer for the client. It reports whether there is
// something to be sent, or the answer is whole.
func (o *outSocket) more(l *loop) bool {
	c := o.client
	for c.act != nil && c.act.out == o {
		switch {
		case o.got && o.framing.done:
			_ = c.act.end(o.framing.trailers())
			c.act.complete = true
			c.act.x.over()
			return true
		case o.r < o.w && !o.got:
			if done, enough := o.head(l); enough || done {
				return enough
			}
			continue
		case o.r < o.w:
			data, took, err := o.framing.take(o.data[o.r:o.w])
			o.r += took
			if err != nil {
				c.brokeOff(l)
				return false
			}
			if c.act.bring(data); len(data) > 0 && !o.framing.done {
				return true
			}
			continue
		}
		if !o.readable {
			if o.heard && !o.hurried {
				o.hurried = true
				hurry(uintptr(o.fd)) //nolint:gosec // a descriptor
			}
			return false
		}
		o.read(l)
	}
	return false
}

// bring has data sent to the client: what is little with the head, what is much
// from where it is.
func (a *act) bring(data []byte) {
	a.x.bytes += int64(len(data))
	switch {
	case len(data) == 0:
	case a.chunked || len(a.text)+len(data) <= slabSize:
		_ = a.write(data)
	default:
		a.rest = data
	}
}

// head takes a head off what came. done: the attempt is over; enough: an interim
// head is to be sent.
func (o *outSocket) head(l *loop) (done, enough bool) {
	c := o.client
	a := c.act
	o.heard = true
	n, err := a.x.res.Parse(o.data[o.r:o.w], a.req.Method, h1.Limits{Head: maxAnswerHead, Fields: maxAnswerFields})
	switch {
	case err != nil:
		c.failed(l, errGarbage)
		return true, false
	case n == 0:
		o.enlarge(l)
		if !o.readable {
			return true, false
		}
		o.read(l)
		return o.client != c, false
	}
	o.r += n
	if a.x.res.Interim() {
		if a.interims++; a.interims >= maxInterim {
			c.failed(l, errGarbage)
			return true, false
		}
		if a.req.Minor == 0 || a.x.res.Status == 100 {
			return false, false // it would be taken for the answer
		}
		a.hold()
		a.text = h1.AppendResponse(a.text, &a.x.res, h1.Back{Bodiless: true})
		return false, true
	}
	if a.x.res.Status == 101 {
		if a.req.Upgrade == nil || a.x.res.Upgrade == nil { // nobody asked for it
			c.failed(l, errGarbage)
		} else {
			c.join(l)
		}
		return true, false
	}
	o.got, o.final, a.due = true, a.x.res.Close, 0
	o.framing.begin(a.x.res.Length)
	a.x.heard(&a.x.res)
	a.x.tells = a.x.back(&a.x.res)
	_ = a.answer(&a.x.res, &a.x.tells)
	return false, false
}

// enlarge makes room for more of a head.
func (o *outSocket) enlarge(l *loop) {
	switch {
	case o.w < len(o.data):
	case o.r > 0:
		o.w = copy(o.data, o.data[o.r:o.w])
		o.r = 0
	default:
		larger := make([]byte, 2*len(o.data))
		copy(larger, o.data)
		l.put(o.slab)
		o.slab, o.data = nil, larger
	}
}

// read reads what there is, or ends what cannot go on.
func (o *outSocket) read(l *loop) {
	o.room(l)
	room := o.data[o.w:]
	n, err := rawRead(o.fd, room)
	switch {
	case err == unix.EAGAIN: //nolint:errorlint // an Errno
		if o.readable = false; o.r == o.w {
			o.yield(l) // it may take long until there is more
		}
	case err == unix.EINTR: //nolint:errorlint // an Errno
	case err != nil || n == 0:
		o.readable = false
		o.endOfStream(l, err)
	default:
		o.w += n
		// Less than there was room for is all there is: epoll(7). But an end
		// that was told with these bytes is not told again.
		o.readable = n == len(room) || o.hungUp
	}
}

// room takes a buffer for what comes, unless there is one with something in it.
func (o *outSocket) room(l *loop) {
	switch {
	case o.r < o.w:
	case o.got && o.bulk == nil && o.framing.left > int64(len(bulk{})) && l.bulks < maxBulks:
		o.yield(l)
		l.bulks++
		o.bulk = bulks.Get().(*bulk)
		o.data = o.bulk[:]
	case o.data == nil:
		o.slab = l.slab()
		o.data = o.slab[:]
	default:
		o.r, o.w = 0, 0
	}
}

func (o *outSocket) endOfStream(l *loop, err error) {
	c := o.client
	switch {
	case o.got && o.framing.left == h1.UntilClose && err == nil:
		o.framing.done, o.final = true, true
	case o.got:
		c.brokeOff(l)
	case !o.heard && err == nil && len(o.text) == 0 && queued(o.fd) == 0:
		c.failed(l, died(o.used))
	case !o.heard && o.used:
		c.failed(l, errStale)
	case !o.heard:
		c.failed(l, errLost)
	default:
		c.failed(l, errBroken)
	}
}
