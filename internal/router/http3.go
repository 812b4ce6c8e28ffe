package router

import (
	"bytes"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/h3"
)

// ServeHTTP3 serves HTTP/3 on socket until the router drains or closes, then
// returns nil, with the certificates and rules of ServeTLS. It takes socket over,
// and tells who comes by TLS that port is where it is served.
func (r *Router) ServeHTTP3(socket *h3.Socket, port int) error {
	server, err := h3.Listen(socket, r.listens, h3.Options{
		Limits: r.limits, HeaderTimeout: r.opt.HeaderTimeout, IdleTimeout: r.opt.IdleTimeout,
		WriteTimeout: 2 * r.opt.RateGrace, Handshakes: r.opt.Handshakes,
		Full: r.full,
	})
	if err != nil {
		return err
	}
	if !r.addHTTP3(server) {
		server.Close()
		return nil
	}
	r.startWatch()
	line := `Alt-Svc: h3=":` + strconv.Itoa(port) + `"; ma=86400` + "\r\n"
	r.altSvc.Store(&line)
	for {
		conn, err := server.Accept()
		if err != nil {
			r.altSvc.CompareAndSwap(&line, nil)
			if r.draining.Load() {
				return nil
			}
			return err
		}
		go r.attend3(conn) // ends with the connection, which the router's end cuts
	}
}

// addHTTP3 reports false when it is too late.
func (r *Router) addHTTP3(server *h3.Server) bool {
	r.serveMu.Lock()
	defer r.serveMu.Unlock()
	if r.draining.Load() {
		return false
	}
	r.quic = append(r.quic, server)
	return true
}

// closeHTTP3 ends the sockets, and what connections are left.
func (r *Router) closeHTTP3() {
	r.serveMu.Lock()
	defer r.serveMu.Unlock()
	for _, server := range r.quic {
		server.Close()
	}
	r.quic = nil
}

// sayAltSvc appends where HTTP/3 is to what a client by TLS is told, where the
// app says nothing of it itself.
func (x *exchange) sayAltSvc(dst []byte, res *h1.Response) []byte {
	if line := x.router.altSvc.Load(); line != nil && x.from.tls != nil && res.Get("alt-svc") == nil {
		return append(dst, *line...)
	}
	return dst
}

// datagrams is the connection of a client that speaks HTTP/3: many requests at
// once, each led through by a goroutine of its own.
type datagrams struct {
	router *Router
	peer   peer
	conn   *h3.Conn
	door   entrance
	place  seat
	idle   atomic.Int64  // since when there is no request; 0: there is one
	had    atomic.Uint64 // bytes that had come by then
	left   atomic.Int64  // since when it drains; 0: it does not
	resets atomic.Int64  // requests that the client left, more than it stayed for

	mu   sync.Mutex
	open map[*called]struct{}
}

// mostResets is how many requests a client may leave before their end, besides
// one for each that it did not; as over HTTP/2.
const mostResets = 400

// attend3 serves a connection until it ends. It is counted by where it came from,
// which its handshake has shown to be true, wherever it goes afterwards (RFC 9000, 9).
func (r *Router) attend3(conn *h3.Conn) {
	door, ok := r.enter(conn.Peer().Addr(), true, r.opt.MaxPerAddress)
	if !ok {
		conn.Refuse()
		return
	}
	defer door.Close()
	state := conn.TLS()
	d := &datagrams{router: r, conn: conn, door: door, open: map[*called]struct{}{}, peer: peer{addr: conn.Peer(), local: conn.Local(), tls: &state}}
	d.peer.name = bareHost(d.peer.addr)
	d.rest()
	r.metrics.Handshakes.Done(state.Version)
	if !r.watch.add(d) {
		conn.Close()
		return
	}
	defer r.watch.remove(d)
	if r.draining.Load() {
		d.drain()
	}
	conn.Serve(d.serve)
}

func (d *datagrams) drain() {
	if d.left.CompareAndSwap(0, max(1, int64(d.router.now()))) {
		d.conn.Drain()
	}
}

func (d *datagrams) seat() *seat  { return &d.place }
func (d *datagrams) counts() bool { return true }

func (d *datagrams) quiet() (since time.Duration, ok bool) {
	idle := d.idle.Load()
	return time.Duration(idle), idle != 0
}

// cut ends the requests too: nobody looks whether they were left any more.
func (d *datagrams) cut() {
	d.conn.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for st := range d.open {
		st.x.interrupt(errGone)
	}
}

// partingTime is how long a connection stays that was told to go and has no
// request: for those on their way.
const partingTime = time.Second

// onItsWay is how much may come of bodies that nobody wanted the rest of.
const onItsWay = 5 << 18

// rest takes note that there is no request.
func (d *datagrams) rest() {
	d.had.Store(d.conn.Received())
	d.idle.Store(max(1, int64(d.router.now())))
}

// look ends a connection that has no request for too long, and sooner one that
// sends a lot and makes none of it: the halves of heads, which are kept.
func (d *datagrams) look(now, _ time.Duration) {
	since, ok := d.quiet()
	if !ok {
		d.mu.Lock()
		defer d.mu.Unlock()
		for st := range d.open {
			st.look(now)
		}
		return
	}
	opt, left := &d.router.opt, time.Duration(d.left.Load())
	switch {
	case now-since > opt.IdleTimeout, left > 0 && now-max(left, since) > partingTime:
		d.conn.Close()
	case now-since > opt.HeaderTimeout && d.conn.Received() > d.had.Load()+onItsWay:
		d.conn.Refuse()
	}
}

// serve leads one request to its end.
func (d *datagrams) serve(s *h3.Stream) {
	if why := s.Refusal(); why != nil {
		d.refuse(s, why)
		return
	}
	st := &called{Stream: s, of: d, inLeft: d.router.opt.RateGrace}
	st.x.router, st.x.from = d.router, &d.peer
	st.x.begin(s.Request(), "HTTP/3.0")
	d.mu.Lock()
	d.open[st] = struct{}{}
	d.idle.Store(0)
	d.mu.Unlock()
	defer func() {
		if bug := recover(); bug != nil {
			d.router.log.Error("a request made the router panic", "err", bug, "stack", string(debug.Stack()))
			s.Reset()
		}
		d.done(st)
	}()
	st.x.run(st)
}

// refuse answers what is no request.
func (d *datagrams) refuse(s *h3.Stream, why *h1.Error) {
	t := d.router.badHead(&d.peer, "HTTP/3.0", s.Request(), refused(why))
	t.back.Close = false // others may come
	if s.Answer(&t.res, &t.back) == nil && t.body != "" {
		_ = s.Write([]byte(t.body)) // who is gone needs no page
	}
}

// done counts a request that ended.
func (d *datagrams) done(st *called) {
	d.mu.Lock()
	delete(d.open, st)
	if len(d.open) == 0 {
		d.rest()
	}
	d.mu.Unlock()
	d.router.watch.changed()
	switch {
	case st.x.status != statusClientGone:
		if d.resets.Load() > 0 {
			d.resets.Add(-1)
		}
	case d.resets.Add(1) > mostResets:
		d.conn.Refuse()
	}
}

// called is one request of a client that speaks HTTP/3.
type called struct {
	*h3.Stream
	of      *datagrams
	x       exchange
	answers atomic.Bool // the answer has begun
	inLeft  time.Duration
}

func (st *called) look(now time.Duration) {
	st.x.expire(now)
	select {
	case <-st.Done():
		st.x.interrupt(errGone)
	default:
	}
}

func (st *called) whole() ([]byte, bool) { return nil, false }

// next brings more of the body. Until the app begins to answer the client has
// to keep up a rate.
func (st *called) next() ([]byte, error) {
	if st.answers.Load() || bytes.HasPrefix(st.Request().Get("content-type"), []byte("application/grpc")) {
		return st.Next()
	}
	opt, before := &st.of.router.opt, time.Now()
	st.Patience(before.Add(st.inLeft))
	data, err := st.Next()
	if st.inLeft -= time.Since(before); err != nil && st.inLeft <= 0 {
		return nil, errSlow
	}
	st.inLeft = min(opt.RateGrace, st.inLeft+time.Duration(len(data))*time.Second/time.Duration(opt.MinRate))
	return data, err
}

func (st *called) trailers() []byte { return st.Trailers() }
func (st *called) hurry()           { st.StopReading(errGone) }

func (st *called) interim(res *h1.Response) error {
	st.Interim(res)
	return nil
}

func (st *called) answer(res *h1.Response, back *h1.Back) error {
	if back.Close {
		st.of.drain()
	}
	if !st.answers.Swap(true) {
		st.Patience(time.Time{})
	}
	return st.Answer(res, back)
}

func (st *called) write(p []byte) error { return st.Write(p) }
func (st *called) abort()               { st.Reset() }

func (st *called) gone() <-chan struct{} { return st.Done() }

func (st *called) end(trailers []byte) error {
	st.End(trailers)
	return nil
}

func (st *called) flush() error { return st.Flush() }

// tunnel is the stream as a connection.
func (st *called) tunnel() *wire {
	conn := st.Socket()
	if conn == nil {
		return nil
	}
	w := new(wire)
	w.begin(conn, true, &st.of.router.slabs)
	return w
}
