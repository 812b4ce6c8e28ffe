package router

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
)

// inward is the connection of a client that speaks HTTP/1.1. One goroutine
// leads its requests through, one after the other; one more brings the body of
// a request that does not come with its head.
type inward struct {
	wire
	router *Router
	peer   peer
	x      exchange
	req    h1.Request

	// Of the request that is under way.
	head    *slab  // where the head is, once the body is read into another
	all     []byte // the body, if it came with the head
	framing framing
	begun   bool         // the body is read piece by piece
	waits   bool         // the client waits for 100 (Continue)
	rest    atomic.Int64 // how much of the body was not read: see framing.left

	// Of its answer.
	out     []byte // what is not sent yet, in outSlab
	outSlab *slab
	chunked bool
	unended bool // the answer ends with the connection
	final   bool // the connection is closed after it
	broken  bool // it is not fit for another request, for what was done to it

	inLeft time.Duration // how long the client may yet be slow with its body
	pace   pace          // the watch's

	// Read by those who watch over connections; on the router's clock.
	inDue  atomic.Int64 // when reading is given up; 0: not reading
	outDue atomic.Int64 // when the handshake is
	writes atomic.Int64 // since when it writes; 0: it does not
	idle   atomic.Int64 // since when there is no request; 0: there is one
	given  atomic.Bool  // it is a tunnel now

	talking atomic.Bool // the answer has begun: the two may converse as slowly as they like
	hurried atomic.Bool // reading has a deadline

	door   entrance
	known  bool     // who the client is was found out
	home   *loop    // where it came from; nil: nowhere, or from a client itself
	handed int      // how often it did
	stays  int      // for how many requests more
	socket net.Conn // the one that was accepted
	place  seat
	doze   doze
	rests  atomic.Bool // it waits for a request
	seen   bool        // it had a request under way at the last tick

	leftMu sync.Mutex
	left   chan struct{} // closed when the client has left; nil: nobody asked
	away   bool
}

// inwardOf is a client's connection, which was counted at a door.
func (r *Router) inwardOf(conn net.Conn, door entrance) *inward {
	c := &inward{router: r, socket: conn, door: door}
	c.peer = peer{addr: addrOf(conn.RemoteAddr()), local: addrOf(conn.LocalAddr())}
	c.idle.Store(max(1, int64(r.now())))
	c.begin(conn, false, &r.slabs)
	return c
}

// enter has the connection watched over. It reports false when it is too late,
// and closed.
func (c *inward) enter() bool {
	if !c.router.watch.add(c) {
		_ = c.conn.Close()
		c.drop()
		c.door.Close()
		return false
	}
	c.inDue.Store(c.from(c.router.opt.HeaderTimeout))
	return true
}

// attend is the life of a connection that has entered.
func (c *inward) attend(secure bool) {
	if err := c.introduce(); err != nil {
		c.close()
		return
	}
	if secure {
		c.shake()
		return
	}
	c.serve()
}

// introduce finds out who the client is.
func (c *inward) introduce() error {
	if c.known {
		return nil
	}
	c.known = true
	if of := c.router.opt.ProxyNetworks; len(of) > 0 && isTrusted(bareHost(c.peer.addr), of) {
		from, err := readProxyHeader(c.conn)
		if err != nil {
			c.router.log.Debug("connection began with no valid PROXY header", "peer", c.peer.addr.String(), "err", err)
			return err
		}
		if from.IsValid() {
			c.peer.addr = from
		}
	}
	if c.peer.name = bareHost(c.peer.addr); !c.peer.addr.IsValid() {
		c.peer.name = c.conn.RemoteAddr().String()
	}
	return nil
}

// shake does the handshake.
func (c *inward) shake() {
	under := newRecords(c.named(nil), c.socket, &c.router.slabs)
	conn := &sealed{Conn: tls.Server(under, c.router.listens), under: under}
	c.outDue.Store(c.inDue.Load())
	err := c.router.handshake(c.socket, conn.Conn)
	if c.outDue.Store(0); err != nil {
		c.router.metrics.Handshakes.Failed.Add(1)
		c.router.log.Debug("handshake failed", "peer", c.peer.name, "err", err)
		c.close()
		return
	}
	state := conn.ConnectionState()
	c.router.metrics.Handshakes.Done(state.Version)
	c.router.handshakes.made.Add(1)
	switch c.peer.tls = &state; state.NegotiatedProtocol {
	case "h2":
		c.handOver(conn)
		return
	case alpnProof:
		c.close() // an authority has seen what it came for
		return
	}
	c.begin(conn, true, &c.router.slabs)
	c.under = under
	c.doze.parks.Store(under.in.raw != nil)
	c.serve()
}

// named is the connection for others than this driver; read came of it already.
func (c *inward) named(read []byte) net.Conn {
	if read == nil && addrOf(c.conn.RemoteAddr()) == c.peer.addr {
		return c.conn
	}
	return &named{c.conn, read, net.TCPAddrFromAddrPort(c.peer.addr)}
}

// handOver gives a connection to the driver of HTTP/2.
func (c *inward) handOver(conn net.Conn) {
	c.inDue.Store(0) // it has begun in time
	c.drop()
	go c.router.multiplex(c, conn) // ends with the connection
}

// close ends the connection. What was not read is lost, and its client's
// kernel may tell it so before it has read the answer: see linger.
func (c *inward) close() {
	_ = closeBare(c.conn)
	c.drop()
	c.putHead()
	c.slabs.put(c.outSlab)
	c.outSlab, c.out = nil, nil
	c.router.watch.remove(c)
	c.door.Close()
}

// serve leads requests through until the connection is to be closed.
func (c *inward) serve() {
	given := false // to another server
	defer func() {
		if bug := recover(); bug != nil {
			c.router.log.Error("a request made the router panic", "err", bug, "stack", string(debug.Stack()))
			_ = closeBare(c.conn)
			c.x.upload.abandon()
		}
		if !given {
			c.close()
		}
	}()
	c.x.router, c.x.from = c.router, &c.peer
	for first := c.doze.due == 0; ; first = false {
		n, err := c.await(first)
		switch {
		case errors.Is(err, errParks):
			given = c.park()
			return
		case errors.Is(err, errHTTP2):
			given = true
			c.handOver(c.named(bytes.Clone(c.buffered())))
			return
		case errors.Is(err, errPasses):
			if c.pass() {
				return
			}
			continue
		case err != nil:
			c.refuse(err)
			return
		}
		if c.exchange(n); !c.settle() {
			return
		}
		if given = c.goHome(); given {
			return
		}
	}
}

var (
	errHTTP2  = errors.New("the client speaks HTTP/2")
	errPasses = errors.New("the connection passes to another router")
	preface   = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
)

// await reads a head and returns how many bytes it has.
func (c *inward) await(first bool) (n int, err error) {
	if c.r < c.w && c.r > 0 {
		c.w = copy(c.data, c.buffered())
		c.r = 0
	}
	c.talking.Store(false)
	now := c.router.now()
	if c.r == c.w {
		c.yield()
		if c.doze.due == 0 {
			c.idle.Store(max(1, int64(now)))
			if !first {
				c.inDue.Store(c.from(c.router.opt.IdleTimeout))
			}
		}
		c.router.watch.changed()
		c.rests.Store(true) // before we look, so that we see or are seen
		if c.canPass() {
			return 0, errPasses
		}
		err := c.idles()
		c.rests.Store(false)
		switch {
		case errors.Is(err, errPasses), errors.Is(err, errParks):
			return 0, err
		case err != nil:
			return 0, io.EOF // nobody is there to be told
		}
	}
	c.doze.due = 0
	c.idle.Store(0)
	c.rouse()
	c.router.stir()
	c.inDue.Store(c.from(c.router.opt.HeaderTimeout))
	for scan := (h1.Scan{}); ; {
		if first && c.peer.tls == nil && bytes.HasPrefix(preface, c.buffered()[:min(len(preface), c.w-c.r)]) {
			if c.w-c.r >= len(preface) {
				err = errHTTP2
				break
			}
		} else if n, err = scan.Parse(&c.req, c.buffered(), c.router.limits); n > 0 || err != nil {
			break
		}
		if err = c.fill(); err != nil {
			break
		}
	}
	if c.inDue.Swap(0) < 0 {
		err = errSlow
	}
	return n, err
}

// from is a time from now on, for those who watch.
func (c *inward) from(limit time.Duration) int64 { return int64(c.router.watch.now() + limit) }

// refuse answers what is no request.
func (c *inward) refuse(err error) {
	var rule *h1.Error
	var p page
	switch {
	case errors.As(err, &rule):
		p = refused(rule)
	case errors.Is(err, errSlow) && c.r < c.w:
		p = slowHead()
	default:
		return
	}
	t := c.router.badHead(&c.peer, "HTTP/1.1", &c.req, p)
	_ = c.put(append(h1.AppendResponse(nil, &t.res, t.back), t.body...))
	c.linger()
}

// exchange leads the request through whose head is the first n bytes.
func (c *inward) exchange(n int) {
	c.r += n
	c.framing.begin(c.req.Length)
	c.all, c.begun, c.waits = nil, false, c.req.Expect && c.req.Length != 0
	c.chunked, c.unended, c.final, c.broken = false, false, false, false
	c.inLeft = c.router.opt.RateGrace
	if length := c.req.Length; length > 0 && length <= int64(c.w-c.r) {
		c.all = c.data[c.r : c.r+int(length)]
		c.r += int(length)
		c.framing.done = true
	}
	if c.rest.Store(c.framing.left); c.framing.done {
		c.rest.Store(0)
	}
	proto := "HTTP/1.1"
	if c.req.Minor == 0 {
		proto = "HTTP/1.0"
	}
	c.x.begin(&c.req, proto)
	c.x.mayPass = c.peer.tls == nil
	c.x.run(c)
}

// settle makes the connection ready for another request, and reports false
// when there can be none.
func (c *inward) settle() bool {
	if !c.broken && !c.framing.done {
		c.broken = !c.drain()
	}
	if c.broken || c.final {
		if !c.given.Load() && (!c.framing.done || c.r < c.w) {
			c.linger()
		}
		return false
	}
	if c.hurried.Swap(false) && c.conn.SetReadDeadline(time.Time{}) != nil {
		return false
	}
	c.putHead()
	if len(c.data) > slabSize {
		rest := bytes.Clone(c.buffered())
		if c.drop(); len(rest) > 0 {
			c.data, c.w = rest, len(rest)
		}
	}
	return true
}

// drain reads what is left of a request's body, if it is little and comes soon.
func (c *inward) drain() (whole bool) {
	if c.final || !c.mayRest() {
		return false
	}
	c.hurry()
	for n := 0; n <= drainBytes; {
		data, err := c.next()
		if n += len(data); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
	return false
}

// lingerBytes is how much a client may send before it notices that nobody reads.
const lingerBytes = 1 << 20

// linger has the client read the last answer before the connection ends: one
// that is closed with bytes unread is reset.
func (c *inward) linger() {
	conn := c.conn
	if secure, ok := conn.(*sealed); ok {
		_ = conn.SetWriteDeadline(time.Now().Add(drainTime))
		_ = secure.CloseWrite()
		conn = secure.NetConn()
	}
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(drainTime))
	_, err := io.CopyN(io.Discard, conn, lingerBytes)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
}
