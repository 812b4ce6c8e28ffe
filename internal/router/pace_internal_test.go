package router

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"time"
)

func TestWhoIsBehindTheLeastRateForTheWholeGraceIsTooSlow(t *testing.T) {
	opt := &Options{MinRate: 100, RateGrace: 32 * time.Second}
	for _, c := range []struct {
		name   string
		rate   int           // bytes a second that it takes
		stops  time.Duration // when it ends to
		within time.Duration // 0: it is not
	}{
		{"takes nothing", 0, 0, 33 * time.Second},
		{"half the rate", 50, time.Hour, 65 * time.Second},
		{"the rate", 100, time.Hour, 0},
		{"ten times the rate and then nothing", 1000, 60 * time.Second, 93 * time.Second},
	} {
		var p pace
		began, cut := time.Minute, time.Duration(0)
		for passed := time.Second; passed < 10*time.Minute && cut == 0; passed += time.Second {
			taken := uint64(5000 + c.rate*int(min(passed, c.stops)/time.Second))
			if p.next(began, opt) <= began+passed && p.slow(began, began+passed, taken, opt) {
				cut = passed
			}
		}
		if cut > c.within+opt.RateGrace/looks || cut < c.within-opt.RateGrace/looks {
			t.Errorf("%s: cut after %v, want %v", c.name, cut, c.within)
		}
	}
}

// The kernel says that there is room only when half of what it holds has gone:
// what counts is what the client has taken.
func TestAWriteMayTakeAnyTimeForWhoTakesEnoughOfIt(t *testing.T) {
	r := New(slog.New(slog.DiscardHandler), Options{MinRate: 1})
	defer r.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_ = client.(*net.TCPConn).SetReadBuffer(64 << 10) // not what the machine has
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := r.inwardOf(conn, entrance{Door: r.metrics.Open(false)})
	ended := make(chan error, 1)
	go func() { ended <- c.put(make([]byte, 64<<20)) }()
	for c.writes.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	taken := func() (n uint64) {
		_ = withSocket(conn, func(fd int) { n = acknowledged(fd) })
		return n
	}
	now := time.Second
	c.look(now, 0)
	for range 4 * looks {
		before, piece := taken(), make([]byte, 64<<10)
		for taken() == before {
			if _, err := io.ReadFull(client, piece); err != nil {
				t.Fatal(err)
			}
		}
		now += r.opt.RateGrace - time.Second // as slow as it may be
		if c.look(now, 0); c.writes.Load() == cutOff {
			t.Fatal("it was cut off, and had taken enough")
		}
	}
	for still := taken(); ; still = taken() { // the kernel takes a little more for it
		now += r.opt.RateGrace
		if c.look(now, 0); taken() == still {
			break
		}
	}
	if err := <-ended; err == nil || !c.broken {
		t.Error("it was not cut off, and took nothing")
	}
}
