package balance_test

import (
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/balance"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestRetriesStayBelowTheirShareOfRequests(t *testing.T) {
	three := 3
	b := balance.After(nil, hosts(2), platform.Balance{RetryBudget: 10, Retries: &three}, nil, nil)
	saved := 0
	for b.Retry(0, true, false) {
		saved++
	}
	if saved != 250 {
		t.Errorf("%d were saved up", saved)
	}
	again := 0
	for range 1000 {
		b.Begin()
		for n := 0; b.Retry(n, true, false); n++ {
			again++
		}
	}
	if again != 100 {
		t.Errorf("%d of 1000 were sent again, want 100", again)
	}
	if !b.Retry(0, false, true) {
		t.Error("what was not sent may not be sent to another")
	}
	if b.Retry(3, false, false) {
		t.Error("a fourth time")
	}
}

func TestNothingIsSentAgainWhileTheAppShedsLoad(t *testing.T) {
	none := 0
	b := balance.After(nil, hosts(2), platform.Balance{Hedge: time.Millisecond}, nil, nil)
	if b.Retry(0, true, true) || b.Hedge(true) {
		t.Error("it is")
	}
	if off := balance.After(nil, hosts(2), platform.Balance{Retries: &none}, nil, nil); off.Retry(0, false, false) {
		t.Error("an app that wants none has some")
	}
}

func TestOnlySafeRequestsOfSeveralInstancesAreHedged(t *testing.T) {
	settings := platform.Balance{Hedge: 40 * time.Millisecond}
	two, one := balance.After(nil, hosts(2), settings, nil, nil), balance.After(nil, hosts(1), settings, nil, nil)
	for method, want := range map[string]time.Duration{"GET": 40 * time.Millisecond, "HEAD": 40 * time.Millisecond, "POST": 0, "PUT": 0} {
		if got := two.HedgeAfter(method); got != want {
			t.Errorf("%s: %s", method, got)
		}
	}
	if one.HedgeAfter("GET") != 0 {
		t.Error("there is no second one")
	}
	if !two.Hedge(false) || two.Counts(0).Hedges != 1 {
		t.Error("a hedge is not counted")
	}
}
