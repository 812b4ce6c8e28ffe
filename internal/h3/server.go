package h3

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/slipway-paas/slipway/internal/h1"
)

// Options are the bounds of a server and its connections. All are required.
type Options struct {
	// Limits are those of a head. Head counts names and values, and 32 more for
	// each field (RFC 9114, 4.2.2); over it a client gets 431.
	Limits h1.Limits
	// HeaderTimeout is how long a handshake may be silent, and how long the first
	// of a body may take that the client may not mean to send.
	HeaderTimeout time.Duration
	// IdleTimeout is how long a connection is kept that sends nothing at all.
	IdleTimeout time.Duration
	// WriteTimeout is how long a client may take nothing of an answer.
	WriteTimeout time.Duration
	// Handshakes is how many may be under way. Over a quarter of it, clients
	// have to show first that they are where they say (RFC 9000, 8.1.2).
	Handshakes int
	// Full says that there is no room for another connection.
	Full func() bool
}

// The bounds of what a client may send before it is read, and of its requests
// at a time.
const (
	streamWindow = 64 << 10
	connWindow   = 1 << 20
	maxStreams   = 100
)

// Server accepts the connections of one socket.
type Server struct {
	opt       Options
	socket    *Socket
	transport *quic.Transport
	listener  *quic.Listener
	shaking   atomic.Int64 // handshakes under way
}

// quietly keeps quic-go from writing to the process's log that the kernel bounds
// the buffers of its sockets, which is so on most machines.
var quietly = sync.OnceFunc(func() { _ = os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true") })

var errFull = errors.New("there is no room for another connection")

// Listen begins to accept. It takes the socket over. Nothing is accepted before
// the handshake has ended (0-RTT), for that can be sent again by others.
func Listen(socket *Socket, config *tls.Config, opt Options) (*Server, error) {
	quietly()
	s := &Server{opt: opt, socket: socket}
	s.transport = &quic.Transport{
		Conn: socket.UDPConn, ConnectionIDGenerator: socket, ConnContext: s.admit,
		VerifySourceAddress: func(net.Addr) bool { return s.shaking.Load() >= int64(opt.Handshakes/4) },
	}
	var err error
	s.listener, err = s.transport.Listen(http3.ConfigureTLSConfig(config), &quic.Config{
		HandshakeIdleTimeout: opt.HeaderTimeout / 2, // quic-go doubles it
		MaxIdleTimeout:       opt.IdleTimeout,
		MaxIncomingStreams:   maxStreams, InitialStreamReceiveWindow: streamWindow,
		MaxStreamReceiveWindow: connWindow, InitialConnectionReceiveWindow: connWindow / 2, MaxConnectionReceiveWindow: connWindow,
	})
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return s, nil
}

// shaken is the key of what ends that a connection's handshake is counted.
type shaken struct{}

func (s *Server) admit(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	if s.opt.Full() || s.shaking.Load() >= int64(s.opt.Handshakes) {
		return nil, errFull
	}
	s.shaking.Add(1)
	done := sync.OnceFunc(func() { s.shaking.Add(-1) })
	context.AfterFunc(ctx, done)
	return context.WithValue(ctx, shaken{}, done), nil
}

// Accept waits for a connection whose handshake has ended. An error means that
// there will be none.
func (s *Server) Accept() (*Conn, error) {
	conn, err := s.listener.Accept(context.Background())
	if err != nil {
		return nil, err
	}
	conn.Context().Value(shaken{}).(func())()
	c := &Conn{quic: conn, opt: &s.opt, ended: make(chan struct{})}
	return c, nil
}

// Leave accepts nothing more; connections go on.
func (s *Server) Leave() { _ = s.listener.Close() }

// Close ends everything.
func (s *Server) Close() {
	_ = s.transport.Close()
	_ = s.socket.Close()
}

// Conn is a client's connection.
type Conn struct {
	quic  *quic.Conn
	opt   *Options
	http  http3.Server
	ended chan struct{}
	leave sync.Once
}

// Serve hands on requests until the connection has ended, and all of them.
func (c *Conn) Serve(handle func(*Stream)) {
	defer close(c.ended)
	c.http.MaxHeaderBytes = c.opt.Limits.Head
	c.http.Logger = slog.New(slog.DiscardHandler) // it tells of clients' mistakes
	c.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		s := &Stream{opt: c.opt, w: w, control: http.NewResponseController(w), in: in}
		if s.begin() {
			handle(s)
		}
		if s.broken {
			panic(http.ErrAbortHandler) // what resets the stream
		}
	})
	_ = c.http.ServeQUICConn(c.quic) // however it ended
	c.Close()
}

// TLS is what the handshake agreed on.
func (c *Conn) TLS() tls.ConnectionState { return c.quic.ConnectionState().TLS }

// Peer is where the client was when it came.
func (c *Conn) Peer() netip.AddrPort { return addrPort(c.quic.RemoteAddr()) }

// Local is where it came to.
func (c *Conn) Local() netip.AddrPort { return addrPort(c.quic.LocalAddr()) }

func addrPort(addr net.Addr) netip.AddrPort {
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := udp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// Received is how many bytes have come so far.
func (c *Conn) Received() uint64 { return c.quic.ConnectionStats().BytesReceived }

// Drain tells the client to send no more requests here (RFC 9114, 5.2), and
// returns at once. The connection stays until it is closed.
func (c *Conn) Drain() {
	c.leave.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		go func() { // ends with the connection
			defer cancel()
			<-c.ended
		}()
		go func() { _ = c.http.Shutdown(ctx) }()
	})
}

// Close ends the connection at once.
func (c *Conn) Close() {
	_ = c.quic.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
}

// Refuse ends it for what the client did too much of (RFC 9114, 8.1).
func (c *Conn) Refuse() {
	_ = c.quic.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad), "")
}
