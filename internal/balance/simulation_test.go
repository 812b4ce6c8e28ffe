package balance_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/balance"
	"github.com/slipway-paas/slipway/internal/platform"
)

// world is a discrete simulation: requests come at a rate, each host takes its
// own time for them.
type world struct {
	b        *balance.Balancer
	takes    func(i int, now time.Duration) (time.Duration, balance.Result)
	under    []ending
	got      []int
	failed   int
	attempts int
	latency  []time.Duration
	now      time.Duration
}

type ending struct {
	at, took time.Duration
	entry    balance.Entry
	result   balance.Result
	host     int
}

// settle ends what is over by now.
func (w *world) settle() {
	w.under = slices.DeleteFunc(w.under, func(e ending) bool {
		if e.at > w.now {
			return false
		}
		w.b.Done(e.entry, w.now, e.result, e.took)
		if e.result == balance.Served {
			w.latency = append(w.latency, e.took)
		}
		return true
	})
}

// ask sends one request, again to another where the first refuses.
func (w *world) ask(random uint64) {
	var tried []int
	for n := 0; ; n++ {
		w.attempts++
		i, e, why := w.b.Pick(w.now, random+uint64(n), func(i int) bool { return !slices.Contains(tried, i) })
		if why != balance.Picked {
			w.failed++
			return
		}
		w.got[i]++
		took, result := w.takes(i, w.now)
		if result != balance.Refused {
			w.under = append(w.under, ending{w.now + took, took, e, result, i})
			return
		}
		w.b.Done(e, w.now, balance.Refused, -1)
		tried = append(tried, i)
		if !w.b.Retry(n, false, false) {
			w.failed++
			return
		}
	}
}

func (w *world) run(length, every time.Duration) {
	rnd := rand.New(rand.NewPCG(1, 2))
	w.got = make([]int, len(w.b.Hosts()))
	for until := w.now + length; w.now < until; w.now += every {
		w.settle()
		w.b.Begin()
		w.ask(rnd.Uint64())
	}
}

func TestACrashOfOneOfTwoFailsNothingAndCostsOneTryASecond(t *testing.T) {
	w := &world{b: balance.After(nil, hosts(2), platform.Balance{}, nil, nil)}
	w.takes = func(i int, now time.Duration) (time.Duration, balance.Result) {
		if i == 0 && now >= 5*time.Second && now < 15*time.Second {
			return 0, balance.Refused
		}
		return 10 * time.Millisecond, balance.Served
	}
	w.run(5*time.Second, time.Millisecond)
	if w.got[0] < 2000 || w.got[1] < 2000 {
		t.Errorf("before the crash: %v", w.got)
	}
	w.run(10*time.Second, time.Millisecond)
	if w.failed != 0 || w.got[0] < 9 || w.got[0] > 11 {
		t.Errorf("during it %d failed, %v", w.failed, w.got)
	}
	w.run(2*time.Second, time.Millisecond) // within a second it is back
	w.run(5*time.Second, time.Millisecond)
	if w.failed != 0 || w.got[0] < 2000 {
		t.Errorf("after it %d failed, %v", w.failed, w.got)
	}
}

func TestASlowOneOfTwoGetsWhatItCanServe(t *testing.T) {
	w := &world{b: balance.After(nil, hosts(2), platform.Balance{}, nil, nil)}
	w.takes = func(i int, _ time.Duration) (time.Duration, balance.Result) {
		if i == 0 {
			return 200 * time.Millisecond, balance.Served
		}
		return 10 * time.Millisecond, balance.Served
	}
	w.run(30*time.Second, 2*time.Millisecond)
	slices.Sort(w.latency)
	if median := w.latency[len(w.latency)/2]; median != 10*time.Millisecond {
		t.Errorf("the median is %s", median)
	}
	if w.got[0] == 0 || 5*w.got[0] > w.got[1] {
		t.Errorf("the slow one got %v", w.got)
	}
}

func TestOneThatFailsAtOnceDrawsNoTraffic(t *testing.T) {
	w := &world{b: balance.After(nil, hosts(5), platform.Balance{}, nil, nil)}
	bad := 0
	w.takes = func(i int, now time.Duration) (time.Duration, balance.Result) {
		if i == 0 && now > time.Second {
			bad++
			return time.Microsecond, balance.Failed
		}
		return 20 * time.Millisecond, balance.Served
	}
	w.run(time.Minute, time.Millisecond)
	if bad > 20 {
		t.Errorf("%d of 60000 requests went to the one that fails", bad)
	}
}
