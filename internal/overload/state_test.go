package overload_test

import (
	"math"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/overload"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestAGateGoesOnWithWhatAnotherHasLearnt(t *testing.T) {
	set := overload.Settings{Mode: platform.OverloadOn, Limit: 1}
	before := overload.NewGate(set, 1)
	var now time.Duration
	in := false
	for n := 0; before.Snapshot(now).Cursor == overload.Lowest; n++ {
		if now += time.Millisecond; now > time.Minute {
			t.Fatal("ten times what it can do is no overload")
		}
		if n%10 == 0 && in {
			before.Release(now, 10*time.Millisecond, 10*time.Millisecond)
		}
		verdict, _ := before.Ask(now, overload.MakeLevel(overload.Class(n%overload.Classes), uint8(n%128)), &overload.Waiter{Ready: func(overload.Reason) { in = true }})
		in = in || verdict == overload.Go
	}
	state, rests := before.State()
	if rests {
		t.Fatal("a gate that turns requests away is at rest")
	}
	after := overload.NewGate(set, 1)
	after.Restore(0, state)
	if got, want := after.Snapshot(0).Cursor, before.Snapshot(now).Cursor; got != want {
		t.Errorf("it admits down to %s, want %s", got, want)
	}
	if again, _ := after.State(); again != state {
		t.Errorf("it knows %+v, want %+v", again, state)
	}
	if _, rests := overload.NewGate(set, 1).State(); !rests {
		t.Error("one that has seen nothing is not at rest")
	}
}

func TestALimitThatWasFoundOutHoldsForOtherNumbersOfInstances(t *testing.T) {
	g := overload.NewGate(overload.Settings{Mode: platform.OverloadOn}, 1)
	g.Instances(0, 3)
	g.Restore(0, overload.GateState{Level: overload.Lowest, Limit: 20, Full: true, Base: time.Millisecond})
	if got := g.Snapshot(0).Limit; got != 60 {
		t.Errorf("three instances have %d slots, want 60", got)
	}
}

func TestWhatCannotBeTrueOfAGateIsBounded(t *testing.T) {
	g := overload.NewGate(overload.Settings{Mode: platform.OverloadOn}, 1)
	for _, limit := range []float64{math.Inf(1), math.NaN(), -1, 1e300} {
		g.Restore(0, overload.GateState{Level: 32767, Cut: -5, Limit: limit, Hold: -1, Base: math.MaxInt64})
		if s := g.Snapshot(0); s.Cursor != overload.Lowest || s.Limit < 1 || s.Limit > 4096 {
			t.Errorf("with a limit of %v: %+v", limit, s)
		}
	}
}
