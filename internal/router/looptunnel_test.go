package router_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"github.com/slipway-paas/slipway/internal/router"
)

func TestATunnelCarriesAllOfBothDirectionsAtWhateverPace(t *testing.T) {
	const size = 16 << 20
	e := serve(t, router.Options{Loops: 1})
	sums := make(chan [32]byte, 1)
	down := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(down)
	e.SetRoute("blog", route("blog", 1, backend(t, tunnel(func(conn net.Conn, rw *bufio.ReadWriter) {
		var writes sync.WaitGroup
		defer writes.Wait()
		writes.Go(func() {
			_, _ = conn.Write(down) // while nobody reads it yet
			_ = conn.(*net.TCPConn).CloseWrite()
		})
		all, err := io.ReadAll(rw)
		if err != nil {
			t.Errorf("the app got %d bytes, then %v", len(all), err)
		}
		sums <- sha256.Sum256(all)
	}))))
	conn, rd := e.openTunnel("blog.test")
	up := make([]byte, size)
	rand.NewChaCha8([32]byte{2}).Read(up)
	if _, err := conn.Write(up); err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	if got := <-sums; got != sha256.Sum256(up) {
		t.Error("the app got something else than the client sent")
	}
	if got, err := io.ReadAll(rd); err != nil || !bytes.Equal(got, down) {
		t.Errorf("the client got %d bytes that the app did not send, %v", len(got), err)
	}
}

func TestAnIdleTunnelHoldsNoBufferAndNoGoroutine(t *testing.T) {
	e := serve(t, router.Options{Loops: 1})
	e.SetRoute("blog", route("blog", 1, backend(t, tunnel(func(_ net.Conn, rw *bufio.ReadWriter) {
		_, _ = io.Copy(rw, rw)
	}))))
	const many = 20
	for range many {
		conn, rd := e.openTunnel("blog.test")
		_, _ = io.WriteString(conn, "hello")
		got := make([]byte, 5)
		if _, err := io.ReadFull(rd, got); err != nil || string(got) != "hello" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if tunnels, buffers := e.Joints(); tunnels != many || buffers != 0 {
		t.Errorf("the loops have %d tunnels with %d buffers, want %d and 0", tunnels, buffers, many)
	}
}
