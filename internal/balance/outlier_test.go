package balance_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/balance"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestOneThatRefusesIsPassedOverForASecondAndThenTriedByOneRequest(t *testing.T) {
	b := balance.After(nil, hosts(2), platform.Balance{}, nil, nil)
	end(t, b, 0, 1, 0, balance.Refused)
	if got := share(b, 999*time.Millisecond, 100); got[0] != 0 {
		t.Errorf("within the second it got %d", got[0])
	}
	tried := 0
	var probe balance.Entry
	for k := range 100 {
		i, e, _ := b.Pick(time.Second, uint64(k), all)
		if i == 0 {
			tried++
			probe = e
		}
	}
	if tried != 1 {
		t.Fatalf("%d requests found out at a time", tried)
	}
	noted(b, probe, time.Second, balance.Refused)
	if got := share(b, 1900*time.Millisecond, 100); got[0] != 0 {
		t.Errorf("after a second refusal it got %d", got[0])
	}
	end(t, b, 0, 1, 2*time.Second, balance.Served)
	if _, out := b.Hosts()[0].Out(2 * time.Second); out {
		t.Error("it serves, and is passed over")
	}
}

func TestWhereAllRefuseAllAreTried(t *testing.T) {
	b := balance.After(nil, hosts(2), platform.Balance{}, nil, nil)
	end(t, b, 0, 1, 0, balance.Refused)
	end(t, b, 1, 1, 0, balance.Refused)
	if got := share(b, 0, 100); got[0] == 0 || got[1] == 0 {
		t.Errorf("got %v", got)
	}
}

func TestFiveFailuresInARowEjectForLongerEachTime(t *testing.T) {
	b := balance.After(nil, hosts(3), platform.Balance{}, nil, nil)
	end(t, b, 2, 4, 0, balance.Failed)
	end(t, b, 2, 1, 0, balance.Served)
	end(t, b, 2, 4, 0, balance.Failed)
	if _, out := b.Hosts()[2].Out(0); out {
		t.Fatal("four in a row ejected")
	}
	end(t, b, 2, 1, 0, balance.Failed)
	var now time.Duration
	for _, want := range []time.Duration{5, 10, 15} {
		until, out := b.Hosts()[2].Out(now)
		if !out || until != now+want*time.Second {
			t.Fatalf("passed over (%t) until %s from %s on, want %d s", out, until, now, want)
		}
		if got := share(b, until-1, 300); got[2] != 0 {
			t.Errorf("the ejected one got %d", got[2])
		}
		now = until
		end(t, b, 2, 1, now, balance.Failed) // the one that finds out
	}
}

func TestNoEjectionLastsLongerThanFiveMinutes(t *testing.T) {
	b := balance.After(nil, hosts(3), platform.Balance{}, nil, nil)
	end(t, b, 2, 5, 0, balance.Failed)
	longest := time.Duration(0)
	for range 80 {
		now, _ := b.Hosts()[2].Out(0)
		end(t, b, 2, 1, now, balance.Failed)
		until, _ := b.Hosts()[2].Out(now)
		longest = max(longest, until-now)
	}
	if longest != 300*time.Second {
		t.Errorf("the longest took %s", longest)
	}
}

func TestWhatFailsEverywhereEjectsNobody(t *testing.T) {
	b := balance.After(nil, hosts(4), platform.Balance{}, nil, nil)
	for range 5 {
		for i := range 4 {
			end(t, b, i, 1, 0, balance.Failed)
		}
	}
	if c := b.Counts(0); c.Out != 0 {
		t.Errorf("%d are out for what the app does", c.Out)
	}
}

func TestASuccessRateFarBelowTheOthersEjects(t *testing.T) {
	b := balance.After(nil, hosts(6), platform.Balance{}, nil, nil)
	end(t, b, 0, 1, 0, balance.Served) // begins the interval
	for i := range 6 {
		end(t, b, i, 120, time.Second, balance.Served)
	}
	for range 20 {
		end(t, b, 3, 3, time.Second, balance.Failed)
		end(t, b, 3, 1, time.Second, balance.Served)
	}
	end(t, b, 0, 1, 11*time.Second, balance.Served)
	for i, h := range b.Hosts() {
		if _, out := h.Out(12 * time.Second); out != (i == 3) {
			t.Errorf("host %d out: %t", i, out)
		}
	}
}

func TestFourHostsAreTooFewToHoldSuccessRatesAgainstEachOther(t *testing.T) {
	b := balance.After(nil, hosts(4), platform.Balance{}, nil, nil)
	end(t, b, 0, 1, 0, balance.Served)
	for i := range 4 {
		end(t, b, i, 120, time.Second, balance.Served)
	}
	for range 20 {
		end(t, b, 3, 3, time.Second, balance.Failed)
		end(t, b, 3, 1, time.Second, balance.Served)
	}
	end(t, b, 0, 1, 11*time.Second, balance.Served)
	if c := b.Counts(11 * time.Second); c.Out != 0 {
		t.Errorf("%d are out", c.Out)
	}
}

func TestBelowHalfOfThePoolEjectionsCountForNothing(t *testing.T) {
	b := balance.After(nil, hosts(4), platform.Balance{}, nil, nil)
	for i := range 4 {
		end(t, b, i, 10, 0, balance.Served)
	}
	end(t, b, 0, 5, 0, balance.Failed)
	end(t, b, 1, 5, 0, balance.Failed)
	three := func(i int) bool { return i < 3 } // an active check fails the fourth
	got := make([]int, 4)
	for k := range 600 {
		i, e, _ := b.Pick(time.Second, uint64(k), three)
		got[i]++
		e.Undo()
	}
	if got[0] < 50 || got[1] < 50 || got[3] != 0 {
		t.Errorf("one sound host of three that are up, and the shares are %v", got)
	}
}

func TestAnOutlierByLatencyHasHalfItsWeightUntilItIsNoneAnyMore(t *testing.T) {
	b := balance.After(nil, hosts(3), platform.Balance{}, nil, nil)
	gather := func(now, slow time.Duration) {
		for i := range 3 {
			for range 30 {
				_, e, _ := b.Pick(now, 1, func(j int) bool { return i == j })
				latency := 2 * time.Millisecond
				if i == 0 {
					latency = slow
				}
				b.Done(e, now, balance.Served, latency)
			}
		}
	}
	gather(0, 50*time.Millisecond)
	gather(11*time.Second, 50*time.Millisecond)
	got := share(b, 10*time.Minute, 3000) // when the EWMA is forgotten
	if got[0] < 300 || got[0] > 750 {
		t.Errorf("the outlier got %v", got)
	}
	gather(22*time.Second, 2*time.Millisecond)
	gather(33*time.Second, 2*time.Millisecond)
	if got := share(b, 10*time.Minute, 3000); got[0] < 850 {
		t.Errorf("who has recovered got %v", got)
	}
}

func TestOneThatStartedAgainIsHeldNothingAgainst(t *testing.T) {
	b := balance.After(nil, hosts(2), platform.Balance{}, nil, nil)
	end(t, b, 0, 5, 0, balance.Failed)
	b.Hosts()[0].Revive(time.Second)
	if got := share(b, time.Second, 1000); got[0] < 400 {
		t.Errorf("got %v", got)
	}
}

func TestAClientThatLeavesProvesNothing(t *testing.T) {
	b := balance.After(nil, hosts(2), platform.Balance{}, nil, nil)
	end(t, b, 0, 1, 0, balance.Refused)
	end(t, b, 0, 1, 2*time.Second, balance.Unknown)
	got := 0
	for k := range 50 {
		if i, _, _ := b.Pick(2*time.Second, uint64(k), all); i == 0 {
			got++
		}
	}
	if got != 1 {
		t.Errorf("%d found out at a time", got)
	}
}

func TestAnAnswerThatGoesOnForLongHasProvedEnoughByItsBeginning(t *testing.T) {
	b := balance.After(nil, hosts(2), platform.Balance{}, nil, nil)
	end(t, b, 0, 1, 0, balance.Refused)
	_, e, _ := b.Pick(2*time.Second, 1, func(i int) bool { return i == 0 })
	b.Answered(&e, 2*time.Second, balance.Served, time.Millisecond)
	if got := share(b, 2*time.Second, 1000); got[0]+got[1] != 1000 || got[1] == 0 {
		t.Errorf("got %v", got)
	}
	noted(b, e, time.Hour, balance.Served)
	if got := share(b, time.Hour, 1000); got[0] < 400 {
		t.Errorf("it answers, and gets %v", got)
	}
	if c := b.Counts(time.Hour); c.Open != 0 || c.Out != 0 {
		t.Errorf("got %+v", c)
	}
}

func TestWhoIsPassedOverIsToldOnce(t *testing.T) {
	var told []string
	b := balance.After(nil, hosts(3), platform.Balance{}, nil, func(h *balance.Host, until time.Duration, refused bool) {
		told = append(told, fmt.Sprint(h.ID(), " ", until, " ", refused))
	})
	end(t, b, 0, 1, 0, balance.Refused)
	end(t, b, 0, 1, 2*time.Second, balance.Refused) // as before
	end(t, b, 1, 5, 3*time.Second, balance.Failed)
	if want := []string{"i0 1s true", "i1 8s false"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
