package router_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/access"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// stuck is an instance that never answers; it tells when a request is cut off.
func stuck(t *testing.T) (addr string, arrived, cut *atomic.Int64) {
	arrived, cut = new(atomic.Int64), new(atomic.Int64)
	return backend(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived.Add(1)
		<-r.Context().Done()
		cut.Add(1)
	}), arrived, cut
}

func hedging(after time.Duration, addresses ...string) *platform.Route {
	rt := route("blog", 1, addresses...)
	rt.Edge.Balance.Hedge = after
	return rt
}

func TestASecondInstanceIsAskedWhenTheFirstIsSlowAndTheFirstIsCutOff(t *testing.T) {
	slow, arrived, cut := stuck(t)
	e := serve(t, router.Options{})
	e.SetRoute("blog", hedging(20*time.Millisecond, slow, backend(t, says("fast"))))
	for i := 0; arrived.Load() == 0; i++ {
		if i > 1000 {
			t.Fatal("the slow one was never asked")
		}
		e.get("blog.test").want(t, 200, "fast")
	}
	for deadline := time.Now().Add(hangs); e.InFlight("at-"+slow) != 0 || cut.Load() < arrived.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the one that lost is still open")
		}
	}
	// On a slow machine some are hedged who are answered before that arrives.
	if pool := e.Snapshot().Pools[0]; pool.Hedges < arrived.Load() || pool.Open != 0 || pool.Retries != 0 {
		t.Errorf("%d were slow, and %+v", arrived.Load(), pool)
	}
}

func TestAnAnswerThatBeginsInTimeIsHedgedByNobody(t *testing.T) {
	var calls atomic.Int64
	one := func(w http.ResponseWriter, _ *http.Request) { calls.Add(1); _, _ = io.WriteString(w, "ok") }
	e := serve(t, router.Options{})
	e.SetRoute("blog", hedging(time.Minute, backend(t, one), backend(t, one)))
	for range 50 {
		e.get("blog.test").want(t, 200, "ok")
	}
	if calls.Load() != 50 || e.Snapshot().Pools[0].Hedges != 0 {
		t.Errorf("%d calls, %+v", calls.Load(), e.Snapshot().Pools)
	}
}

func TestNothingThatMayNotBeDoneTwiceIsHedged(t *testing.T) {
	var calls atomic.Int64
	one := func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		time.Sleep(20 * time.Millisecond) // longer than hedging would wait
	}
	e := serve(t, router.Options{})
	e.SetRoute("blog", hedging(time.Millisecond, backend(t, one), backend(t, one)))
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		e.do(e.request(method, "blog.test", "/", strings.NewReader("x"))).want(t, 200, "")
	}
	e.do(e.request("POST", "blog.test", "/", nil)).want(t, 200, "")
	if calls.Load() != 4 {
		t.Errorf("%d calls for 4 requests", calls.Load())
	}
}

func TestWhereBothAreSlowTheClientIsToldOnceAndBothAreLeft(t *testing.T) {
	one, askedOne, cutOne := stuck(t)
	two, askedTwo, cutTwo := stuck(t)
	e := serve(t, router.Options{AnswerTimeout: 300 * time.Millisecond})
	e.SetRoute("blog", hedging(10*time.Millisecond, one, two))
	for askedOne.Load() == 0 || askedTwo.Load() == 0 { // on a slow machine the time may be over before the second is asked
		e.get("blog.test").want(t, 504, "did not begin its answer in time")
	}
	reach(t, cutOne, askedOne.Load())
	reach(t, cutTwo, askedTwo.Load())
	if open := e.Snapshot().Pools[0].Open; open != 0 {
		t.Errorf("%d are open", open)
	}
}

func TestTheSecondOneMayFailWithoutHarm(t *testing.T) {
	free := make(chan struct{})
	slow := backend(t, func(w http.ResponseWriter, _ *http.Request) { <-free; _, _ = io.WriteString(w, "at last") })
	dead := nobody(t)
	e := serve(t, router.Options{})
	e.SetRoute("blog", hedging(5*time.Millisecond, slow, dead))
	got := make(chan answer, 1)
	go func() { got <- e.get("blog.test") }()
	asked := func(p access.Pool) bool { return p.Hedges+p.Quarantines > 0 }
	for !slices.ContainsFunc(e.Snapshot().Pools, asked) {
		time.Sleep(time.Millisecond)
	}
	close(free)
	(<-got).want(t, 200, "at last")
}
