package balance_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slipway-paas/slipway/internal/balance"
	"github.com/slipway-paas/slipway/internal/platform"
)

func hosts(n int) []*balance.Host {
	all := make([]*balance.Host, n)
	for i := range all {
		all[i] = balance.NewHost(fmt.Sprint("i", i), 0)
	}
	return all
}

func all(int) bool { return true }

func noted(b *balance.Balancer, e balance.Entry, now time.Duration, r balance.Result) {
	b.Done(e, now, r, time.Millisecond)
}

// fail has host i come to the given end n times.
func end(t *testing.T, b *balance.Balancer, i, n int, now time.Duration, r balance.Result) {
	t.Helper()
	for range n {
		at, e, why := b.Pick(now, 1, func(j int) bool { return j == i })
		if why != balance.Picked || at != i {
			t.Fatalf("host %d was not to be had: %v", i, why)
		}
		noted(b, e, now, r)
	}
}

// share is how many of n picks each host gets, ended at once.
func share(b *balance.Balancer, now time.Duration, n int) []int {
	got := make([]int, len(b.Hosts()))
	for k := range n {
		i, e, why := b.Pick(now, uint64(k)*7919+uint64(now), all)
		if why == balance.Picked {
			got[i]++
			e.Undo()
		}
	}
	return got
}

func TestWhoMayServeAndHasRoomIsPickedOverNobodyWhateverHappened(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(t, "hosts")
		limit := rapid.IntRange(0, 3).Draw(t, "limit")
		slow := time.Duration(rapid.IntRange(0, 1).Draw(t, "slow")) * 20 * time.Second
		b := balance.After(nil, hosts(n), platform.Balance{MaxConcurrent: limit, SlowStart: slow}, nil, nil)
		var now time.Duration
		var open []balance.Entry
		may := make([]bool, n)
		for k := range rapid.IntRange(1, 120).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond
			if len(open) > 0 && rapid.Bool().Draw(t, "ends") {
				b.Done(open[0], now, balance.Result(rapid.IntRange(0, 3).Draw(t, "result")), time.Duration(k)*time.Millisecond)
				open = open[1:]
				continue
			}
			for i := range may {
				may[i] = rapid.IntRange(0, 3).Draw(t, "may") > 0
			}
			i, e, why := b.Pick(now, rapid.Uint64().Draw(t, "random"), func(i int) bool { return may[i] })
			room := false
			for j, h := range b.Hosts() {
				free := limit == 0 || h.Open() == 0
				room = room || may[j] && free
			}
			switch {
			case why == balance.Picked && (!may[i] || b.Hosts()[i] != e.Host()):
				t.Fatalf("picked %d, which may not serve", i)
			case why == balance.Picked && limit > 0 && e.Host().Open() > limit:
				t.Fatalf("%d are open to one that may have %d", e.Host().Open(), limit)
			case why != balance.Picked && room:
				t.Fatalf("nobody was picked (%v), and somebody may serve", why)
			case why == balance.Picked:
				open = append(open, e)
			}
		}
		for _, e := range open {
			b.Done(e, now, balance.Served, 0)
		}
		if c := b.Counts(now); c.Open != 0 || c.Out > n {
			t.Fatalf("after the last: %+v", c)
		}
	})
}

func TestAtMostHalfIsEjectedHoweverMuchFails(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(t, "hosts")
		b := balance.After(nil, hosts(n), platform.Balance{}, nil, nil)
		bad := rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "bad")
		var now time.Duration
		for k := range 400 {
			now += 20 * time.Millisecond
			i, e, _ := b.Pick(now, uint64(k), all)
			r := balance.Served
			if bad[i] {
				r = balance.Failed
			}
			noted(b, e, now, r)
			if out := b.Counts(now).Out; 2*out > n {
				t.Fatalf("%d of %d are ejected", out, n)
			}
		}
	})
}

func TestEqualHostsGetEqualShares(t *testing.T) {
	for _, n := range []int{2, 3, 5, 10, 100} {
		b := balance.After(nil, hosts(n), platform.Balance{}, nil, nil)
		for i, got := range share(b, time.Second, 1000*n) {
			if got < 850 || got > 1150 {
				t.Errorf("host %d of %d got %d of 1000", i, n, got)
			}
		}
	}
}

func TestOneThatHasLessOpenIsPicked(t *testing.T) {
	b := balance.After(nil, hosts(2), platform.Balance{}, nil, nil)
	for range 10 {
		b.Pick(0, 0, func(i int) bool { return i == 0 })
	}
	if got := share(b, 0, 1000); got[0] != 0 {
		t.Errorf("the busy one got %d", got[0])
	}
}

func TestOneThatAnswersSlowlyGetsLessAndIsNotForgotten(t *testing.T) {
	b := balance.After(nil, hosts(2), platform.Balance{}, nil, nil)
	for i, latency := range []time.Duration{time.Second, 2 * time.Millisecond} {
		_, e, _ := b.Pick(0, 0, func(j int) bool { return j == i })
		b.Done(e, 0, balance.Served, latency)
	}
	if got := share(b, time.Second, 1000); got[0] != 0 {
		t.Errorf("the slow one got %d where the other is idle", got[0])
	}
	if got := share(b, 2*time.Minute, 1000); got[0] < 400 {
		t.Errorf("the slow one got %d long after", got[0])
	}
}

func TestANewHostGetsATenthAtFirstAndItsWholeShareInTheEnd(t *testing.T) {
	old := hosts(4)
	grown := append(old[:3:3], balance.NewHost("new", 100*time.Second))
	b := balance.After(nil, grown, platform.Balance{SlowStart: 30 * time.Second}, nil, nil)
	var before int
	for _, at := range []struct {
		after    time.Duration
		min, max int
	}{{0, 20, 80}, {15 * time.Second, 120, 200}, {30 * time.Second, 220, 280}} {
		got := share(b, 100*time.Second+at.after, 1000)[3]
		if got < at.min || got > at.max || got < before {
			t.Errorf("after %s it got %d of 1000", at.after, got)
		}
		before = got
	}
}

func TestWhereAllAreNewNobodyIsHeldBack(t *testing.T) {
	b := balance.After(nil, hosts(3), platform.Balance{SlowStart: time.Minute}, nil, nil)
	for i, got := range share(b, 0, 3000) {
		if got < 850 || got > 1150 {
			t.Errorf("host %d got %d of 1000", i, got)
		}
	}
}

func TestTheBoundOfOneHostHoldsAndSaysThatItIsReached(t *testing.T) {
	b := balance.After(nil, hosts(2), platform.Balance{MaxConcurrent: 3}, nil, nil)
	var held []balance.Entry
	for range 6 {
		_, e, why := b.Pick(0, 5, all)
		if why != balance.Picked {
			t.Fatalf("refused with room: %v", why)
		}
		held = append(held, e)
	}
	if _, _, why := b.Pick(0, 5, all); why != balance.Full {
		t.Errorf("got %v, want full", why)
	}
	if _, _, why := b.Pick(0, 5, func(int) bool { return false }); why != balance.Nobody {
		t.Errorf("got %v, want nobody", why)
	}
	noted(b, held[0], 0, balance.Served)
	if _, _, why := b.Pick(0, 5, all); why != balance.Picked {
		t.Errorf("got %v after one ended", why)
	}
}

func TestAChangeOfThePoolKeepsWhatIsKnown(t *testing.T) {
	three := hosts(3)
	b := balance.After(nil, three, platform.Balance{}, nil, nil)
	end(t, b, 1, 5, time.Second, balance.Failed)
	if balance.After(b, three, platform.Balance{}, nil, nil) != b {
		t.Error("a change of nothing makes another")
	}
	next := balance.After(b, append(three[1:3:3], balance.NewHost("fresh", time.Second)), platform.Balance{}, nil, nil)
	if c := next.Counts(2 * time.Second); c.Out != 1 || c.Ejections != 1 {
		t.Errorf("forgot the ejection: %+v", c)
	}
}

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{1, 2, 10, 100} {
		for _, slow := range []time.Duration{0, 30 * time.Second} {
			b.Run(fmt.Sprintf("%d/slowstart=%s", n, slow), func(b *testing.B) {
				pool := balance.After(nil, hosts(n), platform.Balance{SlowStart: slow}, nil, nil)
				b.ReportAllocs()
				for k := range b.N {
					_, e, _ := pool.Pick(time.Minute, uint64(k), all)
					e.Undo()
				}
			})
		}
	}
}

func BenchmarkDone(b *testing.B) {
	pool := balance.After(nil, hosts(10), platform.Balance{}, nil, nil)
	b.ReportAllocs()
	for k := range b.N {
		_, e, _ := pool.Pick(time.Minute, uint64(k), all)
		pool.Done(e, time.Minute+time.Duration(k), balance.Served, time.Millisecond)
	}
}

func TestAPoolOfNobodyHasNobody(t *testing.T) {
	b := balance.After(nil, nil, platform.Balance{Sticky: balance.StickyClient}, nil, nil)
	if i, _, why := b.Pick(0, 1, all); why != balance.Nobody || i != -1 {
		t.Errorf("got %d, %v", i, why)
	}
	if b.Nearest(0, "10.0.0.1", all) != -1 || b.Named(nil) != -1 {
		t.Error("somebody is there")
	}
}
