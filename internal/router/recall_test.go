package router_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// budgeted is a router with a step under way whose release answers as told; led
// has a token once the router led it back.
func budgeted(t *testing.T, shift platform.Shift, fresh http.HandlerFunc) (e *edge, rt *platform.Route, led chan struct{}) {
	led = make(chan struct{}, 10)
	e = serve(t, router.Options{LedBack: func() { led <- struct{}{} }, Quiet: 20 * time.Millisecond})
	shift.Budget = &platform.Budget{Failures: 0.05, Least: 3, Latency: time.Second, Judged: 20}
	old := backend(t, says("old"))
	e.SetRoute("blog", moved(1, 1, old))
	rt = twoReleases(shift, old, backend(t, fresh))
	e.SetRoute("blog", rt)
	return e, rt, led
}

func TestARouterLeadsABadReleaseBackByItself(t *testing.T) {
	var bad atomic.Bool
	e, rt, led := budgeted(t, platform.Shift{Step: 2, Weight: platform.Whole}, func(w http.ResponseWriter, r *http.Request) {
		if bad.Load() {
			w.WriteHeader(500)
		}
		_, _ = w.Write([]byte("new"))
	})
	for range 10 {
		if got := e.say(); got != "new" {
			t.Fatalf("got %q", got)
		}
	}
	bad.Store(true)
	for range 3 {
		e.say()
	}
	select {
	case <-led:
	case <-time.After(hangs):
		t.Fatalf("it was not led back: %+v", e.cutover())
	}
	for range 10 {
		if got := e.say(); got != "old" {
			t.Fatalf("got %q after it was led back", got)
		}
	}
	c := e.cutover()
	if c.Undone.Step != 2 || c.Undone.At.IsZero() || !strings.Contains(c.Undone.Why, "3 of 13 requests failed on v2, 0.0 % before (budget: 5 % more)") {
		t.Errorf("it says %+v", c.Undone)
	}
	// Whoever did not hear of it says the step once more, or the next one.
	again := *rt
	next := *rt.Shift
	next.Step = 3
	again.Shift = &next
	e.SetRoute("blog", &again)
	if got, c := e.say(), e.cutover(); got != "old" || c.Undone.Step != 2 {
		t.Errorf("told once more: %q, %+v", got, c.Undone)
	}
	// The next cutover knows nothing of it.
	rt.Cutover = 3
	bad.Store(false)
	e.SetRoute("blog", rt)
	if got, c := e.say(), e.cutover(); got != "new" || c.Undone.Why != "" {
		t.Errorf("the next one: %q, %+v", got, c.Undone)
	}
}

func TestARouterThatBeginsKnowsThatAReleaseWasLedBack(t *testing.T) {
	undone := platform.LedBack{Step: 1, Why: "it was slow", At: time.Now()}
	e, _, led := budgeted(t, platform.Shift{Weight: platform.Whole, Undone: undone}, says("new"))
	if got, c := e.say(), e.cutover(); got != "old" || c.Undone.Why != undone.Why || len(led) > 0 {
		t.Errorf("got %q, %+v", got, c.Undone)
	}
}

func TestCopiesEndWhereTheCandidateIsLedBack(t *testing.T) {
	var copies atomic.Int64
	e, _, led := budgeted(t, platform.Shift{Mirror: platform.Whole}, func(w http.ResponseWriter, r *http.Request) {
		copies.Add(1)
		w.WriteHeader(500)
	})
	asked := int64(0)
	ask := func() {
		if got := e.say(); got != "old" {
			t.Fatalf("got %q", got)
		}
	}
	for len(led) == 0 && t.Context().Err() == nil {
		ask()
		asked++
		for m := e.cutover().Mirror; m.Compared+m.Dropped < asked && len(led) == 0; m = e.cutover().Mirror {
			time.Sleep(time.Millisecond) // or too many copies may be on their way
		}
	}
	for range 40 {
		ask()
	}
	if c := e.cutover(); copies.Load() > asked || !strings.Contains(c.Undone.Why, "copied requests had another status on v2") {
		t.Errorf("%d of %d requests were copied, %+v", copies.Load(), asked, c.Undone)
	}
}
