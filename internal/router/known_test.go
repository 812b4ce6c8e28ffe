package router_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/slipway-paas/slipway/internal/overload"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// succeeds is a router that has the route and what another has learnt, as its
// successor reads it.
func (e *edge) succeeds(t *testing.T, rt *platform.Route) *edge {
	t.Helper()
	text, err := json.Marshal(e.Known())
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), "{", `{"of a later time":[1],`, 1))
	var known router.Known
	if err := json.Unmarshal(text, &known); err != nil {
		t.Fatal(err)
	}
	next := counting(t)
	next.SetRoute(rt.App, rt)
	next.Inherit(known)
	return next
}

func TestAnInstanceThatWasEjectedStaysSoAtTheNextRouter(t *testing.T) {
	var failed atomic.Int64
	rt := route("blog", 1, backend(t, says("ok")), backend(t, func(w http.ResponseWriter, r *http.Request) {
		failed.Add(1)
		w.WriteHeader(500)
	}))
	e := counting(t)
	e.SetRoute("blog", rt)
	for failed.Load() < 5 {
		e.get("blog.test")
	}
	next := e.succeeds(t, rt)
	for range 40 {
		next.get("blog.test")
	}
	// Once more when the time of the ejection is over, on a slow machine.
	if n := failed.Load(); n > 6 {
		t.Errorf("%d requests went to the one that fails", n)
	}
}

func TestTheNextRouterCountsACutoverOn(t *testing.T) {
	good, bad := backend(t, says("ok")), backend(t, status(500))
	e := counting(t)
	e.SetRoute("blog", shift(1, 1, good))
	e.get("blog.test")
	rt := twoReleases(platform.Shift{Step: 2, Weight: platform.Whole}, good, bad)
	e.SetRoute("blog", rt)
	for range 3 {
		e.get("blog.test")
	}
	next := e.succeeds(t, rt)
	next.get("blog.test")
	want := func(n int64) {
		t.Helper()
		c := next.cutover()
		if c.Requests != n || c.Failed != n || c.ToRequests != n || c.New.Requests != n || c.Step != 2 || c.BeforeRequests != 1 || !c.Shifting {
			t.Errorf("after %d: %+v", n, c)
		}
		if was := e.cutover().Started; !c.Started.Equal(was) {
			t.Errorf("it began at %s, want %s", c.Started, was)
		}
	}
	want(4)
	e.get("blog.test") // of a client that has not left it
	next.InheritCutovers(e.Cutovers())
	want(5)
	next.InheritCutovers(nil)
	next.get("blog.test")
	want(6)
	next.SetRoute("blog", shift(3, 3, good))
	next.InheritCutovers(e.Cutovers())
	next.get("blog.test")
	if c := next.cutover(); c.Cutover != 3 || c.Requests != 1 {
		t.Errorf("the next cutover: %+v", c)
	}
}

func TestTheNextRouterAdmitsWhomTheOneBeforeDid(t *testing.T) {
	app := newBusy()
	rt := route("shop", 1, backend(t, app.serve))
	rt.Edge = limit(1)
	e := counting(t)
	e.SetRoute("shop", rt)
	e.Inherit(router.Known{Gates: []router.KnownGate{{App: "shop", State: overload.GateState{Level: overload.MakeLevel(overload.Critical, 127)}}}})
	next := e.succeeds(t, rt)
	first := make(chan int)
	go func() { first <- ask(t, next).StatusCode }()
	<-app.entered
	if res := ask(t, next); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a request below the level that is admitted got %s", res.Status)
	}
	app.end <- struct{}{}
	if status := <-first; status != http.StatusOK {
		t.Errorf("the one that had a slot got %d", status)
	}
}
