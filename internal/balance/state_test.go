package balance_test

import (
	"math"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/balance"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestWhatIsHeldAgainstAHostHoldsOnAnotherClock(t *testing.T) {
	before := balance.After(nil, hosts(3), platform.Balance{}, nil, nil)
	end(t, before, 0, 5, time.Hour, balance.Failed)
	end(t, before, 1, 1, time.Hour, balance.Refused)
	after := balance.After(nil, hosts(3), platform.Balance{}, nil, nil)
	for i, h := range before.Hosts() {
		after.Hosts()[i].Restore(time.Minute, h.State(time.Hour+500*time.Millisecond, 0))
	}
	for i, left := range []time.Duration{4500 * time.Millisecond, 500 * time.Millisecond} {
		if until, out := after.Hosts()[i].Out(time.Minute); !out || until != time.Minute+left {
			t.Errorf("host %d is passed over (%t) until %s", i, out, until)
		}
	}
	if _, out := after.Hosts()[2].Out(time.Minute); out {
		t.Error("the third one is passed over")
	}
	now := time.Minute + 4500*time.Millisecond
	end(t, after, 0, 1, now, balance.Failed) // the one that finds out
	if until, out := after.Hosts()[0].Out(now); !out || until != now+10*time.Second {
		t.Errorf("the second time it is passed over (%t) until %s", out, until)
	}
}

func TestAHostThatBeganLatelyGoesOnToStartSlowly(t *testing.T) {
	slow := platform.Balance{SlowStart: 10 * time.Second, MaxConcurrent: 10}
	room := func(age time.Duration) (n int) {
		was := balance.NewHost("a", 0)
		h := balance.NewHost("a", time.Hour)
		h.Restore(time.Hour, was.State(age, slow.SlowStart))
		b := balance.After(nil, []*balance.Host{h}, slow, nil, nil)
		for {
			if _, _, why := b.Pick(time.Hour, 1, func(int) bool { return true }); why != balance.Picked {
				return n
			}
			n++
		}
	}
	for age, want := range map[time.Duration]int{0: 1, 5 * time.Second: 5, time.Minute: 10} {
		if got := room(age); got != want {
			t.Errorf("one of %s has room for %d, want %d", age, got, want)
		}
	}
}

func TestWhatCannotBeTrueOfAHostIsBounded(t *testing.T) {
	h := balance.NewHost("a", 0)
	h.Restore(time.Minute, balance.HostState{Ejected: true, Left: math.MaxInt64, Times: math.MaxInt32, Row: math.MinInt32, Age: math.MinInt64})
	if until, out := h.Out(time.Minute); !out || until != 6*time.Minute {
		t.Errorf("it is passed over (%t) until %s", out, until)
	}
}
