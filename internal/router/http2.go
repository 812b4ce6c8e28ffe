package router

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// http2Server serves the connections that turned out to be of HTTP/2, by
// net/http.
type http2Server struct {
	server *http.Server
	conns  chan net.Conn
	ended  chan struct{} // closed by close
	begin  sync.Once
	end    sync.Once
	done   chan struct{} // closed when the server has returned; nil: it never began
	clock  func() time.Duration
	tell   func() // that a connection ended or fell quiet

	mu    sync.Mutex
	since map[net.Conn]time.Duration // the quiet ones
	open  int
}

func newHTTP2(r *Router) *http2Server {
	s := &http2Server{
		conns: make(chan net.Conn), ended: make(chan struct{}), since: map[net.Conn]time.Duration{},
		clock: r.now, tell: r.watch.changed,
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s.server = &http.Server{
		Handler: r, Protocols: protocols,
		ReadHeaderTimeout: r.opt.HeaderTimeout, IdleTimeout: r.opt.IdleTimeout, MaxHeaderBytes: r.opt.MaxHeaderBytes,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is the app's
		ConnState:                    s.note,
		BaseContext:                  func(net.Listener) context.Context { return r.base },
		ErrorLog:                     slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
	}
	return s
}

// take serves a connection from now on.
func (s *http2Server) take(conn net.Conn) {
	s.begin.Do(func() {
		s.done = make(chan struct{})
		go func() {
			defer close(s.done)
			_ = s.server.Serve(s) // until close
		}()
	})
	select {
	case s.conns <- conn:
	case <-s.ended:
		_ = conn.Close()
	}
}

// Accept, Close and Addr are a net.Listener's.
func (s *http2Server) Accept() (net.Conn, error) {
	select {
	case conn := <-s.conns:
		return conn, nil
	case <-s.ended:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (s *http2Server) Close() error {
	s.end.Do(func() { close(s.ended) })
	return nil
}

// Addr is none: connections come from several.
func (s *http2Server) Addr() net.Addr { return &net.TCPAddr{} }

// leave ends the connections once nothing is under way on them.
func (s *http2Server) leave(ctx context.Context) error {
	if err := s.server.Shutdown(ctx); err != nil {
		return err
	}
	return ctx.Err()
}

func (s *http2Server) cut() {
	_, _ = s.Close(), s.server.Close() // there is nobody to tell
	s.begin.Do(func() {})              // it does not begin any more
	if s.done != nil {
		<-s.done
	}
}

// note is http.Server's ConnState.
func (s *http2Server) note(conn net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.open++
		s.since[conn] = s.clock()
	case http.StateActive:
		delete(s.since, conn)
	case http.StateIdle:
		s.since[conn] = s.clock()
	case http.StateHijacked, http.StateClosed:
		s.open--
		delete(s.since, conn)
	}
	s.tell()
}

// noisy is how long the draining, which began at start, has to wait for what
// is open: see lull.
func (s *http2Server) noisy(start, now, enough time.Duration) (left time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open > 0 {
		left = start + enough - now
	}
	for _, since := range s.since {
		left = max(left, max(since, start)+enough-now)
	}
	return left
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
