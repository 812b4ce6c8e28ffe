package router

import (
	"math"
	"net"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A client's connection of plain HTTP/1.1 that waits for a request is nothing
// but a descriptor: what comes next is in the kernel yet. So a router that
// leaves gives those to its successor, and the clients notice nothing. One whose
// request is under way passes after its answer. Connections of TLS and HTTP/2
// have a state of their own, and stay.

// Passed is a connection on its way from a router to another.
type Passed struct {
	FD     int
	Client netip.AddrPort // as its proxy said, where it came by one
}

// maxPassed is how many pass at once: see SCM_RIGHTS in unix(7).
const maxPassed = 200

// passing gives connections away, some at a time.
type passing struct {
	router *Router
	to     func([]Passed) error

	mu    sync.Mutex
	queue []Passed
	busy  bool
}

// PassOn has the router give to another, once it drains, the connections that
// can pass and wait for a request. to is handed at most 200 at once, by one
// goroutine; nil means that the other has copies of the descriptors. After an error they stay here,
// and so do all that follow: their next answer tells the client to reconnect.
func (r *Router) PassOn(to func([]Passed) error) {
	r.passing.Store(&passing{router: r, to: to})
}

// Take serves connections that another router passed, as if their last answers
// had been sent here. It takes the descriptors over, and returns when they are
// this router's.
func (r *Router) Take(some []Passed) {
	r.startWatch()
	l := r.leastLoop()
	if l == nil {
		for _, p := range some {
			r.resume(p)
		}
		return
	}
	taken := make(chan struct{})
	if !l.post(func() { l.resume(some); close(taken) }) {
		for _, p := range some {
			unix.Close(p.FD) // the router has ended
		}
		return
	}
	<-taken
}

// leastLoop is the loop with the fewest clients; nil: there is none.
func (r *Router) leastLoop() (least *loop) {
	loops, err := r.startLoops()
	if err != nil {
		return nil
	}
	for _, l := range loops {
		if least == nil || l.clients.Load() < least.clients.Load() {
			least = l
		}
	}
	return least
}

// resume takes a connection that gets a goroutine.
func (r *Router) resume(p Passed) {
	file := os.NewFile(uintptr(p.FD), "client") //nolint:gosec // a descriptor
	conn, err := net.FileConn(file)
	_ = file.Close()
	if err != nil {
		r.log.Debug("connection could not be taken over", "err", err)
		return
	}
	door, _ := r.enter(p.Client.Addr(), false, math.MaxInt32) // nobody is cut off for it
	c := r.inwardOf(conn, door)
	c.peer.addr, c.peer.name, c.known = p.Client, bareHost(p.Client), true
	if c.enter() {
		c.inDue.Store(c.from(r.opt.IdleTimeout))
		go c.serve() // ends with the connection, which the router's end cuts
	}
}

// resume takes connections on the loop's thread.
func (l *loop) resume(some []Passed) {
	for _, p := range some {
		door, _ := l.router.enter(p.Client.Addr(), false, math.MaxInt32)
		c := &inSocket{fd: p.FD, peer: peer{addr: p.Client, name: bareHost(p.Client)}, door: door, known: true}
		l.arrive()
		c.begins(l, l.router.opt.IdleTimeout)
	}
}

// passes is what gives away the connections of a router that leaves; nil: they
// stay.
func (r *Router) passes() *passing {
	if !r.draining.Load() {
		return nil
	}
	return r.passing.Load()
}

// parts reports whether an answer tells its client to reconnect.
func (x *exchange) parts() bool {
	return x.router.draining.Load() && (!x.mayPass || x.router.passing.Load() == nil)
}

// passIdle gives away what waits for a request now.
func (r *Router) passIdle() {
	if r.passes() == nil {
		return
	}
	for _, l := range r.allLoops() {
		l.post(func() {
			for _, s := range l.sockets {
				if c, ok := s.handler.(*inSocket); ok && c.act == nil && c.r == c.w {
					c.pass(l)
				}
			}
		})
	}
	r.watch.each(func(who watched) {
		if c, ok := who.(*inward); ok && c.rests.Load() && c.peer.tls == nil {
			c.wake()
		}
	})
}

// pass gives the connection away if it can, which has no request.
func (c *inSocket) pass(l *loop) {
	p := l.router.passes()
	if p == nil || c.ended || c.lingering || c.hungUp {
		return
	}
	l.release(c.fd)
	c.ended = true
	c.yield(l)
	p.add(Passed{c.fd, c.peer.addr})
	c.door.Close()
	l.part()
}

// canPass reports whether another router is to have the connection.
func (c *inward) canPass() bool { return c.peer.tls == nil && c.router.passes() != nil }

// pass gives the connection away if it can, which has no request and no byte of
// one, and reports whether it did. Then close closes our descriptor alone.
func (c *inward) pass() bool {
	p := c.router.passes()
	if p == nil {
		return false
	}
	again, err := sameSocket(c.socket)
	if err != nil {
		return false
	}
	p.add(Passed{again, c.peer.addr})
	return true
}

// add queues a connection.
func (p *passing) add(c Passed) {
	p.router.onWay.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, c)
	if !p.busy {
		p.busy = true
		go p.run() // ends with the queue
	}
}

func (p *passing) run() {
	for {
		p.mu.Lock()
		some := p.queue[:min(maxPassed, len(p.queue))]
		p.queue = p.queue[len(some):]
		p.busy = len(some) > 0
		p.mu.Unlock()
		if len(some) == 0 {
			p.router.watch.changed()
			return
		}
		p.give(some)
		p.router.onWay.Add(-int64(len(some)))
	}
}

// give hands some over, or takes them back.
func (p *passing) give(some []Passed) {
	err := net.ErrClosed
	if p.router.passing.Load() == p {
		err = p.to(some)
	}
	if err == nil {
		for _, c := range some {
			unix.Close(c.FD)
		}
		return
	}
	if p.router.passing.CompareAndSwap(p, nil) {
		p.router.log.Warn("connections could not be passed on, they end here", "err", err)
	}
	p.router.Take(some)
}
