package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/h1"
)

// link carries one request to an instance and its answer back: a connection
// for HTTP/1.1, one stream of one for HTTP/2. Its methods are for one goroutine,
// but write and end, which may be another's than the rest, and cut.
type link interface {
	// send sends a head and body, which more says is not all of it: then the
	// rest follows by write, and end with the trailers, which are lines. It may
	// wait for the answer to begin. The error matches errUnsent or errStale
	// when the request may be sent again.
	send(req *h1.Request, o *h1.Onward, body []byte, more bool) error
	write(p []byte) error
	end(trailers []byte) error

	// answer reads a head, which may be an interim one: then answer is called
	// again. What is in it holds until next is called.
	answer(res *h1.Response) error
	// next is more of the answer's body, or io.EOF at its end; ready reports
	// whether it will not wait. The bytes hold until the next call.
	next() ([]byte, error)
	ready() bool
	trailers() []byte
	// tunnel is the connection after 101, the bytes that came already included.
	tunnel() *wire

	// cut has all that waits fail, at once or soon.
	cut()
	// done ends the use of the link; whole says that request and answer are
	// through, so that it may carry another request.
	done(whole bool)
}

// links are the ways to one address.
type links interface {
	// take is one of them, or a new one that comes about within a time. Where
	// proxy is a version of the PROXY protocol it is a new one, and its first
	// bytes say who asks. An error is errRefused.
	take(ctx context.Context, from *peer, proxy int, within time.Duration) (link, error)
	// close ends those that carry nothing. It stays usable.
	close()
}

var (
	// errRefused: no connection came about, so nothing was sent.
	errRefused = errors.New("no connection")
	// errUnsent: a connection that had served before was closed before
	// anything was sent.
	errUnsent = errors.New("nothing was sent")
	// errStale: a connection that had served before ended without a byte of
	// an answer; most likely the instance closed it before the request came.
	errStale = errors.New("the connection was closed before an answer")
	// errLost: a fresh connection ended without a byte of an answer.
	errLost = errors.New("the connection was closed instead of an answer")
	// errDied: one ended without a byte of an answer, fresh or not, by an
	// instance that had taken all of the request: see taken.
	errDied = errors.New("the request was taken, and the connection closed instead of an answer")
	// errDiedOld is errDied on a connection that had served before: an instance
	// that ends closes many of these, which is one failure and not many.
	errDiedOld = fmt.Errorf("%w: %w", errDied, errStale)
	// errTimeout: the answer did not begin in time.
	errTimeout = errors.New("no answer in time")
	// errClient: the client did not finish its request, or broke its rules.
	errClient = errors.New("the client broke off")
	// errSlow: the client sent, or took, too little for too long.
	errSlow = errors.New("the client is too slow")
	// errTooLarge: the client's body is longer than the app takes.
	errTooLarge = errors.New("the body is too large")
	// errGone: the client has left.
	errGone = errors.New("the client has left")
	// errBroken: the connection ended in the middle of the answer's head.
	errBroken = errors.New("the connection ended in the answer's head")
	// errGarbage: what the instance answered is not HTTP.
	errGarbage = errors.New("the answer breaks a rule")
)

// upstream is the connections to one address by HTTP/1.1: host:port, or unix:
// and the path of a socket. The last one used is used next.
type upstream struct {
	network, address string
	addr             *netip.AddrPort // nil: it is none, or has to be looked up
	era              atomic.Uint64   // grows when all idle connections are given up
	router           *Router

	mu    sync.Mutex
	idle  []*outward // by when they were used last
	timer *time.Timer
	armed bool
}

const (
	maxIdle = 256 // connections kept to one address
	// Of an answer's head.
	maxAnswerHead   = 256 << 10
	maxAnswerFields = 1000
)

func newUpstream(r *Router, address string) *upstream {
	u := &upstream{network: "tcp", address: address, router: r}
	if path, local := strings.CutPrefix(address, "unix:"); local {
		u.network, u.address = "unix", path
	}
	if addr, err := netip.ParseAddrPort(address); err == nil {
		u.addr = &addr
	}
	return u
}

func (u *upstream) take(ctx context.Context, from *peer, proxy int, within time.Duration) (link, error) {
	if proxy == 0 {
		if l := u.pop(); l != nil {
			return l, nil
		}
	}
	dialer := net.Dialer{Timeout: within}
	conn, err := u.router.dial(ctx, &dialer, u.network, u.address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	if header := proxyLine(proxy, from.addr, from.local); len(header) > 0 {
		if _, err := conn.Write(header); err != nil {
			conn.Close()
			return nil, fmt.Errorf("%w: %w", errRefused, err)
		}
	}
	l := &outward{of: u, mine: proxy != 0}
	l.begin(conn, false, &u.router.slabs)
	return l, nil
}

// pop is the connection used last, if it is not too old.
func (u *upstream) pop() *outward {
	u.mu.Lock()
	defer u.mu.Unlock()
	last := len(u.idle) - 1
	if last < 0 || u.router.now()-u.idle[last].since >= u.router.opt.UpstreamIdle {
		return nil // the timer closes what is left
	}
	l := u.idle[last]
	u.idle[last] = nil
	u.idle = u.idle[:last]
	return l
}

func (u *upstream) push(l *outward) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.idle) >= maxIdle || l.mine {
		l.conn.Close()
		return
	}
	l.used, l.since = true, u.router.now()
	u.idle = append(u.idle, l)
	if u.armed {
		return
	}
	u.armed = true
	if u.timer == nil {
		u.timer = time.AfterFunc(u.router.opt.UpstreamIdle, u.reap)
		return
	}
	u.timer.Reset(u.router.opt.UpstreamIdle)
}

// reap closes those that nobody has used for long enough.
func (u *upstream) reap() {
	u.mu.Lock()
	defer u.mu.Unlock()
	limit, old := u.router.now()-u.router.opt.UpstreamIdle, 0
	for old < len(u.idle) && u.idle[old].since <= limit {
		u.idle[old].conn.Close()
		old++
	}
	kept := copy(u.idle, u.idle[old:])
	clear(u.idle[kept:])
	u.idle = u.idle[:kept]
	if u.armed = kept > 0; u.armed {
		u.timer.Reset(u.idle[0].since - limit)
	}
}

func (u *upstream) close() {
	u.era.Add(1)
	u.router.forgetIdle(u)
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, l := range u.idle {
		l.conn.Close()
	}
	clear(u.idle)
	u.idle = u.idle[:0]
}

// outward is a link by HTTP/1.1.
type outward struct {
	wire
	of    *upstream
	mine  bool          // it is one client's alone: it began with the name
	used  bool          // it has carried a request before
	since time.Duration // when it was given back, on the router's clock

	method  []byte
	framing framing // of the answer's body
	chunked bool    // so is the request's body
	final   bool    // nothing comes after the answer on this connection
	heard   bool    // bytes of the answer came
	hurried bool    // its rest was asked for
}

func (l *outward) send(req *h1.Request, o *h1.Onward, body []byte, more bool) error {
	l.method, l.heard, l.hurried, l.final = req.Method, false, false, false
	l.framing.done = false
	l.chunked = o.Body && o.Length == h1.Chunked
	slab := l.slabs.get()
	defer l.slabs.put(slab)
	text := h1.AppendRequest(slab[:0], req, *o)
	if !more {
		return l.verdict(l.ask(append(text, body...)))
	}
	err := l.check()
	if err == nil {
		_, err = l.conn.Write(text)
	}
	if err != nil {
		return l.verdict(err)
	}
	return l.write(body)
}

// verdict says what an error before the answer's head means.
func (l *outward) verdict(err error) error {
	if err == nil {
		return nil
	}
	var broken *h1.Error
	switch {
	case errors.Is(err, errClosed), errors.Is(err, errTalked) && l.used:
		return fmt.Errorf("%w: %w", errUnsent, err)
	case errors.As(err, &broken), errors.Is(err, errTalked):
		return fmt.Errorf("%w: %w", errGarbage, err)
	case !l.heard && errors.Is(err, io.EOF) && (l.raw == nil || taken(l.raw)):
		return fmt.Errorf("%w: %w", died(l.used), err)
	case l.used && !l.heard:
		return fmt.Errorf("%w: %w", errStale, err)
	case !l.heard:
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return err
}

// died is the error of a connection whose instance had taken the request.
func died(used bool) error {
	if used {
		return errDiedOld
	}
	return errDied
}

// taken reports whether the other side, which has ended a connection in order,
// had taken all that was sent there. An end in order says that it left nothing
// unread, and the queue that nothing came too late to be read.
func taken(raw syscall.RawConn) (all bool) {
	err := raw.Control(func(fd uintptr) { all = queued(int(fd)) == 0 }) //nolint:gosec // a descriptor
	return err == nil && all
}

// queued is how many bytes of a socket the other side has not acknowledged.
func queued(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}

func (l *outward) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if !l.chunked {
		_, err := l.conn.Write(p)
		return err
	}
	slab := l.slabs.get()
	defer l.slabs.put(slab)
	text := h1.AppendChunkHead(slab[:0], len(p))
	if len(p) > slabSize-chunkRoom {
		all := net.Buffers{text, p, []byte("\r\n")}
		_, err := all.WriteTo(l.conn)
		return err
	}
	text = append(text, p...)
	_, err := l.conn.Write(append(text, '\r', '\n'))
	return err
}

func (l *outward) end(trailers []byte) error {
	if !l.chunked {
		return nil
	}
	_, err := l.conn.Write(h1.AppendChunksEnd(nil, trailers))
	return err
}

func (l *outward) answer(res *h1.Response) error {
	limits := h1.Limits{Head: maxAnswerHead, Fields: maxAnswerFields}
	for {
		if l.r < l.w {
			l.heard = true
			n, err := res.Parse(l.buffered(), l.method, limits)
			if err != nil {
				return l.verdict(err)
			}
			if n > 0 {
				l.r += n
				l.framing.begin(res.Length)
				l.final = l.final || res.Close
				return nil
			}
			l.hurry()
		}
		if err := l.fill(); err != nil {
			return l.verdict(err)
		}
	}
}

func (l *outward) next() ([]byte, error) {
	if !l.ready() {
		l.hurry()
	}
	return l.framing.next(&l.wire)
}

// hurry is called when a part of an answer came and the rest of it did not.
func (l *outward) hurry() {
	if !l.hurried && l.raw != nil {
		l.hurried = true
		_ = l.raw.Control(hurry)
	}
}

// hurry has the kernel acknowledge at once what came. An app that writes head
// and body apart, and leaves Nagle's algorithm on (RFC 9293, 3.7.4), may hold
// its body back until its head is acknowledged, which otherwise takes 40 ms.
func hurry(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) //nolint:gosec // a descriptor
}

func (l *outward) ready() bool      { return l.framing.ready(&l.wire) }
func (l *outward) trailers() []byte { return l.framing.trailers() }
func (l *outward) tunnel() *wire    { return &l.wire }

func (l *outward) cut() { _ = l.conn.SetDeadline(time.Unix(1, 0)) }

// done keeps the connection for the next request unless the answer says
// otherwise, or more came than was asked for: that would be taken for the
// answer to the next one.
func (l *outward) done(whole bool) {
	if l.method = nil; whole && !l.final && l.framing.done && l.r == l.w {
		l.yield()
		l.of.push(l)
		return
	}
	l.conn.Close()
	l.drop()
}
