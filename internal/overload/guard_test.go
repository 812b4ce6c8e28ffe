package overload_test

import (
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/overload"
)

const tooLate = 2 * overload.DefaultLag

// rush has two apps ask in windows of a guard that is late, and returns how
// many of each and of which class came in, in the last one.
func rush(g *overload.Guard, lag time.Duration, windows, loud, quiet int) (in [2][4]int) {
	var shares [2]overload.Share
	for range windows {
		in = [2][4]int{}
		for i := range loud {
			class := overload.Class(i % 4)
			if g.Admit(&shares[0], 1, func() overload.Level { return overload.MakeLevel(class, uint8(i/4)) }) {
				in[0][class]++
			}
			if i < quiet && g.Admit(&shares[1], 1, func() overload.Level { return overload.Lowest }) {
				in[1][3]++
			}
		}
		g.Observe(lag)
	}
	return in
}

func TestARouterThatIsInTimeKeepsNobodyOut(t *testing.T) {
	g := overload.NewGuard(0)
	if in := rush(g, overload.DefaultLag/2, 50, 1000, 10); in[0][0]+in[0][1]+in[0][2]+in[0][3] != 1000 {
		t.Errorf("came in: %v", in)
	}
	if in := rush(g, tooLate, 2, 1000, 10); in[0][3] != 250 {
		t.Errorf("two late windows kept some out: %v", in)
	}
}

func TestARouterThatIsLateShedsTheLoudAppsLeastAndTheQuietAppNothing(t *testing.T) {
	g := overload.NewGuard(0)
	in := rush(g, tooLate, 15, 1000, 10)
	if in[1][3] != 10 {
		t.Errorf("of the quiet app's 10 requests %d came in", in[1][3])
	}
	if in[0][0] != 250 || in[0][3] > 0 {
		t.Errorf("of the loud app's classes came in: %v", in[0])
	}
	if seen := g.Snapshot(); !seen.Late || seen.Shed[overload.Background] == 0 || seen.Shed[overload.Critical] > 0 {
		t.Errorf("snapshot: %+v", seen)
	}
}

func TestAFloodThatIsNoLessForBeingTurnedAwayTakesNobodyWithIt(t *testing.T) {
	g, loud, quiet := overload.NewGuard(0), overload.Share{}, overload.Share{}
	critical := func() overload.Level { return overload.MakeLevel(overload.Critical, 100) }
	for window := range 100 {
		for i := range 1000 {
			_ = g.Admit(&loud, 1, func() overload.Level { return overload.Lowest }) // all are of one user
			if i%100 == 0 && !g.Admit(&loud, 1, critical) {
				t.Fatalf("window %d: a critical request of the loud app is turned away", window)
			}
			if i%100 == 0 && !g.Admit(&quiet, 1, func() overload.Level { return overload.Lowest }) {
				t.Fatalf("window %d: a request of the quiet app is turned away", window)
			}
		}
		lag := tooLate
		if window > 10 && window%3 == 2 {
			lag = overload.DefaultLag * 3 / 4
		}
		g.Observe(lag)
	}
	if g.Snapshot().Shed[overload.Background] == 0 {
		t.Error("nothing is turned away")
	}
}

func TestALateRouterCountsWhoAsksAlsoThoseItTurnsAway(t *testing.T) {
	g, share := overload.NewGuard(0), overload.Share{}
	ask := func() {
		for range 1000 {
			g.Admit(&share, 1, func() overload.Level { return overload.Lowest })
		}
	}
	if ask(); g.Asked() != 0 {
		t.Errorf("it is in time, and has counted %d", g.Asked())
	}
	for range 15 {
		g.Observe(tooLate)
		ask()
	}
	if n := g.Asked(); n != 1000 || g.Snapshot().Shed[overload.Background] == 0 {
		t.Errorf("counted: %d, turned away: %v", n, g.Snapshot().Shed)
	}
}

func TestAWindowOfFewRequestsSaysNothingOfTheirClasses(t *testing.T) {
	g, share := overload.NewGuard(0), overload.Share{}
	for i := range 1000 {
		class := overload.Background
		if i%20 == 0 {
			class = overload.Critical
		}
		in := g.Admit(&share, 1, func() overload.Level { return overload.MakeLevel(class, 100) })
		g.Observe(tooLate)
		switch {
		case !in && class == overload.Critical:
			t.Fatalf("request %d, a critical one, is turned away before lesser ones are", i)
		case !in:
			return
		}
	}
	t.Error("nothing is shed")
}

func TestWhenTheLagIsOverAllComeInAgain(t *testing.T) {
	g := overload.NewGuard(0)
	rush(g, tooLate, 15, 1000, 10)
	in := rush(g, 0, 20, 1000, 10) // two seconds
	if in[0] != [4]int{250, 250, 250, 250} || g.Snapshot().Late {
		t.Errorf("came in: %v, late: %v", in[0], g.Snapshot().Late)
	}
}

func TestWhenTheLagIsOverTheRequestsOfOneUserComeInAgain(t *testing.T) {
	g, share := overload.NewGuard(0), overload.Share{}
	ask := func(lag time.Duration) (in int) {
		for range 5000 {
			if g.Admit(&share, 1, func() overload.Level { return overload.Lowest }) {
				in++
			}
		}
		g.Observe(lag)
		return in
	}
	for range 40 {
		ask(tooLate)
	}
	if in := ask(tooLate); in > 0 {
		t.Fatalf("%d come in while it is late", in)
	}
	for range 8 { // two seconds of a router
		ask(0)
	}
	if in := ask(0); in != 5000 {
		t.Errorf("%d come in", in)
	}
}

func TestTheRuntimeTellsHowLateItRuns(t *testing.T) {
	var lag overload.Lag
	if first := lag.Read(); first != 0 {
		t.Errorf("before anything was measured: %v", first)
	}
	done := make(chan bool)
	for range 1000 {
		go func() { done <- true }()
	}
	for range 1000 {
		<-done
	}
	if late := lag.Read(); late < 0 || late > time.Minute {
		t.Errorf("a thousand goroutines were %v late", late)
	}
}

func TestTheRuntimeTellsHowLateThoseRunWhoSeldomDo(t *testing.T) {
	const few = 3 // of which not one in eight may be counted: it is asked until some are
	var lag overload.Lag
	for unknown := 0; ; {
		lag.Read()
		done := make(chan bool)
		for range few {
			go func() { done <- true }()
		}
		for range few {
			<-done
		}
		if late := lag.Read(); late == overload.Unknown {
			unknown++
		} else if unknown > 0 {
			return // it was not known at first, and is after a while
		}
	}
}

func BenchmarkGuardThatIsInTime(b *testing.B) {
	g, share := overload.NewGuard(0), overload.Share{}
	for b.Loop() {
		g.Admit(&share, 1, nil)
	}
}
