package overload_test

import (
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/overload"
)

const ms = time.Millisecond

// flood has n come in a window of 250 ms and returns how many of them have their
// turn in it.
func flood(p *overload.Pace, window, n int) (now int) {
	start := time.Duration(window) * 250 * ms
	for i := range n {
		at := start + time.Duration(i)*250*ms/time.Duration(n)
		if wait, ok := p.Turn(at); ok && at+wait < start+250*ms {
			now++
		}
	}
	return now
}

func TestHandshakesComeAsTheyComeWhileTheRouterIsInTime(t *testing.T) {
	var p overload.Pace
	for window := range 10 {
		if n := flood(&p, window, 1000); n != 1000 {
			t.Fatalf("window %d: %d of 1000", window, n)
		}
		p.Observe(time.Duration(window+1)*250*ms, false)
	}
}

func TestALateRouterSlowsHandshakesUntilItIsNotTheyWhoMakeItLate(t *testing.T) {
	var p overload.Pace
	last := 1000
	for window := range 12 {
		n := flood(&p, window, 1000)
		if window > 0 && n > last {
			t.Errorf("window %d: %d, after %d", window, n, last)
		}
		helps := p.Observe(time.Duration(window+1)*250*ms, true)
		if first, end := window == 0, window == 11; first && !helps || end && helps {
			t.Errorf("window %d: whether it helps to slow them: %v", window, helps)
		}
		last = n
	}
	if last > 51 {
		t.Errorf("%d in the last window", last)
	}
	for window := 12; p.Slowed(); window++ { // the flood is over
		if window > 60 {
			t.Fatal("they are slowed for good")
		}
		p.Observe(time.Duration(window+1)*250*ms, false)
	}
	if n := flood(&p, 100, 1000); n != 1000 {
		t.Errorf("after it: %d of 1000", n)
	}
}

func TestWhoWouldWaitTooLongIsTurnedAwayAtOnce(t *testing.T) {
	var p overload.Pace
	flood(&p, 0, 100)
	p.Observe(250*ms, true)
	for range 1000 {
		if wait, ok := p.Turn(251 * ms); !ok {
			return
		} else if wait > 3*time.Second {
			t.Fatalf("one is to wait %v", wait)
		}
	}
	t.Error("a thousand wait")
}

func TestFewHandshakesAreNotWhatMakesARouterLate(t *testing.T) {
	var p overload.Pace
	flood(&p, 0, 3)
	if p.Observe(250*ms, true) || p.Slowed() {
		t.Error("three were slowed")
	}
}

func TestOneLoudAppOfTwentyIsKeptOutAndTheOthersLoseNothing(t *testing.T) {
	const can = 800 // in a window, until the router is late
	g := overload.NewGuard(0)
	var shares [20]overload.Share
	total := 0
	for window := range 40 {
		var in [20]int
		total = 0
		for i := range 2100 { // the first asks for ninety times as much as each other
			app := max(i%105-85, 0)
			if g.Admit(&shares[app], 1, func() overload.Level { return overload.MakeLevel(overload.Class(i%4), uint8(i)) }) {
				in[app]++
				total++
			}
		}
		var lag time.Duration
		if total > can {
			lag = tooLate
		}
		g.Observe(lag)
		for app, n := range in[1:] {
			if n < 20 {
				t.Fatalf("window %d: of the 20 requests of app %d %d came in", window, app+1, n)
			}
		}
	}
	if total > 2*can {
		t.Errorf("in the end %d come in", total)
	}
}
