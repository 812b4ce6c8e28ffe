package overload_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/overload"
	"github.com/slipway-paas/slipway/internal/platform"
)

// systems are what is compared: nothing, a FIFO queue as of a proxy's connection
// limit, a limit of open requests, the paper's control, and a Gate that was told
// the app's workers, or finds out.
var systems = map[string]func(*sim) system{
	"none":  func(s *sim) system { return none{s} },
	"queue": func(s *sim) system { return &limited{s: s, limit: workers, waits: clientWaits} },
	"limit": func(s *sim) system { return &limited{s: s, limit: 2 * workers} },
	"dagor": func(s *sim) system { return newDagor(s) },
	"told":  func(s *sim) system { return newOurs(s, workers, platform.OverloadOn) },
	"found": func(s *sim) system { return newOurs(s, 0, platform.OverloadOn) },
}

func steady(load float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return load }
}

const (
	calm   = 5 * time.Second
	length = 25 * time.Second
)

// surge is calm at first; the app is then offered load times what it can do.
func surge(load float64) func(time.Duration) float64 {
	return func(now time.Duration) float64 {
		if now < calm {
			return min(load, 0.5)
		}
		return load
	}
}

// simulate runs a system under a load that is named for it to be run once.
func simulate(name string, seed uint64, retries int, kind string, load float64) *sim {
	what := fmt.Sprint(name, seed, retries, kind, load)
	s := simulated[what]
	if s == nil {
		s = simulateAnew(name, seed, retries, loads[kind](load))
		simulated[what] = s
	}
	return s
}

var simulated = map[string]*sim{}

var loads = map[string]func(float64) func(time.Duration) float64{"steady": steady, "surge": surge, "step": step}

func simulateAnew(name string, seed uint64, retries int, load func(time.Duration) float64) *sim {
	s := newSim(seed, load, length)
	s.retries = retries
	s.run(systems[name](s))
	slices.Sort(s.took)
	return s
}

func (s *sim) String() string {
	return fmt.Sprintf("goodput %3.0f %%, by class %3.0f %3.0f %3.0f %3.0f %%, tasks of 1 call %3.0f %%, of 4 %3.0f %%, p99 %v",
		100*s.goodput(calm, length), 100*s.success(0), 100*s.success(1), 100*s.success(2), 100*s.success(3),
		100*s.completed(1), 100*s.completed(4), s.p99().Round(time.Millisecond))
}

func (s *sim) p99() time.Duration { return s.took[len(s.took)*99/100] }

// each runs a surge at several loads, with and without clients that try again.
func each(t *testing.T, loads []float64, judge func(t *testing.T, name string, load float64, s *sim)) {
	for _, name := range []string{"told", "found"} {
		for _, retries := range []int{0, 2} {
			for _, load := range loads {
				s := simulate(name, 1, retries, "surge", load)
				t.Logf("%-5s %4.1fx %d retries: %v", name, load, retries, s)
				judge(t, fmt.Sprintf("%s, %vx, %d retries", name, load, retries), load, s)
			}
		}
	}
}

func TestUnderAnyLoadTheAppDoesNearlyAllItCan(t *testing.T) {
	each(t, []float64{2, 4, 10}, func(t *testing.T, name string, _ float64, s *sim) {
		if good := s.goodput(calm, length); good < 0.93 {
			t.Errorf("%s: goodput %.2f of capacity", name, good)
		}
	})
}

func TestTheMoreImportantClassIsServedFirst(t *testing.T) {
	each(t, []float64{2, 4, 10}, func(t *testing.T, name string, load float64, s *sim) {
		// Whose calls succeed goes on to make more: of the calls more are critical than of the tasks.
		asked, can := float64(s.offered[0]), capacity*(length-calm).Seconds()
		if asked < 0.8*can && s.success(0) < 0.985 {
			t.Errorf("%s: %.3f of the critical requests were served, though they are %.0f %% of capacity", name, s.success(0), 100*asked/can)
		}
		if served := float64(s.good[0]) / min(asked, can); served < 0.93 {
			t.Errorf("%s: %.3f of the critical requests that could be were served", name, served)
		}
		if s.success(0)+0.01 < s.success(1) || s.success(1)+0.01 < s.success(2) && load < 10 {
			t.Errorf("%s: a lesser class fares better: %v", name, s)
		}
	})
}

func TestWhoIsServedTakesNotTwiceAsLongAsWithoutOverload(t *testing.T) {
	unloaded := simulate("none", 1, 0, "steady", 0.3).p99()
	each(t, []float64{2, 4, 10}, func(t *testing.T, name string, _ float64, s *sim) {
		if p99 := s.p99(); p99 > 2*unloaded {
			t.Errorf("%s: p99 %v, unloaded %v", name, p99, unloaded)
		}
	})
}

// even runs a system before an app whose requests take nearly the same, so that
// p99 is what they waited, and gives p99 of those that came in each of some seeds.
func even(name string, load func(time.Duration) float64) (p99s []time.Duration) {
	for seed := range uint64(8) {
		s := newSim(seed, load, 12*time.Second)
		s.spread = 0.3
		s.run(systems[name](s))
		slices.Sort(s.took)
		p99s = append(p99s, s.p99())
	}
	slices.Sort(p99s)
	return p99s
}

func TestAnAppAtItsCapacityHasNobodyWaitForLong(t *testing.T) {
	unloaded := even("none", steady(0.3))[4]
	for _, name := range []string{"told", "found"} {
		for _, load := range []float64{1, 1.2} {
			p99s := even(name, surge(load))
			t.Logf("%s at %vx: p99 %v, unloaded %v", name, load, p99s, unloaded)
			if p99s[4] > 4*unloaded || p99s[7] > 8*unloaded {
				t.Errorf("%s at %vx: p99 %v, unloaded %v", name, load, p99s, unloaded)
			}
		}
	}
}

func TestALimitThatIsFoundOutIsFoundAtTheSurgesBeginning(t *testing.T) {
	unloaded := even("none", steady(0.3))[4]
	for _, load := range []float64{2, 4, 10} {
		p99s := even("found", surge(load))
		t.Logf("at %vx: p99 %v, unloaded %v", load, p99s, unloaded)
		if p99s[4] > 21*unloaded/10 || p99s[7] > 3*unloaded {
			t.Errorf("at %vx: p99 %v, unloaded %v", load, p99s, unloaded)
		}
	}
}

func TestATaskOfFourCallsIsCompletedNearlyAsOftenAsOneOfASingleCall(t *testing.T) {
	for _, name := range []string{"told", "found"} {
		for _, load := range []float64{2, 4} {
			var tasks, whole [5]int
			for seed := range uint64(6) {
				s := simulate(name, seed, 0, "surge", load)
				for k := range tasks {
					tasks[k], whole[k] = tasks[k]+s.tasks[k], whole[k]+s.whole[k]
				}
			}
			one, four := float64(whole[1])/float64(tasks[1]), float64(whole[4])/float64(tasks[4])
			if t.Logf("%-5s %4.1fx: of 1 call %.3f, of 4 %.3f", name, load, one, four); four < 0.75*one {
				t.Errorf("%s at %vx: %.3f of the tasks of 4 calls are completed, of those of one %.3f", name, load, four, one)
			}
		}
	}
}

func TestALimitThatIsFoundOutIsWhatTheAppHasWorkers(t *testing.T) {
	for _, has := range []int{3, 8, 40} {
		times := surge(4)
		s := newSim(3, func(now time.Duration) float64 { return times(now) * float64(has) / workers }, 25*time.Second)
		s.workers = has
		o := newOurs(s, 0, platform.OverloadOn)
		sum, n := 0, 0
		for at := calm + 3*time.Second; at < s.end; at += 100 * time.Millisecond {
			s.after(at, func() { sum, n = sum+o.gate.Snapshot(s.now).Limit, n+1 })
		}
		s.run(o)
		if mean := float64(sum) / float64(n); mean < 0.95*float64(has) || mean > 1.2*float64(has)+1 {
			t.Errorf("an app of %d workers is given %.1f requests at a time", has, mean)
		}
	}
}

func TestBelowItsCapacityNobodyIsShed(t *testing.T) {
	for _, name := range []string{"told", "found"} {
		shed, all := 0, 0
		for seed := range uint64(12) { // five minutes
			s := simulate(name, seed, 0, "surge", 0.8)
			for class := range s.shed {
				shed, all = shed+s.shed[class], all+s.offered[class]
			}
		}
		if shed*1000 > all {
			t.Errorf("%s: %d of %d were shed at 0.8 times the capacity", name, shed, all)
		}
	}
}

// step is a load of ten seconds in the middle of calm.
func step(load float64) func(time.Duration) float64 {
	return func(now time.Duration) float64 {
		if now > calm && now < calm+10*time.Second {
			return load
		}
		return 0.7
	}
}

func TestASurgeMakesNoDipAndIsOverWhenItEnds(t *testing.T) {
	for _, name := range []string{"told", "found"} {
		s := simulate(name, 1, 2, "step", 4)
		if good := s.goodput(calm, calm+time.Second); good < 0.75 {
			t.Errorf("%s: goodput %.2f of capacity in the surge's first second", name, good)
		}
		shed := 0
		late := newSim(1, step(4), length)
		late.retries = 2
		late.run(&watched{system: systems[name](late), s: late, after: calm + 12*time.Second, shed: &shed})
		if shed > 0 {
			t.Errorf("%s: %d were shed later than two seconds after the surge", name, shed)
		}
	}
	if good := simulate("none", 1, 2, "step", 4).goodput(calm+11*time.Second, calm+15*time.Second); good > 0.1 {
		t.Errorf("without control goodput after the surge is %.2f of capacity: the surge is too mild to prove anything", good)
	}
}

// watched counts what a system sheds after a time.
type watched struct {
	system
	s     *sim
	after time.Duration
	shed  *int
}

func (w *watched) came(r *request) {
	before := w.s.shed
	w.system.came(r)
	if w.s.now > w.after {
		for class := range before {
			*w.shed += w.s.shed[class] - before[class]
		}
	}
}

func TestTheGateBeatsWhatItIsComparedWith(t *testing.T) {
	for _, load := range []float64{2, 4, 10} {
		for _, retries := range []int{0, 2} {
			got := map[string]*sim{}
			for name := range systems {
				got[name] = simulate(name, 1, retries, "surge", load)
				t.Logf("%-5s %4.1fx %d retries: %v", name, load, retries, got[name])
			}
			for _, other := range []string{"none", "queue", "dagor"} {
				if got[other].goodput(calm, length) > 0.5*got["told"].goodput(calm, length) {
					t.Errorf("%s at %vx is nearly as good: %v", other, load, got[other])
				}
			}
			// A plain limit keeps the app as busy, but with whom: each call of a
			// task is refused for itself, so that long ones are hardly ever whole.
			if limit, told := got["limit"].completed(4), got["told"].completed(4); told < 1.5*limit {
				t.Errorf("at %vx, %d retries %.3f of the tasks of 4 calls are completed, with a plain limit %.3f", load, retries, told, limit)
			}
		}
	}
}

func BenchmarkEnterAndReleaseOfACalmGate(b *testing.B) {
	g := on(64)
	now := time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		now += time.Microsecond
		if !g.Enter(now) {
			b.Fatal("it is calm")
		}
		g.Release(now, time.Microsecond, time.Microsecond)
	}
}

func BenchmarkAskAndReleaseOfABusyGate(b *testing.B) {
	g := on(4)
	var w overload.Waiter
	now := time.Duration(0)
	g.Enter(now)
	b.ReportAllocs()
	for b.Loop() {
		now += time.Microsecond
		if v, _ := g.Ask(now, levelOf(overload.Normal), &w); v != overload.Go {
			b.Fatal(v)
		}
		g.Release(now, time.Microsecond, time.Microsecond)
	}
}
