package main_test

import (
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-paas/slipway/internal/porttest"
)

// gate keeps whoever connects until it is opened.
type gate struct {
	listener net.Listener
	came     chan struct{}
	all      sync.WaitGroup
	held     []net.Conn // of keep, until it ended
}

// gateCommand makes processes wait for a fact instead of a span of time. They
// wait at the gate by "cat </dev/tcp/127.0.0.1/$GATE", in bash, and pass when
// it is not shut:
//
//	gate shut    from now on, at the same port each time
//	gate await   until somebody waits there
//	gate open    all pass
func gateCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: gate shut|await|open")
	}
	seat := ts.Value("gate").(*gateSeat)
	switch {
	case args[0] == "shut" && seat.gate == nil:
		seat.gate = shut(ts)
		ts.Defer(seat.open)
	case args[0] == "await" && seat.gate != nil:
		select {
		case <-seat.came:
		case <-time.After(patience):
			ts.Fatalf("nobody came to the gate")
		}
	case args[0] == "open" && seat.gate != nil:
		seat.open()
	default:
		ts.Fatalf("gate %s: it is no such gate", args[0])
	}
}

// gateSeat holds a script's present gate.
type gateSeat struct{ *gate }

func (s *gateSeat) open() {
	if s.gate != nil {
		s.close()
		s.gate = nil
	}
}

func shut(ts *testscript.TestScript) *gate {
	if ts.Getenv("GATE") == "" {
		port, err := porttest.Free(1)
		ts.Check(err)
		ts.Setenv("GATE", strconv.Itoa(port))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+ts.Getenv("GATE"))
	ts.Check(err)
	g := &gate{listener: listener, came: make(chan struct{}, 1)}
	g.all.Go(g.keep)
	return g
}

func (g *gate) keep() {
	for {
		conn, err := g.listener.Accept()
		if err != nil {
			return // it is open
		}
		g.held = append(g.held, conn)
		select {
		case g.came <- struct{}{}:
		default:
		}
	}
}

func (g *gate) close() {
	g.listener.Close()
	g.all.Wait()
	for _, conn := range g.held {
		conn.Close()
	}
}
