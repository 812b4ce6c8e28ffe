package router

import (
	"runtime"
	"testing"
	"time"
)

func TestProcessorsAreFewWhileThereIsLittleToDo(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	var p processors
	p.begin(8, 2)
	var now, ran time.Duration
	look := func(share float64) {
		now += lookEvery
		ran += time.Duration(share * float64(lookEvery))
		p.look(now, func() time.Duration { return ran })
	}
	wants := func(n int64, when string) {
		t.Helper()
		if got := p.wanted.Load(); got != n {
			t.Errorf("%s: %d processors, want %d", when, got, n)
		}
	}
	for range calmEnough - 1 {
		look(0.4)
	}
	wants(10, "little to do for a moment")
	look(0.4)
	wants(4, "little to do")
	look(0.6)
	wants(10, "much to do")
	for range calmEnough {
		look(0.1)
	}
	wants(4, "little to do again")
	p.rest()
	wants(10, "no requests")
	for range calmEnough {
		now += 2 * restAfter
		look(0)
	}
	wants(10, "a request now and then")
}

func TestProcessorsThatNobodyGaveAreLeftAlone(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	var none, bare processors
	none.begin(0, 2)
	bare.begin(8, 0)
	for i := range 2 * calmEnough {
		for _, p := range []*processors{&none, &bare} {
			p.look(time.Duration(i)*lookEvery, func() time.Duration { return 0 })
		}
	}
	if none.wanted.Load() != 0 || bare.wanted.Load() != 0 || runtime.GOMAXPROCS(0) != before {
		t.Errorf("%d and %d are wanted, %d used; want none, none and %d", none.wanted.Load(), bare.wanted.Load(), runtime.GOMAXPROCS(0), before)
	}
}
