package router

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/overload"
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
	next   time.Duration // when alarms go off

	alarms    alarms   // the loop's
	sockets   []socket // the loop's, by descriptor
	number    int32    // of the last socket
	out       map[*upstream]*outPool
	again     []handler // the loop's: they broke off to let others have their turn
	acts      []*act
	waiting   map[*act]struct{} // for a slot; the loop's
	looked    time.Duration     // at their gates
	freed     []*slab
	bulks     int    // in use; the loop's
	shared    []byte // the loop's: what passes through within one turn
	ended     bool
	looksFrom int  // see yields
	spare     bool // there are more processors than loops
	first     bool // of the loops: it looks at how many processors there should be

	mu     sync.Mutex
	posted []func()
	rings  overload.Bell
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
	// tick is called when something may be due. It does what is, and says by
	// loop.by when the next thing will be.
	tick(l *loop)
	// shut ends it.
	shut(l *loop)
}

// socket is a registered descriptor. Its number tells an event that was meant
// for one that has closed since, and had the same descriptor.
type socket struct {
	handler
	number int32
	alarm  int64 // when its next goes off: see alarms; 0: it has none
}

// share is for how long of a turn connections are taken, and what is late is
// ended, and those go on who have much to carry: others wait for no more of it,
// however many come at once.
const share = 200 * time.Microsecond

const edges = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff

// The wait for events. A goroutine that waits in the kernel gives its processor
// away and has to get one back, which costs more than a request. So while there
// is work the thread keeps it, for briefWait at most at a time: the runtime's own
// signals end it sooner when they need to.
const (
	briefWait = 5 * time.Millisecond
	busyFor   = 20 * time.Millisecond
	never     = time.Duration(math.MaxInt64)
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
		router: r, epoll: epoll, bell: bell, clock: r.now(), next: never,
		out: map[*upstream]*outPool{}, waiting: map[*act]struct{}{}, done: make(chan struct{}),
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
	l.number++
	event := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: l.number}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	for len(l.sockets) <= fd {
		l.sockets = append(l.sockets, socket{})
	}
	l.sockets[fd] = socket{handler: h, number: l.number}
	return nil
}

// release ends that events are told; the descriptor stays open.
func (l *loop) release(fd int) {
	_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, fd, nil)
	l.sockets[fd] = socket{}
}

// post has f run on the loop's thread soon. It reports false when the loop has
// ended.
func (l *loop) post(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	if l.posted = append(l.posted, f); len(l.posted) == 1 {
		l.rings.Ring(l.router.now())
		one := [8]byte{0: 1}
		_, _ = unix.Write(l.bell, one[:]) // with the lock: once it is over the descriptor may be another's
	}
	return true
}

func (l *loop) runPosted() {
	var drained [8]byte
	_, _ = unix.Read(l.bell, drained[:])
	l.mu.Lock()
	all := l.posted
	if l.posted = nil; len(all) > 0 {
		l.rings.Heard(l.router.now())
	}
	l.mu.Unlock()
	for _, f := range all {
		l.guard(nil, f)
	}
}

// lag is how long others' words waited until the loop heard them, since this was
// asked last. Those of its clients wait as long.
func (l *loop) lag() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rings.Lag(l.router.now())
}

// run serves until the loop is stopped.
func (l *loop) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l.spare = runtime.GOMAXPROCS(0) > l.router.opt.Loops
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
		l.goOn()
		l.lookAtGates()
		if l.clock >= l.next {
			l.ring()
			l.spare = runtime.GOMAXPROCS(0) > l.router.opt.Loops
		}
		l.hear()
	}
	l.close()
}

// goOn gives those another turn that broke off, as far as there is time for it.
func (l *loop) goOn() {
	if len(l.again) == 0 {
		return
	}
	all := l.again
	l.again = nil
	for until := l.router.now() + share; len(all) > 0; {
		h := all[0]
		all = all[1:]
		l.guard(h, func() { h.event(l, 0) })
		if l.router.now() >= until {
			break
		}
	}
	if len(all) > 0 {
		l.again = append(slices.Clip(all), l.again...) // they were there before
	}
}

// dispatch tells whom they are for of events, and returns how many. A bug in
// what is done for one ends that one alone.
func (l *loop) dispatch(events []unix.EpollEvent) (done int) {
	defer func() {
		if bug := recover(); bug != nil {
			l.bury(l.sockets[events[done-1].Fd].handler, bug)
		}
	}()
	for _, event := range events {
		done++
		if fd := int(event.Fd); fd == l.bell {
			l.runPosted()
		} else if s := &l.sockets[fd]; s.handler != nil && s.number == event.Pad {
			s.event(l, event.Events)
		}
	}
	return done
}

// guard does what is done for h alone.
func (l *loop) guard(h handler, f func()) {
	defer func() {
		if bug := recover(); bug != nil {
			l.bury(h, bug)
		}
	}()
	f()
}

// bury ends what a bug was met in, whose state nobody knows.
func (l *loop) bury(h handler, bug any) {
	l.router.log.Error("a request made the router panic", "err", bug, "stack", string(debug.Stack()))
	defer func() { _ = recover() }() // it is forgotten then
	if h != nil {
		h.shut(l)
	}
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

// stir says that goroutines have begun with a request, by which the loops wait
// as after work of their own. Were no processor kept, they would all fall idle
// between two requests, and with them the runtime's own thread: to wake it each
// time costs a tenth of such a request.
func (r *Router) stir() {
	now, before := r.now(), time.Duration(r.stirred.Load())
	if now-before < busyFor/16 {
		return
	}
	if r.stirred.Store(int64(now)); now-before < busyFor {
		return
	}
	if all := r.allLoops(); len(all) > 0 {
		all[0].post(func() {}) // one is enough
	}
}

// busy reports whether there is more to do than what events say.
func (l *loop) busy() bool { return len(l.again) > 0 || len(l.alarms.rung) > 0 }

// wait waits for events, briefly while there was work a moment ago.
func (l *loop) wait(events []unix.EpollEvent, worked time.Duration) int {
	if l.spare && l.clock-max(worked, time.Duration(l.router.stirred.Load())) < busyFor {
		brief := briefWait
		if l.busy() {
			brief = 0
		}
		if l.first {
			l.router.procs.look(l.clock, processorTime)
		}
		n := rawEpollWait(l.epoll, events, brief)
		if n == 0 && brief > 0 {
			runtime.Gosched() // others may need the processor
		}
		return n
	}
	limit := -1 // nothing is due but what others bring
	switch {
	case l.busy():
		limit = 0
	case len(l.waiting) > 0:
		limit = int(briefWait / time.Millisecond)
	case l.next < never:
		limit = int(max(0, min(l.next-l.router.now(), time.Hour))/time.Millisecond) + 1
	}
	few := l.first && l.router.procs.areFew()
	if few && limit < 0 {
		limit = int(restAfter / time.Millisecond)
	}
	n, err := unix.EpollWait(l.epoll, events, limit)
	if err != nil {
		return 0 // interrupted
	}
	if few && n == 0 {
		l.router.procs.rest()
	}
	return n
}

// close ends all that the loop has. It is the last that its thread does.
func (l *loop) close() {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.runPosted()
	for _, s := range l.sockets {
		if s.handler != nil {
			s.shut(l)
		}
	}
	if l.first {
		l.router.procs.rest()
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

// common is a buffer for what does not outlast the turn.
func (l *loop) common() []byte {
	if l.shared == nil {
		l.shared = make([]byte, commonSize)
	}
	return l.shared
}

const commonSize = 64 << 10
