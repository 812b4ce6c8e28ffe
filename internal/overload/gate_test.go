package overload_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/overload"
	"github.com/slipway-paas/slipway/internal/platform"
)

func on(limit int) *overload.Gate {
	return overload.NewGate(overload.Settings{Mode: platform.OverloadOn, Limit: limit}, 1)
}

// asked is a request at a gate that is short.
type asked struct {
	w       overload.Waiter
	verdict overload.Verdict
	why     overload.Reason
	called  int
}

func ask(g *overload.Gate, now time.Duration, level overload.Level) *asked {
	a := &asked{}
	a.w.Ready = func(why overload.Reason) { a.called, a.why = a.called+1, why }
	a.verdict, a.why = g.Ask(now, level, &a.w)
	return a
}

func levelOf(class overload.Class) overload.Level { return overload.MakeLevel(class, 7) }

func TestASlotPassesToTheBestClassAndInItToWhoCameFirst(t *testing.T) {
	g := on(1)
	ask(g, 0, levelOf(overload.Normal))
	bulk := ask(g, 1, levelOf(overload.Bulk))
	first := ask(g, 2, levelOf(overload.Critical))
	second := ask(g, 3, levelOf(overload.Critical))
	for i, want := range []*asked{first, second, bulk} {
		if want.verdict != overload.Wait || want.called != 0 {
			t.Fatalf("request %d: %v, called %d times before its turn", i, want.verdict, want.called)
		}
		g.Release(time.Duration(10+i), 5, 5)
		if want.called != 1 || want.why != overload.None {
			t.Fatalf("request %d was called %d times, %v", i, want.called, want.why)
		}
	}
}

func TestAQueueThatNotAllLiveToSeeTheEndOfServesTheBestUsersFirst(t *testing.T) {
	user := func(u uint8) overload.Level { return overload.MakeLevel(overload.Normal, u) }
	g := on(1)
	ask(g, 0, user(0))
	worst := ask(g, 1, user(100))
	best := ask(g, 2, user(1))
	g.Release(10*time.Millisecond, 10*time.Millisecond, 10*time.Millisecond)
	if worst.called != 1 || best.called != 0 {
		t.Fatal("in a short queue who came first is served first")
	}
	for range 200 {
		ask(g, 11*time.Millisecond, user(50))
	}
	g.Release(12*time.Millisecond, 10*time.Millisecond, 10*time.Millisecond)
	if best.called != 1 {
		t.Fatal("in a long one it is the best")
	}
}

func TestWhoLeavesTheQueueIsNotCalledAndHoldsUpNobody(t *testing.T) {
	g := on(1)
	ask(g, 0, levelOf(overload.Normal))
	gone, next := ask(g, 1, levelOf(overload.Normal)), ask(g, 2, levelOf(overload.Normal))
	if !g.Leave(&gone.w) || g.Leave(&gone.w) {
		t.Fatal("a waiter leaves once")
	}
	g.Release(3, 1, 1)
	if gone.called != 0 || next.called != 1 {
		t.Fatalf("who left was called %d times, who came next %d", gone.called, next.called)
	}
	if g.Leave(&next.w) {
		t.Fatal("who has a slot was taken out of the queue")
	}
}

func TestAFullQueueGivesUpItsNewestOfTheLeastClassForABetterOne(t *testing.T) {
	g := on(1)
	ask(g, 0, levelOf(overload.Normal))
	var queued []*asked
	for {
		a := ask(g, 1, levelOf(overload.Bulk))
		if a.verdict == overload.Shed {
			if a.why != overload.Full {
				t.Fatalf("shed by %v", a.why)
			}
			break
		}
		queued = append(queued, a)
	}
	if better := ask(g, 2, levelOf(overload.Normal)); better.verdict != overload.Wait {
		t.Fatalf("a better one: %v", better.verdict)
	}
	last := queued[len(queued)-1]
	if last.called != 1 || last.why != overload.Evicted || queued[0].called != 0 {
		t.Fatalf("the newest: called %d, %v; the oldest: called %d", last.called, last.why, queued[0].called)
	}
}

func TestAnAppThatHangsSendsEverybodyHomeInTime(t *testing.T) {
	g := on(2)
	for range 2 {
		ask(g, 0, levelOf(overload.Normal))
	}
	waits := ask(g, 0, levelOf(overload.Critical))
	g.Tick(4 * time.Second)
	if waits.called != 0 {
		t.Fatal("it was called though its time is not over")
	}
	g.Tick(6 * time.Second)
	if waits.called != 1 || waits.why != overload.Late {
		t.Fatalf("called %d times, %v", waits.called, waits.why)
	}
}

func TestTheAppsOwnLevelCountsForASecond(t *testing.T) {
	g := on(8)
	g.Told(0, levelOf(overload.Normal))
	if a := ask(g, 10, levelOf(overload.Bulk)); a.verdict != overload.Shed || a.why != overload.ByApp {
		t.Fatalf("a lower level: %v %v", a.verdict, a.why)
	}
	if a := ask(g, 10, levelOf(overload.Normal)); a.verdict != overload.Go {
		t.Fatalf("the level itself: %v", a.verdict)
	}
	if a := ask(g, time.Second, levelOf(overload.Bulk)); a.verdict != overload.Go {
		t.Fatalf("a second later: %v", a.verdict)
	}
}

func TestObserveLetsEverybodyThroughAndCountsWhoWouldNotBe(t *testing.T) {
	s := newSim(1, surge(4), 15*time.Second)
	o := newOurs(s, workers, platform.OverloadObserve)
	s.run(o)
	seen := o.gate.Snapshot(s.now)
	if n := sum(seen.Shed); n != 0 || s.shed != [4]int{} {
		t.Fatalf("%d were shed", n)
	}
	if would := seen.Would[overload.Background][overload.ByLevel] + seen.Would[overload.Background][overload.Full]; would < 1000 {
		t.Fatalf("of four times the capacity %d would have been shed of the background", would)
	}
	calm := newSim(1, steady(0.5), 15*time.Second)
	o = newOurs(calm, workers, platform.OverloadObserve)
	calm.run(o)
	if n := sum(o.gate.Snapshot(calm.now).Would); n != 0 {
		t.Fatalf("of half the capacity %d would have been shed", n)
	}
}

func TestAGateThatIsSwitchedOffLetsGoWhoWaits(t *testing.T) {
	g := on(1)
	ask(g, 0, levelOf(overload.Normal))
	waits := ask(g, 1, levelOf(overload.Background))
	g.Set(2, overload.Settings{})
	if waits.called != 1 || waits.why != overload.None {
		t.Fatalf("called %d times, %v", waits.called, waits.why)
	}
	for range 10 {
		if !g.Enter(3) {
			t.Fatal("a gate that is off kept somebody out")
		}
	}
}

func TestMoreInstancesMeanMoreSlotsAtOnce(t *testing.T) {
	g := on(1)
	ask(g, 0, levelOf(overload.Normal))
	waits := ask(g, 1, levelOf(overload.Normal))
	g.Instances(2, 2)
	if waits.called != 1 || waits.why != overload.None {
		t.Fatalf("called %d times, %v", waits.called, waits.why)
	}
	if n := g.Snapshot(3).Limit; n != 2 {
		t.Fatalf("limit %d", n)
	}
}

func TestThoseTurnedAwayAreNotAllAskedBackAtTheSameTime(t *testing.T) {
	g := on(1)
	seen := map[int]bool{}
	for range 200 {
		after := g.RetryAfter(levelOf(overload.Background))
		if after < 1 || after > 9 {
			t.Fatalf("Retry-After of %d seconds", after)
		}
		seen[after] = true
	}
	if len(seen) < 5 {
		t.Fatalf("all come back after one of %v seconds", seen)
	}
}

func TestABurstOnAnIdleAppWaitsAndIsServedWhole(t *testing.T) {
	g := on(4)
	const page = 60
	served, now := 0, time.Duration(0)
	var open []func()
	for range page {
		w := &overload.Waiter{Ready: func(why overload.Reason) {
			if why != overload.None {
				t.Errorf("one of a page's requests was turned away: %v", why)
			}
			open = append(open, func() {})
		}}
		if g.Enter(now) {
			open = append(open, func() {})
		} else if verdict, why := g.Ask(now, levelOf(overload.Normal), w); verdict == overload.Go {
			open = append(open, func() {})
		} else if verdict == overload.Shed {
			t.Fatalf("one of a page's requests was turned away: %v", why)
		}
	}
	for len(open) > 0 { // each takes 150 ms
		now += 150 * time.Millisecond
		n := len(open)
		open = nil
		for range n {
			served++
			g.Release(now, 150*time.Millisecond, 150*time.Millisecond)
		}
	}
	if served != page {
		t.Fatalf("%d of %d were served", served, page)
	}
}

func TestAnAppThatBecomesSlowForAnotherReasonIsNotShed(t *testing.T) {
	for _, times := range []float64{2, 3, 5, 10} {
		shed, all := 0, 0
		for seed := range uint64(12) {
			s := newSim(seed, steady(0.8), 40*time.Second)
			s.workers = 10_000 // as many as come, each waiting for a database
			s.slow = func(now time.Duration) float64 {
				if now > 10*time.Second {
					return times
				}
				return 1
			}
			s.run(newOurs(s, 0, platform.OverloadOn))
			for class := range s.shed {
				shed, all = shed+s.shed[class], all+s.offered[class]
			}
		}
		if t.Logf("%v times slower: %d of %d", times, shed, all); shed > all/100 {
			t.Errorf("%v times slower: %d of %d were kept from an app that was slow, not full", times, shed, all)
		}
	}
}

func sum(counts overload.Counts) uint64 { return counts.Total() }

func TestALimitThatIsFoundOutGrowsWithWhatTheAppCanDo(t *testing.T) {
	s := newSim(2, surge(11), 15*time.Second) // of what 8 workers could do; this app has 150
	s.workers = 150
	o := newOurs(s, 0, platform.OverloadOn)
	s.run(o)
	shed, all := 0, 0
	for class := range s.shed {
		shed, all = shed+s.shed[class], all+s.offered[class]
	}
	if shed > all/50 {
		t.Errorf("%d of %d were kept from an app with room, limit %d", shed, all, o.gate.Snapshot(s.now).Limit)
	}
}

func TestSlotsAreNeitherLostNorInventedByManyAtOnce(t *testing.T) {
	g, start := on(4), time.Now()
	clock := func() time.Duration { return time.Since(start) }
	var inside, most atomic.Int64
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			ready := make(chan overload.Reason, 1)
			w := &overload.Waiter{Ready: func(why overload.Reason) { ready <- why }}
			for round := range 300 {
				done := make(chan struct{})
				if (i+round)%3 == 0 {
					close(done) // its client has gone
				}
				if !enter(g, clock, w, ready, done, overload.Class((i+round)%4)) {
					continue
				}
				now := inside.Add(1)
				for was := most.Load(); now > was && !most.CompareAndSwap(was, now); was = most.Load() {
				}
				runtime.Gosched()
				inside.Add(-1)
				g.Release(clock(), 0, 0)
			}
		})
	}
	all.Wait()
	if seen := g.Snapshot(clock()); seen.InFlight != 0 || seen.Queued != 0 || most.Load() > 4 {
		t.Errorf("in the end %d have slots and %d wait; at most %d had", seen.InFlight, seen.Queued, most.Load())
	}
}

// enter is what a driver does whose goroutines may wait.
func enter(g *overload.Gate, clock func() time.Duration, w *overload.Waiter, ready chan overload.Reason, done chan struct{}, class overload.Class) bool {
	if g.Enter(clock()) {
		return true
	}
	switch verdict, _ := g.Ask(clock(), levelOf(class), w); verdict {
	case overload.Go:
		return true
	case overload.Wait:
		why, left := g.Await(clock, w, ready, done)
		return why == overload.None && !left
	default:
		return false
	}
}

func TestALimitThatIsToldTooHighStillKeepsTheWaitShort(t *testing.T) {
	s := newSim(1, surge(4), 20*time.Second)
	s.run(newOurs(s, 3*workers, platform.OverloadOn))
	if good := s.goodput(calm, 20*time.Second); good < 0.93 || s.success(0) < 0.98 {
		t.Errorf("goodput %.2f of capacity, of the critical requests %.2f", good, s.success(0))
	}
}
