package router

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loop leads plain HTTP/1.1 on one thread of its own, by epoll(7): the clients
// of its listeners, and its connections to instances. It does what most requests
// are, one head and a body that came with it; whatever needs to wait for
// anything but bytes is handed over to a goroutine: see inSocket.handOver. So
// it decides nothing either: an exchange does.
//
// What is said of "the loop's" is touched by its thread alone.
type loop struct {
	router *Router
	epoll  int
	bell   int // an eventfd, by which others have it look at posted
	clock  time.Duration
	ticked time.Duration

	doors   map[int]*loopListener // the loop's
	sockets []handler             // the loop's, by descriptor
	out     map[*upstream]*outPool
	acts    []*act
	waiting map[*act]struct{} // for a slot; the loop's
	looked  time.Duration     // at their gates
	freed   []*slab
	ended   bool
	spare   bool // there are more processors than loops

	mu     sync.Mutex
	posted []func()
	over   bool // nothing is posted any more
	done   chan struct{}

	// For those who wait for the router to drain; on the router's clock.
	clients  atomic.Int64
	lastRest atomic.Int64 // when a client fell quiet last
}

// handler is what a descriptor belongs to.
type handler interface {
	// event is told what epoll said. The descriptor is registered once, for all
	// that is edge triggered.
	event(l *loop, events uint32)
	// tick is called now and then.
	tick(l *loop)
	// shut ends it.
	shut(l *loop)
}

const edges = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff

// The wait for events. A goroutine that waits in the kernel gives its processor
// away and has to get one back, which costs more than a request. So while there
// is work the thread keeps it, for briefWait at most at a time: the runtime's own
// signals end it sooner when they need to.
const (
	briefWait = 5 * time.Millisecond
	busyFor   = 20 * time.Millisecond
	longWait  = 250 * time.Millisecond
)

func newLoop(r *Router) (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, os.NewSyscallError("eventfd", err)
	}
	l := &loop{
		router: r, epoll: epoll, bell: bell, clock: r.now(),
		doors: map[int]*loopListener{}, out: map[*upstream]*outPool{}, waiting: map[*act]struct{}{}, done: make(chan struct{}),
	}
	if err := l.register(bell, nil, unix.EPOLLIN); err != nil {
		unix.Close(epoll)
		unix.Close(bell)
		return nil, err
	}
	return l, nil
}

// register has h told of the descriptor's events.
func (l *loop) register(fd int, h handler, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: int32(fd)}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	for len(l.sockets) <= fd {
		l.sockets = append(l.sockets, nil)
	}
	l.sockets[fd] = h
	return nil
}

// release ends that events are told; the descriptor stays open.
func (l *loop) release(fd int) {
	_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	l.sockets[fd] = nil
}

// post has f run on the loop's thread soon. It reports false when the loop has
// ended.
func (l *loop) post(f func()) bool {
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return false
	}
	l.posted = append(l.posted, f)
	first := len(l.posted) == 1
	l.mu.Unlock()
	if first {
		one := [8]byte{0: 1}
		_, _ = unix.Write(l.bell, one[:]) // full, it has rung already
	}
	return true
}

func (l *loop) runPosted() {
	var drained [8]byte
	_, _ = unix.Read(l.bell, drained[:])
	l.mu.Lock()
	all := l.posted
	l.posted = nil
	l.mu.Unlock()
	for _, f := range all {
		f()
	}
}

// run serves until the loop is stopped.
func (l *loop) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	events := make([]unix.EpollEvent, 256)
	var worked time.Duration
	for !l.ended {
		n := l.wait(events, worked)
		if l.clock = l.router.now(); n > 0 {
			worked = l.clock
		}
		for done := 0; done < n; {
			done += l.dispatch(events[done:n])
		}
		l.lookAtGates()
		if l.clock-l.ticked >= l.router.watch.tick {
			l.tick()
		}
	}
	l.close()
}

// dispatch tells whom they are for of events, and returns how many. A bug in
// what is done for one ends that one alone.
func (l *loop) dispatch(events []unix.EpollEvent) (done int) {
	defer func() {
		if bug := recover(); bug != nil {
			l.router.log.Error("a request made the router panic", "err", bug, "stack", string(debug.Stack()))
			if h := l.sockets[events[done-1].Fd]; h != nil {
				l.bury(h)
			}
		}
	}()
	for _, event := range events {
		done++
		if fd := int(event.Fd); fd == l.bell {
			l.runPosted()
		} else if h := l.sockets[fd]; h != nil {
			h.event(l, event.Events)
		}
	}
	return done
}

// bury ends what a bug was met in, whose state nobody knows.
func (l *loop) bury(h handler) {
	defer func() { _ = recover() }() // it is forgotten then
	h.shut(l)
}

// lookAtGates has gates end waits that are over.
func (l *loop) lookAtGates() {
	if len(l.waiting) == 0 || l.clock-l.looked < briefWait {
		return
	}
	l.looked = l.clock
	for a := range l.waiting {
		a.x.gate.Tick(l.clock)
	}
}

// wait waits for events, briefly while there was work a moment ago.
func (l *loop) wait(events []unix.EpollEvent, worked time.Duration) int {
	if l.spare && l.clock-worked < busyFor {
		n := rawEpollWait(l.epoll, events, briefWait)
		if n == 0 {
			runtime.Gosched() // others may need the processor
		}
		return n
	}
	limit := int(min(longWait, l.router.watch.tick) / time.Millisecond)
	switch {
	case len(l.waiting) > 0:
		limit = int(briefWait / time.Millisecond)
	case l.clients.Load() == 0 && len(l.out) == 0:
		limit = -1 // nothing is late but what others bring
	}
	n, err := unix.EpollWait(l.epoll, events, limit)
	if err != nil {
		return 0 // interrupted
	}
	return n
}

func (l *loop) tick() {
	l.ticked = l.clock
	l.spare = runtime.GOMAXPROCS(0) > l.router.opt.Loops
	for _, h := range l.sockets {
		if h != nil {
			h.tick(l)
		}
	}
	for _, pool := range l.out {
		pool.reap(l)
	}
}

// close ends all that the loop has. It is the last that its thread does.
func (l *loop) close() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.runPosted()
	for _, h := range l.sockets {
		if h != nil {
			h.shut(l)
		}
	}
	unix.Close(l.epoll)
	unix.Close(l.bell)
	close(l.done)
}

// stop ends the loop and waits for it.
func (l *loop) stop() {
	l.post(func() { l.ended = true })
	<-l.done
}

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
	for len(loops) < r.opt.Loops && !r.draining.Load() {
		l, err := newLoop(r)
		if err != nil {
			return nil, err
		}
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

// slab is a buffer that nobody uses.
func (l *loop) slab() *slab {
	if last := len(l.freed) - 1; last >= 0 {
		s := l.freed[last]
		l.freed = l.freed[:last]
		return s
	}
	return l.router.slabs.get()
}

// maxFreed is how many buffers the loop keeps for itself.
const maxFreed = 64

func (l *loop) put(s *slab) {
	switch {
	case s == nil:
	case len(l.freed) < maxFreed:
		l.freed = append(l.freed, s)
	default:
		l.router.slabs.put(s)
	}
}

// loopListener is a listener whose connections are a loop's.
type loopListener struct {
	net.Listener
	file *os.File // the same socket
	fd   int
	loop *loop
	once sync.Once
	done chan struct{}
}

// serveByLoop has the loop serve a listener, and blocks until it is closed.
func (r *Router) serveByLoop(l *loop, ln *net.TCPListener) error {
	file, err := ln.File()
	if err != nil {
		return err
	}
	door := &loopListener{Listener: ln, file: file, fd: int(file.Fd()), loop: l, done: make(chan struct{})}
	if err := unix.SetNonblock(door.fd, true); err != nil {
		return errors.Join(os.NewSyscallError("fcntl", err), file.Close())
	}
	if !r.addListener(door) {
		return door.Close()
	}
	defer r.dropListener(door)
	r.startWatch()
	failed := make(chan error, 1)
	if !l.post(func() { failed <- l.register(door.fd, door, unix.EPOLLIN|unix.EPOLLEXCLUSIVE) }) {
		return door.Close()
	}
	if err := <-failed; err != nil {
		return errors.Join(err, door.Close())
	}
	<-door.done
	return nil
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
	if d.fd < len(l.sockets) && l.sockets[d.fd] == handler(d) {
		l.release(d.fd)
	}
	_ = d.file.Close()
	close(d.done)
}

func (d *loopListener) tick(l *loop) {}

// maxAccepts is how many connections are taken before others get their turn.
const maxAccepts = 64

func (d *loopListener) event(l *loop, _ uint32) {
	for range maxAccepts {
		fd, from, err := unix.Accept4(d.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case err == unix.EAGAIN:
			return
		case err != nil:
			return // level triggered: it is told again
		case l.router.watch.count.Load() >= int64(l.router.opt.MaxConnections):
			_, _ = unix.Write(fd, noRoom)
			unix.Close(fd)
			continue
		}
		l.welcome(fd, from)
	}
}

// welcome begins with a connection that was accepted.
func (l *loop) welcome(fd int, from unix.Sockaddr) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	c := &inSocket{fd: fd, peer: peer{addr: addrPortOf(from)}, door: l.router.metrics.Open(false)}
	c.peer.name = bareHost(c.peer.addr)
	l.router.watch.count.Add(1)
	l.clients.Add(1)
	if err := l.register(fd, c, edges); err != nil {
		l.router.log.Debug("connection could not be watched", "err", err)
		c.part(l)
		unix.Close(fd)
		return
	}
	c.due = l.clock + l.router.opt.HeaderTimeout
	c.rests(l)
	if of := l.router.opt.ProxyNetworks; len(of) > 0 && isTrusted(c.peer.name, of) {
		c.handOver(l)
	}
}

// part counts a client that is the loop's no more.
func (c *inSocket) part(l *loop) {
	c.door.Close()
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

// The calls of the hot path, without telling the scheduler: none of them waits.

func rawRead(fd int, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func rawWrite(fd int, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func rawEpollWait(epoll int, events []unix.EpollEvent, limit time.Duration) int {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(limit/time.Millisecond), 0, 0)
	if errno != 0 {
		return 0 // interrupted
	}
	return int(n)
}
