package gitserver

import (
	"net"
	"sync/atomic"
	"syscall"
)

// promptConn acknowledges what it reads at once. OpenSSH's client sends its
// side of the handshake in small pieces and, by Nagle's algorithm, holds the
// next one until the last is acknowledged; the kernel would take 40 ms over
// that, twice a handshake.
type promptConn struct {
	net.Conn
	raw     syscall.RawConn // nil: not TCP
	settled atomic.Bool     // the handshake is over
}

func newPromptConn(conn net.Conn) *promptConn {
	p := &promptConn{Conn: conn}
	if tcp, ok := conn.(*net.TCPConn); ok {
		p.raw, _ = tcp.SyscallConn()
	}
	return p
}

func (p *promptConn) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if err == nil && p.raw != nil && !p.settled.Load() {
		p.raw.Control(acknowledge) //nolint:errcheck // only a matter of speed
	}
	return n, err
}
