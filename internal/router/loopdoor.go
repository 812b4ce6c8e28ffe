package router

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// serveByLoops has loops serve a listener, and blocks until it is closed.
func (r *Router) serveByLoops(ln *net.TCPListener) error {
	loops, err := r.startLoops()
	if err != nil {
		return err
	}
	if len(loops) == 0 { // it is too late
		return ln.Close()
	}
	var all sync.WaitGroup
	failed := make([]error, len(loops))
	for i, l := range loops {
		all.Go(func() { failed[i] = r.serveByLoop(l, ln) })
	}
	all.Wait()
	return errors.Join(failed...)
}

// startLoops begins the loops, once.
func (r *Router) startLoops() ([]*loop, error) {
	r.serveMu.Lock()
	defer r.serveMu.Unlock()
	loops := r.allLoops()
	if len(loops) == 0 {
		r.procs.begin(r.opt.Processors, r.opt.Loops)
	}
	for len(loops) < r.opt.Loops && !r.draining.Load() {
		l, err := newLoop(r)
		if err != nil {
			return nil, err
		}
		l.first = len(loops) == 0
		loops = append(slices.Clip(loops), l)
		r.loops.Store(&loops)
		go l.run() // stopLoops ends it
	}
	return loops, nil
}

// allLoops are those that were begun.
func (r *Router) allLoops() []*loop {
	if all := r.loops.Load(); all != nil {
		return *all
	}
	return nil
}

func (r *Router) stopLoops() {
	for _, l := range r.allLoops() {
		l.stop()
	}
}

// forgetIdle has the loops close their idle connections to an address.
func (r *Router) forgetIdle(u *upstream) {
	for _, l := range r.allLoops() {
		l.post(func() {
			if pool := l.out[u]; pool != nil {
				pool.reap(l)
			}
		})
	}
}

// loopsNoisy is noisy for the loops' clients.
func (r *Router) loopsNoisy(now, enough time.Duration) (left time.Duration) {
	for _, l := range r.allLoops() {
		if l.clients.Load() > 0 {
			left = max(left, max(time.Duration(l.lastRest.Load()), r.began)+enough-now)
		}
	}
	return left
}

// loopListener is a listener whose connections are a loop's.
type loopListener struct {
	net.Listener
	fd   int // the same socket
	loop *loop
	once sync.Once
	done chan struct{}

	pauses time.Duration // until then none is taken; 0: they are. The loop's
	paused int           // how often. The loop's
}

// serveByLoop has the loop serve a listener, and blocks until it is closed.
func (r *Router) serveByLoop(l *loop, ln *net.TCPListener) error {
	fd, err := duplicate(ln)
	if err != nil {
		return err
	}
	door := &loopListener{Listener: ln, fd: fd, loop: l, done: make(chan struct{})}
	if !r.addListener(door) {
		return door.Close()
	}
	defer r.dropListener(door)
	r.startWatch()
	failed := make(chan error, 1)
	if !l.post(func() { failed <- door.listen(l) }) {
		return door.Close()
	}
	if err := <-failed; err != nil {
		return errors.Join(err, door.Close())
	}
	<-door.done
	return nil
}

// duplicate returns a descriptor of the listener's socket, which never blocks. It
// is not that of ln.File(), whose Fd has the socket block for a moment (fcntl(2),
// O_NONBLOCK is of the open file): another process that accepts from the same one
// would wait in there for a client.
func duplicate(ln *net.TCPListener) (fd int, err error) {
	raw, err := ln.SyscallConn()
	if err != nil {
		return 0, err
	}
	if gone := raw.Control(func(own uintptr) {
		fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0)
	}); gone != nil {
		return 0, gone
	}
	return fd, os.NewSyscallError("fcntl", err)
}

// Close ends that connections are taken, and waits until none is. It may be
// called again, by any thread but the loop's.
func (d *loopListener) Close() error {
	err := d.Listener.Close()
	d.once.Do(func() {
		if d.loop.post(func() { d.shut(d.loop) }) {
			<-d.done
			return
		}
		<-d.loop.done // which has shut it, if it ever was its own
		d.shut(d.loop)
	})
	return err
}

func (d *loopListener) shut(l *loop) {
	select {
	case <-d.done:
		return
	default:
	}
	if d.fd < len(l.sockets) && l.sockets[d.fd].handler == d {
		l.release(d.fd)
	}
	unix.Close(d.fd)
	close(d.done)
}

// listen has connections be taken, from all that are told of them one at a time.
func (d *loopListener) listen(l *loop) error {
	err := l.register(d.fd, d, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
	if err == nil {
		d.pauses = 0
	}
	return err
}

// acceptPause is for how long no connection is taken when there was no
// descriptor for one: its arrival would be told again and again.
const acceptPause = 50 * time.Millisecond

func (d *loopListener) pause(l *loop) {
	_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, d.fd, nil)
	d.paused++
	d.pauses = l.clock + acceptPause
	l.by(d.fd, d.pauses)
}

func (d *loopListener) tick(l *loop) {
	switch {
	case d.pauses == 0:
	case d.pauses > l.clock || d.listen(l) != nil:
		l.by(d.fd, max(d.pauses, l.clock+acceptPause))
	}
}

// event takes connections for as long as it may take: the others are told of again.
func (d *loopListener) event(l *loop, _ uint32) { d.take(l, l.router.now()+share) }

// take takes connections until a time, and one in any case: nobody else may have
// been told of it (EPOLLEXCLUSIVE), and this loop's next turn may end its listening.
func (d *loopListener) take(l *loop, until time.Duration) {
	for again := true; again; again = l.router.now() < until {
		fd, from, err := unix.Accept4(d.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
			l.welcome(fd, from)
		case unix.EAGAIN:
			return
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			d.pause(l)
			return
		} // the others are of the connection that would have come
	}
}

// welcome begins with a connection that was accepted.
func (l *loop) welcome(fd int, from unix.Sockaddr) {
	at := addrPortOf(from)
	door, ok := l.router.enter(at.Addr(), false, l.router.opt.MaxPerAddress)
	if !ok {
		unix.Close(fd)
		return
	}
	if l.full() {
		door.Close()
		l.router.hasNoRoom()
		_, _ = rawWrite(fd, noRoom) // into its empty buffer
		unix.Close(fd)
		return
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	l.router.bound(fd)
	c := &inSocket{fd: fd, peer: peer{addr: at}, door: door}
	c.peer.name = bareHost(c.peer.addr)
	l.arrive()
	of := l.router.opt.ProxyNetworks
	c.known = len(of) == 0 || !isTrusted(c.peer.name, of)
	if c.begins(l, l.router.opt.HeaderTimeout) && !c.known {
		c.handOver(l)
	}
}

// begins has the loop told what comes from a client that arrived.
func (c *inSocket) begins(l *loop, within time.Duration) (ok bool) {
	if err := l.register(c.fd, c, edges); err != nil {
		l.router.log.Debug("connection could not be watched", "err", err)
		unix.Close(c.fd)
		c.door.Close()
		l.part()
		return false
	}
	c.until(l, l.clock+within)
	c.rests(l)
	return true
}

// arrive counts a client that becomes the loop's, and part one that is its no
// more.
func (l *loop) arrive() {
	l.router.watch.count.Add(1)
	l.clients.Add(1)
}

func (l *loop) part() {
	l.clients.Add(-1)
	l.router.watch.count.Add(-1)
	l.router.watch.changed()
}

func addrPortOf(from unix.Sockaddr) netip.AddrPort {
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}
