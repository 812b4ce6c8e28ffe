//go:build !race

// The race detector needs a larger stack.

package router

import (
	"crypto/tls"
	"log/slog"
	"net"
	"runtime"
	"runtime/debug"
	"testing"
	"unsafe"

	"github.com/slipway-paas/slipway/internal/platform"
)

// standing is a connection that notes where the stack is of who reads it.
type standing struct {
	net.Conn
	at []uintptr
}

func (s *standing) Read(p []byte) (int, error) {
	var here byte
	s.at = append(s.at, uintptr(unsafe.Pointer(&here)))
	return s.Conn.Read(p)
}

func TestAHandshakesStackIsLargeEnoughFromItsBeginning(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection makes stacks smaller
	runtime.GC()                                     // none is under way
	r := New(slog.New(slog.DiscardHandler), Options{})
	defer r.Close()
	cert := somePair(t)
	cert.Hosts = []string{"example.com"}
	r.SetCertificates([]platform.EdgeCertificate{cert}, nil)
	for _, client := range []*tls.Config{
		{CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}},
		{CurvePreferences: []tls.CurveID{tls.X25519}},
		{CurvePreferences: []tls.CurveID{tls.CurveP256}},
		{MaxVersion: tls.VersionTLS12},
	} {
		client.ServerName, client.InsecureSkipVerify = "example.com", true //nolint:gosec // it is no test of certificates
		near, far := net.Pipe()
		who := &standing{Conn: near}
		shaken := make(chan error)
		go func() { shaken <- r.handshake(near, tls.Server(newRecords(who, who, &r.slabs), r.listens)) }()
		go func() { _ = tls.Client(far, client).Handshake() }()
		if err := <-shaken; err != nil {
			t.Fatal(err)
		}
		first, last := who.at[0], who.at[len(who.at)-1]
		if moved := max(first, last) - min(first, last); len(who.at) < 2 || moved > 4<<10 {
			t.Errorf("%v, at most version %x: between its first read and its last (%d) the stack moved by %d", client.CurvePreferences, client.MaxVersion, len(who.at), moved)
		}
		_, _ = near.Close(), far.Close()
	}
}
