package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// flushEvery bounds how long the first bytes of an answer of known length may
// wait for more; answers of unknown length are never held.
const flushEvery = 20 * time.Millisecond

// upstream carries by net/http: HTTP/1.1 to the app, connections kept per
// address: host:port, or unix: and the path of a socket.
type upstream struct {
	address   string
	transport *http.Transport
	buffers   *buffers
	log       *log.Logger
}

func newUpstream(address string, opt Options, answer time.Duration, buffers *buffers, quiet *log.Logger) *upstream {
	network, place := "tcp", address
	if path, local := strings.CutPrefix(address, "unix:"); local {
		network, place, address = "unix", path, "control"
	}
	u := &upstream{address: address, buffers: buffers, log: quiet}
	dialer := &net.Dialer{Timeout: opt.ConnectTimeout}
	http1 := new(http.Protocols)
	http1.SetHTTP1(true)
	u.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, place)
			if err != nil {
				return nil, &dialError{err}
			}
			return conn, nil
		},
		Protocols:              http1,
		DisableCompression:     true, // the client's own Accept-Encoding decides
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        opt.UpstreamIdle,
		ResponseHeaderTimeout:  answer,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}
	return u
}

func (u *upstream) close() { u.transport.CloseIdleConnections() }

func (u *upstream) carry(w http.ResponseWriter, req *http.Request, p *passage) error {
	a := &attempt{passage: p, address: u.address, ctx: req.Context()}
	if req.ProtoMajor == 1 && req.Body != http.NoBody {
		// Else net/http reads the rest of the request before it answers.
		// A writer that cannot do it is no server's, and needs none of it.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	proxy := httputil.ReverseProxy{
		Rewrite:        a.rewrite,
		ModifyResponse: a.begin,
		ErrorHandler:   func(_ http.ResponseWriter, _ *http.Request, err error) { a.err = err },
		Transport:      u.transport,
		BufferPool:     u.buffers,
		FlushInterval:  flushEvery,
		ErrorLog:       u.log,
	}
	proxy.ServeHTTP(w, req.WithContext(httptrace.WithClientTrace(req.Context(), a.trace())))
	return a.verdict()
}

// attempt is one request on its way through net/http.
type attempt struct {
	*passage
	address string
	ctx     context.Context
	err     error

	// Set by the transport's goroutines.
	reused, wrote, heard atomic.Bool
}

func (a *attempt) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn:              func(c httptrace.GotConnInfo) { a.reused.Store(c.Reused) },
		WroteHeaders:         func() { a.wrote.Store(true) },
		GotFirstResponseByte: func() { a.heard.Store(true) },
	}
}

// rewrite makes the request that the app gets. Path, query and Host stay as
// the client wrote them; net/http has dropped what concerns one hop only.
func (a *attempt) rewrite(pr *httputil.ProxyRequest) {
	pr.Out.URL.Scheme = "http"
	pr.Out.URL.Host = a.address
	pr.Out.URL.RawQuery = pr.In.URL.RawQuery
	pr.Out.Trailer = pr.In.Trailer // one map: the values come with the body's end
	a.origin.apply(pr.Out.Header)
}

// begin looks at the answer's head before it is relayed.
func (a *attempt) begin(res *http.Response) error {
	a.status, a.answered = res.StatusCode, time.Now()
	res.Header.Set(requestIDHeader, a.origin.id)
	if res.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	if a.draining() {
		// HTTP/2 servers turn this into a graceful GOAWAY.
		res.Header.Set("Connection", "close")
	}
	if res.Body != http.NoBody {
		res.Body = &answerBody{res.Body, a}
	}
	return nil
}

// verdict says how the attempt ended, in carrier's terms.
func (a *attempt) verdict() error {
	var timeout net.Error
	switch {
	case a.err == nil:
		return nil
	case errors.As(a.err, new(*dialError)):
		return fmt.Errorf("%w: %w", errRefused, a.err)
	case errors.Is(a.err, errClient):
		return a.err
	case errors.As(a.err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%w: %w", errTimeout, a.err)
	case a.reused.Load() && !a.wrote.Load():
		return fmt.Errorf("%w: %w", errUnsent, a.err)
	case a.reused.Load() && !a.heard.Load():
		return fmt.Errorf("%w: %w", errStale, a.err)
	}
	return a.err
}

// dialError is a connection that did not come about.
type dialError struct{ error }

func (e *dialError) Unwrap() error { return e.error }

// answerBody notices an answer that the app, not the client, broke off.
type answerBody struct {
	io.ReadCloser
	attempt *attempt
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && b.attempt.ctx.Err() == nil {
		b.attempt.broken = true
	}
	return n, err
}

// buffers are what answers are copied through.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

func (b *buffers) Get() []byte {
	if buf, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return buf[:]
	}
	return new([bufferSize]byte)[:]
}

func (b *buffers) Put(buf []byte) { b.pool.Put((*[bufferSize]byte)(buf)) }
