package router

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/h2"
)

// muxed is the connection of a client that speaks HTTP/2: many requests at
// once, each led through by a goroutine of its own.
type muxed struct {
	router *Router
	peer   peer
	conn   *h2.Conn
	door   entrance
	secure *sealed      // nil: it cannot be parked
	spot   *spot        // where it was last; guarded by conn's lock
	parked atomic.Bool  // it may be there now
	idle   atomic.Int64 // since when there is no request; 0: there is one
	place  seat

	mu   sync.Mutex
	open map[*stream]struct{}
	free []*stream // kept for the requests to come: a connection mostly asks for one host
}

// mostFree is how many are kept.
const mostFree = 8

// multiplex serves what came of c as a connection of HTTP/2, until it ends or is
// parked.
func (r *Router) multiplex(c *inward, conn net.Conn) {
	m := &muxed{router: r, peer: c.peer, door: c.door, open: map[*stream]struct{}{}}
	m.idle.Store(max(1, int64(r.now())))
	opt := h2.Options{
		HeaderList: r.opt.MaxHeaderBytes, MaxTarget: r.opt.MaxTarget, MaxFields: r.opt.MaxFields,
		IdleTimeout: r.opt.IdleTimeout, HeaderTimeout: r.opt.HeaderTimeout,
		StallTimeout: r.opt.RateGrace, WriteTimeout: 2 * r.opt.RateGrace,
		Quiet: m.falls, Malformed: m.malformed, Bug: r.readingPanicked,
	}
	if secure, ok := conn.(*sealed); ok && secure.under.in.raw != nil {
		m.secure, opt.Park, opt.Wake = secure, m.park, m.wake
	}
	m.conn = h2.NewConn(conn, opt, m.serve)
	if !r.watch.swap(c, m) { // from then on c is let go
		c.close()
		return
	}
	if weakCipher(m.peer.tls) {
		m.conn.Refuse(h2.Weak, "9.2.2", "the cipher is not one for HTTP/2")
	}
	if r.draining.Load() {
		m.conn.Drain()
	}
	m.resume()
}

// resume leads the connection on until it ends or is parked.
func (m *muxed) resume() {
	m.parked.Store(false)
	switch err := m.conn.Serve(); {
	case errors.Is(err, h2.ErrParked):
		return // it may be another goroutine's already
	case err != nil:
		m.router.log.Debug("connection was ended", "peer", m.peer.name, "err", err)
	}
	m.router.watch.remove(m)
	m.door.Close()
}

// park has the connection wait in the lot, and reports whether it does.
func (m *muxed) park() bool {
	if !m.secure.under.between() {
		return false
	}
	m.spot = &spot{conn: m.secure, by: m}
	m.parked.Store(true)
	if m.router.parking.park(m.spot) {
		return true
	}
	m.parked.Store(false)
	return false
}

// wake has it go on, for it has something to say.
func (m *muxed) wake() {
	if m.router.parking.take(m.spot) {
		go m.resume()
	}
}

// readingPanicked is told of a bug that a connection of HTTP/2 has ended for.
func (r *Router) readingPanicked(bug any) {
	r.log.Error("a connection made the router panic", "err", bug, "stack", string(debug.Stack()))
}

// weakCipher reports whether TLS was agreed on with a cipher that HTTP/2 does
// not allow: one without forward secrecy or authentication (RFC 9113, 9.2.2).
func weakCipher(state *tls.ConnectionState) bool {
	if state == nil || state.Version >= tls.VersionTLS13 {
		return false
	}
	return !slices.Contains([]uint16{
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	}, state.CipherSuite)
}

// falls takes note that the connection fell quiet, or that it is so no more.
func (m *muxed) falls(quiet bool) {
	if !quiet {
		m.idle.Store(0)
		m.router.stir()
		return
	}
	m.idle.Store(max(1, int64(m.router.now())))
	m.router.watch.changed()
}

// serve leads one request to its end.
func (m *muxed) serve(s *h2.Stream) {
	if why := s.Refusal(); why != nil {
		m.refuse(s, why)
		return
	}
	st := m.take(s)
	fit := false // for another request
	defer func() {
		if bug := recover(); bug != nil {
			m.router.log.Error("a request made the router panic", "err", bug, "stack", string(debug.Stack()))
			s.Reset(h2.Internal)
		}
		s.OffCancel() // st may soon be of another request, which what is left of this one is nothing to
		m.give(st, fit)
	}()
	st.begin()
	st.x.run(st)
	fit = true
}

// refuse answers what is no request.
func (m *muxed) refuse(s *h2.Stream, why *h1.Error) {
	t := m.router.badHead(&m.peer, "HTTP/2.0", s.Request(), refused(why))
	if s.Answer(&t.res, t.back) == nil && t.body != "" {
		_ = s.WriteEnd([]byte(t.body)) // who is gone needs no page
	}
}

// malformed takes note of a request that was reset for breaking a rule.
func (m *muxed) malformed(req *h1.Request) {
	var o origin
	o.read(req, &m.peer, m.router.opt.TrustedProxies)
	m.router.tellRefused(&o, "HTTP/2.0", req, http.StatusBadRequest, 0)
}

func (m *muxed) take(s *h2.Stream) *stream {
	m.mu.Lock()
	defer m.mu.Unlock()
	var st *stream
	if last := len(m.free) - 1; last >= 0 {
		st, m.free = m.free[last], m.free[:last]
	} else {
		st = &stream{of: m}
		st.x.router, st.x.from = m.router, &m.peer
		st.leaves = func() {
			st.away.Store(true)
			st.x.interrupt(errGone)
		}
	}
	st.Stream = s
	m.open[st] = struct{}{}
	return st
}

func (m *muxed) give(st *stream, fit bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.open, st)
	st.Stream, st.x.req, st.body = nil, nil, nil          // they hold what the stream kept
	if fit && len(m.free) < mostFree && !st.away.Load() { // who was told of the end may be telling it yet
		m.free = append(m.free, st)
	}
}

func (m *muxed) seat() *seat  { return &m.place }
func (m *muxed) counts() bool { return true }

// cut ends the requests too that were nowhere when their client left.
func (m *muxed) cut() {
	m.conn.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	for st := range m.open {
		st.x.interrupt(errGone)
	}
}

func (m *muxed) quiet() (since time.Duration, ok bool) {
	idle := m.idle.Load()
	return time.Duration(idle), idle != 0
}

func (m *muxed) look(now, tick time.Duration) {
	switch idle := m.idle.Load(); {
	case idle == 0:
		m.mu.Lock()
		defer m.mu.Unlock()
		for st := range m.open {
			st.look(now)
		}
	case now-time.Duration(idle) >= dozeAfter*tick && !m.parked.Load():
		m.conn.Rest()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.free = nil
	}
}

// stream is one request of a client that speaks HTTP/2. It is used again for
// another.
type stream struct {
	*h2.Stream
	of     *muxed
	x      exchange
	leaves func()
	away   atomic.Bool // the client has left

	body     []byte // all of it, if ended
	ended    bool
	patient  bool        // the client may be as slow as it likes
	answers  atomic.Bool // the answer has begun
	inLeft   time.Duration
	inDue    atomic.Int64 // when reading is given up, on the router's clock; 0: not reading
	last     []byte       // trailers of the answer
	finished bool         // the answer's body is, but for flush
}

// begin readies it for the request of its stream.
func (st *stream) begin() {
	req := st.Request()
	st.body, st.ended = st.Whole()
	if st.ended && req.Length == h1.Chunked {
		req.Length = int64(len(st.body))
	}
	st.ended = st.ended && req.Upgrade == nil
	// A call of gRPC may say and take nothing for hours; so may a WebSocket.
	if st.patient = bytes.HasPrefix(req.Get("content-type"), []byte("application/grpc")); st.patient || req.Upgrade != nil {
		st.Patient()
	}
	st.away.Store(false)
	st.answers.Store(false)
	st.inDue.Store(0)
	st.inLeft = st.of.router.opt.RateGrace
	st.last, st.finished = nil, false
	st.x.begin(req, "HTTP/2.0")
	st.OnCancel(st.leaves)
}

func (st *stream) look(now time.Duration) {
	st.x.expire(now)
	if st.away.Load() {
		st.x.interrupt(errGone) // it may not have been anywhere when it left
	}
	if due := st.inDue.Load(); due > 0 && due <= int64(now) && st.inDue.CompareAndSwap(due, cutOff) {
		st.StopReading(errSlow)
	}
}

func (st *stream) whole() ([]byte, bool) { return st.body, st.ended }

// next brings more of the body. Until the app begins to answer the client has
// to keep up a rate.
func (st *stream) next() ([]byte, error) {
	if st.patient || st.answers.Load() || st.Ready() {
		return st.Next()
	}
	watch, opt := &st.of.router.watch, &st.of.router.opt
	before := watch.now()
	st.inDue.CompareAndSwap(0, int64(before+st.inLeft))
	data, err := st.Next()
	st.inDue.Swap(0)
	st.inLeft -= watch.now() - before
	st.inLeft = min(opt.RateGrace, st.inLeft+time.Duration(len(data))*time.Second/time.Duration(opt.MinRate))
	return data, err
}

func (st *stream) trailers() []byte { return st.Trailers() }
func (st *stream) hurry()           { st.StopReading(errGone) }

func (st *stream) interim(res *h1.Response) error {
	if err := st.Answer(res, h1.Back{Bodiless: true}); err != nil {
		return err
	}
	st.Flush()
	return nil
}

func (st *stream) answer(res *h1.Response, back *h1.Back) error {
	if back.Close {
		st.of.conn.Drain()
	}
	if st.answers.Store(true); st.inDue.Load() > 0 {
		st.inDue.Store(0)
	}
	if back.Length == 0 && !back.Bodiless && res.Get("content-length") == nil {
		back.Bodiless = true // the end of the stream says so
	}
	st.finished = back.Bodiless || back.Length == 0
	return st.Answer(res, *back)
}

func (st *stream) write(p []byte) error {
	_, err := st.Write(p)
	return err
}

// end is held back until flush: the request is counted before its client sees
// the end.
func (st *stream) end(trailers []byte) error {
	if !st.finished {
		st.last, st.finished = append([]byte{}, trailers...), true
	}
	return nil
}

func (st *stream) flush() error {
	if st.last != nil {
		last := st.last
		st.last = nil
		return st.End(last)
	}
	st.Flush()
	return nil
}

func (st *stream) abort()                { st.Reset(h2.Internal) }
func (st *stream) gone() <-chan struct{} { return st.Done() }

// tunnel is the stream as a connection.
func (st *stream) tunnel() *wire {
	w := new(wire)
	w.begin(&streamConn{Stream: st.Stream}, true, &st.of.router.slabs)
	return w
}

// streamConn is a stream as a connection: what goes over it after an extended
// CONNECT (RFC 8441).
type streamConn struct{ *h2.Stream }

func (c *streamConn) Write(p []byte) (int, error) {
	n, err := c.Stream.Write(p)
	c.Flush()
	return n, err
}

// CloseWrite ends our direction.
func (c *streamConn) CloseWrite() error { return c.End(nil) }

// Close ends both.
func (c *streamConn) Close() error {
	c.Reset(h2.Cancel)
	return nil
}

// The rest of a net.Conn; nobody asks a tunnel for it.

func (c *streamConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *streamConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *streamConn) SetDeadline(time.Time) error      { return nil }
func (c *streamConn) SetReadDeadline(time.Time) error  { return nil }
func (c *streamConn) SetWriteDeadline(time.Time) error { return nil }

// drainMuxed has all connections of HTTP/2 and HTTP/3 tell their clients to
// reconnect.
func (r *Router) drainMuxed() (open int) {
	r.watch.each(func(who watched) {
		switch c := who.(type) {
		case *muxed:
			c.conn.Drain()
		case *datagrams:
			c.drain()
		default:
			return
		}
		open++
	})
	return open
}

// leaveMuxed blocks until each has ended in its order.
func (r *Router) leaveMuxed(ctx context.Context) error {
	for r.drainMuxed() > 0 {
		select {
		case <-r.watch.noticed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// named is a connection whose first bytes were read already, or whose client
// is another than its peer.
type named struct {
	net.Conn
	read []byte
	addr net.Addr
}

func (n *named) Read(p []byte) (int, error) {
	if len(n.read) > 0 {
		took := copy(p, n.read)
		n.read = n.read[took:]
		return took, nil
	}
	return n.Conn.Read(p)
}

// RemoteAddr is the client's.
func (n *named) RemoteAddr() net.Addr { return n.addr }

// CloseWrite ends one direction.
func (n *named) CloseWrite() error {
	if half, ok := n.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return net.ErrClosed
}
