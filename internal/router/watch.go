package router

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watch looks at all connections now and then: whether one waits for too long,
// and whether the client of one whose request is under way has left. So no
// request sets a timer, and what is late is found late by a tick at most.
type watch struct {
	tick    time.Duration
	coarse  atomic.Int64 // the router's clock at the last tick
	stamp   atomic.Pointer[string]
	once    sync.Once
	done    chan struct{} // closed when run has ended; nil: it never began
	noticed chan struct{} // holds a token when a connection ended or fell quiet
	asked   atomic.Bool   // somebody waits for that
	count   atomic.Int64
	turn    atomic.Uint32
	asks    int // how many may yet be asked at this tick whether they have left; run's
	shards  [watchShards]watchShard
}

const watchShards = 16

// maxAsks is how many are asked at a tick whether they have left, which takes a
// call of the kernel: where more wait, all of them are asked less often.
const maxAsks = 1000

func (w *watch) mayAsk() bool {
	w.asks--
	return w.asks >= 0
}

type watchShard struct {
	mu  sync.Mutex
	all map[watched]struct{}
	end bool // nobody comes in any more
}

// watched is a connection, or a request of one that something else keeps.
type watched interface {
	// look is called at each tick; it does not block.
	look(now, tick time.Duration)
	// quiet is since when there was no request; ok: there is none now.
	quiet() (since time.Duration, ok bool)
	// counts reports whether its end is waited for when the router drains.
	counts() bool
	// cut ends it at once.
	cut()
	seat() *seat
}

// seat is where a watched one is kept.
type seat struct{ shard uint32 }

func (w *watch) begin(o *Options) {
	least := o.HeaderTimeout
	for _, t := range [...]time.Duration{o.IdleTimeout, o.AnswerTimeout, o.RateGrace, o.Quiet} {
		least = min(least, t)
	}
	w.tick = min(max(least/4, 5*time.Millisecond), 250*time.Millisecond)
	w.noticed = make(chan struct{}, 1)
	for i := range w.shards {
		w.shards[i].all = map[watched]struct{}{}
	}
}

// now is the router's clock, late by a tick at most.
func (w *watch) now() time.Duration { return time.Duration(w.coarse.Load()) }

// add reports false when it is too late.
func (w *watch) add(who watched) bool {
	at := w.turn.Add(1) % watchShards
	who.seat().shard = at
	s := &w.shards[at]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end {
		return false
	}
	s.all[who] = struct{}{}
	w.count.Add(1)
	return true
}

// swap has by come in for who, whose place it takes: nobody who counts, or looks
// at all, sees both or neither. It reports false when it is too late; then who
// stays.
func (w *watch) swap(who, by watched) bool {
	at := who.seat().shard
	by.seat().shard = at
	s := &w.shards[at]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end {
		return false
	}
	delete(s.all, who)
	s.all[by] = struct{}{}
	w.changed() // by may be quiet
	return true
}

// remove may be called again.
func (w *watch) remove(who watched) {
	s := &w.shards[who.seat().shard]
	s.mu.Lock()
	_, there := s.all[who]
	delete(s.all, who)
	s.mu.Unlock()
	if there {
		w.count.Add(-1)
		w.changed()
	}
}

// changed tells who waits for it that a connection ended or fell quiet.
func (w *watch) changed() {
	if !w.asked.Load() {
		return
	}
	select {
	case w.noticed <- struct{}{}:
	default:
	}
}

// each calls f for all, now with these first and now with those; f must not add
// or remove.
func (w *watch) each(f func(watched)) {
	first := w.turn.Add(1)
	for i := range uint32(watchShards) {
		s := &w.shards[(first+i)%watchShards]
		s.mu.Lock()
		for who := range s.all {
			f(who)
		}
		s.mu.Unlock()
	}
}

// run looks until ctx ends, and calls also each time.
func (w *watch) run(ctx context.Context, clock func() time.Duration, also func()) {
	defer close(w.done)
	ticker := time.NewTicker(w.tick)
	defer ticker.Stop()
	for {
		now := clock()
		w.coarse.Store(int64(now))
		w.date(time.Now())
		w.asks = maxAsks
		w.each(func(who watched) { who.look(now, w.tick) })
		also()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// start has run begin, once.
func (r *Router) startWatch() {
	r.watch.once.Do(func() {
		r.watch.done = make(chan struct{})
		r.watch.coarse.Store(int64(r.now()))
		go r.watch.run(r.base, r.now, r.tend)
	})
}

// end cuts all off, lets nobody in, and waits for them to be gone, until late
// ends. Who was between two things when it was cut is so again at the next tick.
func (w *watch) end(late context.Context) {
	w.asked.Store(true)
	for i := range w.shards {
		s := &w.shards[i]
		s.mu.Lock()
		s.end = true
		for who := range s.all {
			who.cut()
		}
		s.mu.Unlock()
	}
	ticker := time.NewTicker(w.tick)
	defer ticker.Stop()
	for w.count.Load() > 0 {
		select {
		case <-w.noticed:
		case <-ticker.C:
			w.each(watched.cut)
		case <-late.Done():
			return
		}
	}
	w.once.Do(func() {}) // it does not begin any more
	if w.done != nil {
		<-w.done
	}
}

func (w *watch) date(now time.Time) {
	text := "Date: " + now.UTC().Format(http.TimeFormat) + "\r\n"
	if old := w.stamp.Load(); old == nil || *old != text {
		w.stamp.Store(&text)
	}
}

// date appends the line that says what time it is.
func (r *Router) date(dst []byte) []byte {
	text := r.watch.stamp.Load()
	if text == nil { // nobody listens: the requests come from a server of the caller's
		r.watch.date(time.Now())
		text = r.watch.stamp.Load()
	}
	return append(dst, *text...)
}

func (c *inward) seat() *seat  { return &c.place }
func (c *inward) counts() bool { return !c.given.Load() }

func (c *inward) quiet() (since time.Duration, ok bool) {
	idle := c.idle.Load()
	return time.Duration(idle), idle != 0
}

func (c *inward) cut() {
	_ = c.socket.Close()
	c.leaves()
}

func (c *inward) look(now, tick time.Duration) {
	if due := c.inDue.Load(); due > 0 && due <= int64(now) && !c.talking.Load() && c.inDue.CompareAndSwap(due, cutOff) {
		_ = c.socket.SetReadDeadline(time.Unix(1, 0))
	}
	due := c.outDue.Load()
	if due > 0 && due <= int64(now) && c.outDue.CompareAndSwap(due, cutOff) || c.slow(now) {
		if tcp, ok := c.socket.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // see reset
		}
		_ = c.socket.Close()
	}
	if c.idle.Load() != 0 || c.given.Load() {
		c.tire(now, tick)
		c.seen = false
		return
	}
	c.x.expire(now)
	if c.seen && c.router.watch.mayAsk() && hungUp(c.socket) && !c.given.Load() { // asked last: in a tunnel a half may end
		c.leaves()
	}
	c.seen = true
}

// slow reports whether the client takes too little of what is written to it.
func (c *inward) slow(now time.Duration) (slow bool) {
	since, opt := c.writes.Load(), &c.router.opt
	if since <= 0 || c.pace.next(time.Duration(since), opt) > now {
		return false
	}
	taken := uint64(0) // what has no descriptor takes nothing until it has taken all
	_ = withSocket(c.socket, func(fd int) { taken = acknowledged(fd) })
	return c.pace.slow(time.Duration(since), now, taken, opt) && c.writes.CompareAndSwap(since, cutOff)
}

// hungUp reports whether the other end has closed a connection, or its half of
// it: nobody reads what comes then, in all of HTTP but tunnels.
func hungUp(conn any) (gone bool) {
	err := withSocket(conn, func(fd int) {
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}} //nolint:gosec // a descriptor
		n, err := unix.Poll(polled, 0)
		gone = err == nil && n > 0 && polled[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return gone && err == nil
}

// withSocket calls f with a connection's descriptor, which holds until f
// returns. The error matches errors.ErrUnsupported when it has none.
func withSocket(conn any, f func(fd int)) error {
	with, ok := conn.(syscall.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	raw, err := with.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) }) //nolint:gosec // a descriptor
}
