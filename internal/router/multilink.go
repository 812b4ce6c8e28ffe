package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/h2"
)

// multiUpstream is the connections to one address by HTTP/2 with prior
// knowledge: see platform.Edge.Protocol.
type multiUpstream struct {
	network, address string
	router           *Router
	pool             *h2.Pool
	within           atomic.Int64 // how long a connection may take to come about
}

func newMultiUpstream(r *Router, address string) *multiUpstream {
	u := &multiUpstream{network: "tcp", address: address, router: r}
	if path, local := strings.CutPrefix(address, "unix:"); local {
		u.network, u.address = "unix", path
	}
	u.pool = u.newPool(nil, 0)
	return u
}

// newPool makes a pool; where proxy is a version of the PROXY protocol, its
// connections begin with who asks.
func (u *multiUpstream) newPool(from *peer, proxy int) *h2.Pool {
	opt := &u.router.opt
	return h2.NewPool(h2.Options{
		HeaderList: maxAnswerHead, MaxFields: maxAnswerFields, IdleTimeout: opt.IdleTimeout,
		StallTimeout: opt.AnswerTimeout, WriteTimeout: opt.AnswerTimeout,
		MaxStreams: 1000, // as many as the instance lets it
		Controls:   100_000, Resets: 100_000, Bug: u.router.readingPanicked,
	}, func(ctx context.Context) (net.Conn, error) {
		dialer := net.Dialer{Timeout: time.Duration(u.within.Load())}
		conn, err := u.router.dial(ctx, &dialer, u.network, u.address)
		if err != nil || proxy == 0 {
			return conn, err
		}
		if _, err := conn.Write(proxyLine(proxy, from.addr, from.local)); err != nil {
			_ = conn.Close() // the write's error says it
			return nil, err
		}
		return conn, nil
	})
}

// take is a link, which finds its connection when it sends.
func (u *multiUpstream) take(ctx context.Context, from *peer, proxy int, within time.Duration) (link, error) {
	u.within.Store(int64(within))
	l := &multilink{ctx: ctx, pool: u.pool}
	if proxy != 0 { // a connection says of one client alone who it is
		l.pool, l.mine = u.newPool(from, proxy), true
	}
	return l, nil
}

func (u *multiUpstream) close() { u.pool.Close() }

// multilink is a link by one stream of HTTP/2.
type multilink struct {
	ctx  context.Context
	pool *h2.Pool
	mine bool // so is the pool

	mu     sync.Mutex
	stream *h2.Stream         // nil: it was not sent
	stop   context.CancelFunc // of waiting for a place
	off    bool               // it was cut
}

func (l *multilink) send(req *h1.Request, o *h1.Onward, body []byte, more bool) error {
	if err := l.open(req, o); err != nil {
		return err
	}
	if !o.Body {
		return nil
	}
	if len(body) > 0 && more {
		return l.write(body)
	}
	if !more {
		return l.verdict(l.stream.WriteEnd(body))
	}
	l.stream.Flush()
	return nil
}

// open sends the head.
func (l *multilink) open(req *h1.Request, o *h1.Onward) error {
	s := l.pool.TryOpen(req, *o)
	if s == nil {
		ctx, stop := context.WithCancel(l.ctx)
		defer stop()
		if !l.waits(stop) {
			return errGone
		}
		var err error
		if s, err = l.pool.Open(ctx, req, *o); err != nil {
			return fmt.Errorf("%w: %w", errRefused, err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream = s; l.off {
		s.Reset(h2.Cancel)
	}
	return nil
}

// waits has cut end the wait for a place; false: it was cut.
func (l *multilink) waits(stop context.CancelFunc) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop = stop
	return !l.off
}

// verdict says what an error before the answer's head means.
func (l *multilink) verdict(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, h2.ErrUnsent):
		return fmt.Errorf("%w: %w", errUnsent, err)
	case errors.Is(err, h2.ErrClosed) && l.stream.ID() > 1:
		return fmt.Errorf("%w: %w", errDiedOld, err)
	case h2.IsMistake(err):
		return fmt.Errorf("%w: %w", errGarbage, err)
	}
	return err
}

func (l *multilink) write(p []byte) error {
	if _, err := l.stream.Write(p); err != nil {
		return l.verdict(err)
	}
	l.stream.Flush()
	return nil
}

func (l *multilink) end(trailers []byte) error { return l.verdict(l.stream.End(trailers)) }

func (l *multilink) answer(res *h1.Response) error {
	head, err := l.stream.Head()
	if err != nil {
		return l.verdict(err)
	}
	*res = *head
	res.Reason = []byte(http.StatusText(res.Status))
	if res.Get("trailer") != nil {
		res.Length = h1.Chunked // in HTTP/1.1 no trailers follow a body of known length
	}
	return nil
}

func (l *multilink) next() ([]byte, error) {
	data, err := l.stream.Next()
	if errors.Is(err, io.EOF) {
		l.stream.Reset(h2.NoError) // what is left of the request is of no use
	}
	return data, err
}

func (l *multilink) ready() bool      { return l.stream.Ready() }
func (l *multilink) trailers() []byte { return l.stream.Trailers() }
func (l *multilink) tunnel() *wire    { return nil } // an upgrade is HTTP/1.1's

func (l *multilink) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.off = true
	if l.stop != nil {
		l.stop()
	}
	if l.stream != nil {
		l.stream.Reset(h2.Cancel)
	}
}

func (l *multilink) done(bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.off, l.stop = true, nil
	if l.stream != nil {
		l.stream.Release()
	}
	if l.mine {
		l.pool.Close()
	}
}
