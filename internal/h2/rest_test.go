package h2_test

import (
	"bufio"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/h2"
)

// awaiting is a connection that can wait without a buffer of h2's.
type awaiting struct {
	net.Conn
	in    *bufio.Reader
	of    *h2.Conn
	waits int // for a frame
	held  int // times that something was held meanwhile
}

func (a *awaiting) Read(p []byte) (int, error) { return a.in.Read(p) }

func (a *awaiting) Await() error {
	if a.waits++; a.of.Reads() {
		a.held++
	}
	_, err := a.in.Peek(1)
	return err
}

func TestAConnectionThatRestsHoldsNothingAndServesOn(t *testing.T) {
	ln := listen(t)
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a := &awaiting{Conn: nc, in: bufio.NewReader(nc)}
	quiet := make(chan bool, 10)
	a.of = h2.NewConn(a, h2.Options{Quiet: func(is bool) { quiet <- is }}, func(s *h2.Stream) {
		_ = s.Answer(&h1.Response{Status: 200}, h1.Back{Bodiless: true})
	})
	ended := make(chan error, 1)
	go func() { ended <- a.of.Serve() }()
	p := newPeer(t, client)
	_, _ = client.Write([]byte(http2.ClientPreface))
	_ = p.WriteSettings()
	for id := uint32(1); id < 7; id += 2 {
		block := p.fields(asGet...)
		half := len(block) / 2
		_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndStream: true, BlockFragment: block[:half]})
		_ = p.WriteContinuation(id, true, block[half:])
		if got := p.said(1); got[2:] != "200" {
			t.Fatalf("stream %d: %s", id, got)
		}
		for !<-quiet { // the answer is sent before its handler has returned
		}
		for a.of.Kept() > 0 { // goroutines end when they come to it
			a.of.Rest()
			time.Sleep(time.Millisecond)
		}
	}
	client.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if a.waits < 3 || a.held > 0 {
		t.Errorf("it waited %d times, and held what it reads by in %d", a.waits, a.held)
	}
}
