package router

import (
	"context"
	"errors"
	"hash/maphash"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/h3"
)

// serving is the router's listeners and the connections that came from them.
type serving struct {
	draining   atomic.Bool
	open       *turnstile // requests under way
	cut        context.CancelFunc
	base       context.Context // of every request; ended by cut
	watch      watch
	crowd      crowd
	parking    parking
	loops      atomic.Pointer[[]*loop]
	passing    atomic.Pointer[passing]
	procs      processors
	calm       atomic.Int64 // see Quiet
	saidNoRoom seldom
	onWay      atomic.Int64 // connections that are neither ours nor another's for sure

	serveMu   sync.Mutex    // guards the rest
	began     time.Duration // of the draining
	listeners []net.Listener
	quic      []*h3.Server
}

func (s *serving) begin(o *Options) {
	s.open = new(turnstile)
	s.crowd.seed = maphash.MakeSeed()
	s.calm.Store(int64(o.Quiet))
	s.base, s.cut = context.WithCancel(context.Background())
	s.watch.begin(o)
}

// Serve serves plain HTTP/1.1 and HTTP/2 with prior knowledge on ln until the
// router drains or closes, then returns nil. It takes ln over. Closing it
// while another process holds the same socket loses no connection.
func (r *Router) Serve(ln net.Listener) error { return r.serve(ln, false) }

// ServeTLS is Serve for HTTPS: HTTP/2 and HTTP/1.1 as the client chooses, with
// the certificate for the name it asks for.
func (r *Router) ServeTLS(ln net.Listener) error {
	port := 443
	if addr, ok := ln.Addr().(*net.TCPAddr); ok {
		port = addr.Port
	}
	r.httpsPort.Store(int64(port))
	return r.serve(ln, true)
}

// mostUnsent is how much of an answer the kernel may hold that a client has no
// room for, in bytes. Without a bound it would be tcp_wmem's: megabytes for each
// who takes nothing, and the router would take that for sent.
const mostUnsent = 64 << 10

// leastUnheard is the shortest time after which the kernel gives up a client that
// acknowledges nothing.
const leastUnheard = 5 * time.Second

// bound has the kernel bound what it does for a client. It ends those that take
// nothing of what is left when the router is done with them, too, which are
// nobody else's any more: tcp(7), TCP_USER_TIMEOUT.
func (r *Router) bound(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, mostUnsent)
	setUnheard(fd, max(r.opt.RateGrace, leastUnheard))
}

// setUnheard is for how long the other end of a connection may acknowledge
// nothing; 0: for as long as the kernel is patient.
func setUnheard(fd int, limit time.Duration) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit.Milliseconds())) // what has none has no such clients
}

func (r *Router) serve(ln net.Listener, secure bool) error {
	if tcp, ok := ln.(*net.TCPListener); ok && !secure && r.opt.Loops > 0 {
		return r.serveByLoops(tcp)
	}
	if !r.addListener(ln) {
		return ln.Close()
	}
	defer r.dropListener(ln)
	r.startWatch()
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			r.admit(conn, secure)
		case r.draining.Load() || errors.Is(err, net.ErrClosed):
			_ = ln.Close()
			return nil
		default:
			var passing interface{ Temporary() bool }
			if !errors.As(err, &passing) || !passing.Temporary() { // too many open files passes
				return err
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// admit leads a connection on that just came, if it may.
func (r *Router) admit(conn net.Conn, secure bool) {
	door, ok := r.enter(addrOf(conn.RemoteAddr()).Addr(), secure, r.opt.MaxPerAddress)
	switch {
	case !ok:
		_ = conn.Close()
	case r.full():
		door.Close()
		r.hasNoRoom()
		sendAway(conn, secure)
	default:
		if c := r.inwardOf(conn, door); c.enter() { // at once: who finds no listener any more finds all who came
			go func() { // ends with the connection, which the router's end cuts
				_ = withSocket(conn, r.bound)
				c.attend(secure)
			}()
		}
	}
}

// noRoom is what those hear who come when there are as many as there may be.
var noRoom = []byte("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Type: text/plain\r\n" +
	"Content-Length: 53\r\n\r\nThis router has as many connections as it may have.\r\n\r\n")

// sendAway closes a connection that there is no room for.
func sendAway(conn net.Conn, secure bool) {
	if !secure {
		_ = withSocket(conn, func(fd int) { _, _ = unix.Write(fd, noRoom) }) // into its empty buffer, and never waits
	}
	_ = conn.Close()
}

// StartDraining makes the router leave: it closes its listeners, and every
// answer from now on tells its client to reconnect; clients of HTTP/2 are told
// at once. Connections stay as they are, but for those that pass to another; see
// PassOn and Drained. It returns at once and may be called again.
func (r *Router) StartDraining() {
	r.serveMu.Lock()
	defer r.serveMu.Unlock()
	if r.draining.Swap(true) {
		return
	}
	r.began = r.now()
	r.closeListeners()
	for _, server := range r.quic {
		server.Leave()
	}
	r.drainMuxed()
	r.passIdle()
}

// StopAccepting closes the listeners: Serve, ServeTLS and ServeTCP return. All
// that has come goes on, and they may be called again. HTTP/3 stays: the kernel
// leads to whoever opened its port last.
func (r *Router) StopAccepting() {
	r.serveMu.Lock()
	defer r.serveMu.Unlock()
	r.closeListeners()
}

// closeListeners is StopAccepting with r.serveMu held.
func (r *Router) closeListeners() {
	for _, ln := range r.listeners {
		_ = ln.Close() // closed already is as good
	}
}

// SetQuiet is Options.Quiet from now on.
func (r *Router) SetQuiet(d time.Duration) {
	r.calm.Store(int64(d))
	r.watch.changed()
}

// Drained starts draining and blocks until no request is under way and every
// connection was closed by its client or has been quiet for Options.Quiet;
// then nothing is left and it returns nil. When ctx ends first, WebSockets are
// told so, what is left is cut off and ctx's error returned.
func (r *Router) Drained(ctx context.Context) error {
	r.StartDraining()
	err := r.lull(ctx)
	if err == nil {
		err = r.leaveMuxed(ctx)
	}
	if err == nil {
		err = r.part(ctx) // before nobody is served
	}
	if err == nil {
		select {
		case <-r.open.shut():
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		r.eachTunnels(func(t *tunnels) { t.part() })
		r.awaitTunnels(partTime + partTime/4)
	}
	r.Close()
	return err
}

// part closes the connections that wait for a request until there are none but
// tunnels. One on which a request has just come is served first: its answer says
// that it is the last.
func (r *Router) part(ctx context.Context) error {
	for r.closeQuiet() {
		again := time.NewTimer(10 * time.Millisecond)
		select {
		case <-again.C:
		case <-r.watch.noticed:
		case <-ctx.Done():
		}
		again.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// closeQuiet closes the connections that wait for a request, and reports whether
// there are others.
func (r *Router) closeQuiet() (others bool) {
	for _, l := range r.allLoops() {
		l.post(func() {
			for _, s := range l.sockets {
				if c, ok := s.handler.(*inSocket); ok && c.act == nil && c.r == c.w && !hasMore(c.fd) {
					c.shut(l)
				}
			}
		})
		others = others || l.clients.Load() > 0
	}
	r.watch.each(func(who watched) {
		socket := net.Conn(nil)
		switch who := who.(type) {
		case *inward:
			socket = who.socket
		case *parked:
			socket = who.socket
		default:
			return // HTTP/2 has left by itself
		}
		if _, waits := who.quiet(); waits && !saidMore(socket) {
			who.cut()
			return
		}
		others = others || who.counts()
	})
	return others
}

// saidMore reports whether bytes of the other end's are to be read.
func saidMore(conn net.Conn) (more bool) {
	err := withSocket(conn, func(fd int) { more = hasMore(fd) })
	return err == nil && more
}

func hasMore(fd int) bool {
	var b [1]byte
	n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == nil && n > 0
}

// eachTunnels calls f for the upgraded connections of every instance.
func (r *Router) eachTunnels(f func(*tunnels)) {
	r.mu.Lock()
	all := slices.Concat(slices.Collect(maps.Values(r.instances)), slices.Collect(maps.Keys(r.leaving)))
	r.mu.Unlock()
	if e := r.edge.Load(); e.app != nil {
		all = append(all, e.app.route.Load().main[0])
	}
	for _, inst := range all {
		f(inst.tunnels())
	}
}

// awaitTunnels waits until there are none, for so long at most. Requests are
// served meanwhile.
func (r *Router) awaitTunnels(limit time.Duration) {
	late := time.NewTimer(limit)
	defer late.Stop()
	for {
		open := 0
		r.eachTunnels(func(t *tunnels) { open += t.count() })
		if open == 0 {
			return
		}
		select {
		case <-r.watch.noticed:
		case <-late.C:
			return
		}
	}
}

// farewell bounds how long Close waits for handlers whose connections it cut.
const farewell = 2 * time.Second

// Close ends everything at once: listeners, connections, WebSockets. It waits
// until the handlers have noticed. Requests that came through a server of the
// caller's are that server's to end.
func (r *Router) Close() {
	r.StartDraining()
	empty := r.open.shut()
	r.cut()
	late, enough := context.WithTimeout(context.Background(), farewell)
	defer enough()
	r.stopLoops()
	r.watch.end(late)
	r.closeHTTP3()
	r.parking.end()
	select {
	case <-empty:
	case <-late.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, inst := range r.instances {
		inst.closeIdle()
	}
	if e := r.edge.Load(); e.app != nil {
		e.app.route.Load().main[0].closeIdle()
	}
}

// lull blocks until there is no connection, or enough time has passed since
// the draining began and each quiet connection has been so for as long. Busy
// ones get that time too: an answer begun before has not told its client to
// reconnect.
func (r *Router) lull(ctx context.Context) error {
	r.watch.asked.Store(true)
	for {
		left := r.noisy()
		if left <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-r.watch.noticed:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// noisy is how long lull has to go on waiting.
func (r *Router) noisy() (left time.Duration) {
	now, enough := r.now(), time.Duration(r.calm.Load())
	if r.serves() || r.onWay.Load() > 0 { // looked at first: some may come, or come back
		left = enough
	}
	left = max(left, r.loopsNoisy(now, enough))
	r.watch.each(func(who watched) {
		if !who.counts() {
			return
		}
		left = max(left, r.began+enough-now)
		if since, ok := who.quiet(); ok {
			left = max(left, max(since, r.began)+enough-now)
		}
	})
	return left
}
