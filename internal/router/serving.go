package router

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// serving is the router's listeners and the connections that came from them.
type serving struct {
	draining atomic.Bool
	open     *turnstile // requests under way
	cut      context.CancelFunc
	base     context.Context // of every request; ended by cut
	lull     *lull

	serveMu   sync.Mutex // guards the rest
	began     time.Time  // of the draining
	servers   []*http.Server
	listeners []net.Listener
}

func (s *serving) begin() {
	s.open = newTurnstile()
	s.base, s.cut = context.WithCancel(context.Background())
	s.lull = newLull()
}

// Serve serves plain HTTP/1.1 and HTTP/2 with prior knowledge on ln until the
// router drains or closes, then returns nil. It takes ln over. Closing it
// while another process holds the same socket loses no connection.
func (r *Router) Serve(ln net.Listener) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return r.serve(ln, protocols, (*http.Server).Serve)
}

// ServeTLS is Serve for HTTPS: HTTP/2 and HTTP/1.1 as the client chooses, with
// the certificate for the name it asks for.
func (r *Router) ServeTLS(ln net.Listener) error {
	port := 443
	if addr, ok := ln.Addr().(*net.TCPAddr); ok {
		port = addr.Port
	}
	r.httpsPort.Store(int64(port))
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return r.serve(ln, protocols, func(s *http.Server, ln net.Listener) error { return s.Serve(tls.NewListener(ln, s.TLSConfig)) })
}

func (r *Router) serve(ln net.Listener, protocols *http.Protocols, run func(*http.Server, net.Listener) error) error {
	server := &http.Server{
		Handler:                      r,
		Protocols:                    protocols,
		ReadHeaderTimeout:            r.opt.HeaderTimeout,
		IdleTimeout:                  r.opt.IdleTimeout,
		MaxHeaderBytes:               r.opt.MaxHeaderBytes,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is the app's
		TLSConfig:                    r.tlsConfig(),
		ConnState:                    r.lull.note,
		BaseContext:                  func(net.Listener) context.Context { return r.base },
		ErrorLog:                     r.quiet,
	}
	if !r.add(server, ln) {
		return ln.Close()
	}
	err := run(server, ln)
	if r.draining.Load() {
		return nil
	}
	return err
}

// add reports false when it is too late to serve.
func (s *serving) add(server *http.Server, ln net.Listener) bool {
	s.serveMu.Lock()
	defer s.serveMu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.servers = append(s.servers, server)
	s.listeners = append(s.listeners, ln)
	return true
}

// StartDraining makes the router leave: it closes its listeners, and every
// answer from now on tells its client to reconnect. Connections stay as they
// are; see Drained. It returns at once and may be called again.
func (r *Router) StartDraining() {
	r.serveMu.Lock()
	defer r.serveMu.Unlock()
	if r.draining.Swap(true) {
		return
	}
	r.began = time.Now()
	for _, ln := range r.listeners {
		_ = ln.Close() // closed already is as good
	}
}

// Drained starts draining and blocks until no request is under way and every
// connection was closed by its client or has been quiet for Options.Quiet;
// then nothing is left and it returns nil. When ctx ends first, what is left
// is cut off and ctx's error returned.
func (r *Router) Drained(ctx context.Context) error {
	r.StartDraining()
	err := r.lull.wait(ctx, r.began, r.opt.Quiet)
	for _, server := range r.servers {
		if err == nil {
			_ = server.Shutdown(ctx) // a second close of its listener is no error of ours
			err = ctx.Err()
		}
	}
	if err == nil {
		select {
		case <-r.open.shut():
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	r.Close()
	return err
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
	for _, server := range r.servers {
		_ = server.Close() // there is nobody to tell
	}
	select {
	case <-empty:
	case <-time.After(farewell):
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

// lull knows since when connections have had no request.
type lull struct {
	mu      sync.Mutex
	since   map[net.Conn]time.Time // the quiet ones
	open    int                    // all, but those given away
	changed chan struct{}          // holds a token when one ended or fell quiet
}

func newLull() *lull {
	return &lull{since: map[net.Conn]time.Time{}, changed: make(chan struct{}, 1)}
}

// note is http.Server's ConnState.
func (l *lull) note(conn net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state {
	case http.StateNew:
		l.open++
		l.since[conn] = time.Now()
	case http.StateActive:
		delete(l.since, conn)
	case http.StateIdle:
		l.since[conn] = time.Now()
	case http.StateHijacked, http.StateClosed:
		l.open--
		delete(l.since, conn)
	}
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// wait blocks until there is no connection, or enough time has passed since
// start and each quiet connection has been so for as long. Busy ones get that
// time too: an answer begun before start has not told its client to reconnect.
func (l *lull) wait(ctx context.Context, start time.Time, enough time.Duration) error {
	for {
		left := l.left(start, enough)
		if left <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-l.changed:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (l *lull) left(start time.Time, enough time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var left time.Duration
	if l.open > 0 {
		left = enough - time.Since(start)
	}
	for _, since := range l.since {
		if since.Before(start) {
			since = start
		}
		left = max(left, enough-time.Since(since))
	}
	return left
}
