package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// told are what a crontab told, each with when by its clock.
type told struct {
	begun time.Time
	mu    sync.Mutex
	lines []string
}

// keep runs a crontab in the bubble. Who is told puts itself back an hour later.
func keep(t *testing.T, ahead *atomic.Int64) (tab *crontab, told *told, wrong *atomic.Int64) {
	t.Helper()
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())).Round(0) }
	tab, told, wrong = newCrontab(now), newTold(now()), new(atomic.Int64)
	ctx, end := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tab.run(ctx, func(app, process string) {
			told.mu.Lock()
			told.lines = append(told.lines, fmt.Sprintf("%s/%s at %s", app, process, now().Sub(told.begun)))
			told.mu.Unlock()
			tab.put(app, process, now().Truncate(time.Minute).Add(time.Hour))
		}, func() { wrong.Add(1) })
	}()
	t.Cleanup(func() { end(); <-done })
	return tab, told, wrong
}

func newTold(at time.Time) *told { return &told{begun: at} }

func (l *told) want(t *testing.T, lines ...string) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.lines, lines) {
		t.Errorf("told %q\nwant %q", l.lines, lines)
	}
}

func in(l *told, minutes int) time.Time { return l.begun.Add(time.Duration(minutes) * time.Minute) }

func TestEachIsToldAtItsMomentAndNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64
		tab, told, _ := keep(t, &ahead)
		tab.set("blog", map[string]time.Time{"nightly": in(told, 30), "poll": in(told, 10)})
		tab.set("shop", map[string]time.Time{"nightly": in(told, 20)})
		time.Sleep(10*time.Minute - time.Nanosecond)
		told.want(t)
		time.Sleep(time.Nanosecond)
		told.want(t, "blog/poll at 10m0s")
		tab.set("blog", map[string]time.Time{"nightly": in(told, 15)}) // earlier than the one that is waited for, and poll is gone
		tab.put("blog", "nightly", in(told, 90))                       // there is one already
		time.Sleep(80 * time.Minute)
		told.want(t, "blog/poll at 10m0s", "blog/nightly at 15m0s", "shop/nightly at 20m0s", "blog/nightly at 1h15m0s", "shop/nightly at 1h20m0s")
		tab.set("blog", nil)
		tab.set("shop", nil)
		time.Sleep(100 * time.Hour)
		told.want(t, "blog/poll at 10m0s", "blog/nightly at 15m0s", "shop/nightly at 20m0s", "blog/nightly at 1h15m0s", "shop/nightly at 1h20m0s")
	})
}

func TestAClockThatIsSetForwardIsSeenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64
		tab, told, wrong := keep(t, &ahead)
		tab.put("blog", "nightly", in(told, 600))
		time.Sleep(time.Minute + time.Second)
		told.want(t)
		ahead.Store(int64(10 * time.Hour))
		time.Sleep(lookAgain)
		told.want(t, "blog/nightly at 10h1m30s")
		if wrong.Load() != 0 {
			t.Error("the crons were read anew")
		}
	})
}

func TestAClockThatIsSetBackHasNothingToldTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64
		tab, told, wrong := keep(t, &ahead)
		tab.put("blog", "nightly", in(told, 60))
		time.Sleep(60 * time.Minute)
		told.want(t, "blog/nightly at 1h0m0s")
		ahead.Store(int64(-30 * time.Minute))
		time.Sleep(89 * time.Minute)
		told.want(t, "blog/nightly at 1h0m0s")
		time.Sleep(time.Minute)
		told.want(t, "blog/nightly at 1h0m0s", "blog/nightly at 2h0m0s")
		if wrong.Load() != 0 {
			t.Error("half an hour is no reason to read the crons anew")
		}
		ahead.Add(-int64(48 * time.Hour))
		time.Sleep(lookAgain)
		synctest.Wait()
		if wrong.Load() != 1 {
			t.Errorf("two days: %d", wrong.Load())
		}
	})
}
