package h3

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/quic-go/quic-go"
	"golang.org/x/sys/unix"
)

// Socket is a UDP port that one process after another serves. Only the process
// that began a connection has its keys, so each marks the identifiers of its
// connections (RFC 9000, 5.1), and who opens the port last tells the kernel to
// leave to the one before what does not have its own mark. Two may have it open
// at a time; of three, the one in the middle loses its connections.
type Socket struct {
	*net.UDPConn
	mark uint32
}

// Identifiers of connections are family, mark and chance.
const (
	family     = 0x5157 // tells ours from those that clients begin with
	identifier = 2 + 4 + 6
)

// Open opens the port, also beside another process of the same user that did.
func Open(address string) (*Socket, error) {
	var mark [4]byte
	_, _ = rand.Read(mark[:]) // never fails
	s := &Socket{mark: binary.BigEndian.Uint32(mark[:])}
	shared := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return control(raw, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
	}}
	conn, err := shared.ListenPacket(context.Background(), "udp", address)
	if err != nil {
		return nil, err
	}
	s.UDPConn = conn.(*net.UDPConn)
	raw, err := s.SyscallConn()
	if err == nil {
		err = control(raw, s.steer)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("share UDP %s with a successor: %w", address, err), s.Close())
	}
	return s, nil
}

func control(raw syscall.RawConn, f func(fd int) error) (err error) {
	outer := raw.Control(func(fd uintptr) { err = f(int(fd)) })
	return errors.Join(outer, err)
}

// steer has the kernel pick the socket for each packet by the mark in it (RFC
// 9000, 17): ours is the second that has the port open, or the only one, and
// then its place is not looked at. What begins a connection is ours.
func (s *Socket) steer(fd int) error {
	const (
		load8, load16, load32 = unix.BPF_LD | unix.BPF_ABS | unix.BPF_B, unix.BPF_LD | unix.BPF_ABS | unix.BPF_H, unix.BPF_LD | unix.BPF_ABS | unix.BPF_W
		isSet, equals, place  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	)
	program := []unix.SockFilter{
		{Code: load8, K: 0},
		{Code: isSet, K: 0x80, Jt: 2},           // a long header
		{Code: load32, K: 1 + 2},                // the mark
		{Code: equals, K: s.mark, Jt: 5, Jf: 4}, // ours, or not
		{Code: load16, K: 6},                    // the family
		{Code: equals, K: family, Jf: 3},        // else the client's own: it begins
		{Code: load32, K: 6 + 2},                // the mark
		{Code: equals, K: s.mark, Jt: 1},        // ours
		{Code: place, K: 0},                     // the one before
		{Code: place, K: 1},                     // we
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}) //nolint:gosec // they are ten
}

// GenerateConnectionID makes an identifier with our mark.
func (s *Socket) GenerateConnectionID() (quic.ConnectionID, error) {
	id := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, family), s.mark)
	id = append(id, make([]byte, identifier-len(id))...)
	_, _ = rand.Read(id[2+4:]) // never fails
	return quic.ConnectionIDFromBytes(id), nil
}

// ConnectionIDLen is how long they are.
func (s *Socket) ConnectionIDLen() int { return identifier }
