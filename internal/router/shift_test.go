package router_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// twoReleases leads blog.test to release 2 at fresh and release 1 at old.
func twoReleases(shift platform.Shift, old, fresh string) *platform.Route {
	rt := route("blog", 2, fresh)
	rt.Cutover, rt.Shift = 2, &shift
	rt.Shift.From = 1
	rt.Shift.Step = max(shift.Step, 1)
	rt.Backends = append(rt.Backends, platform.Backend{Instance: "at-" + old, Address: old, Release: 1})
	return rt
}

// steps is a router that a shift between two releases begins in.
func steps(t *testing.T, shift platform.Shift) (e *edge, old, fresh string) {
	e, old, fresh = counting(t), backend(t, says("old")), backend(t, says("new"))
	e.SetRoute("blog", moved(1, 1, old))
	e.SetRoute("blog", twoReleases(shift, old, fresh))
	return e, old, fresh
}

// moved is a route that makes a release current by a numbered cutover.
func moved(number int64, release int, addresses ...string) *platform.Route {
	rt := route("blog", release, addresses...)
	rt.Cutover = number
	return rt
}

// say asks blog.test with headers, each a "Name: value".
func (e *edge) say(headers ...string) string {
	e.t.Helper()
	req := e.request("GET", "blog.test", "/", nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Add(name, value)
	}
	return e.do(req).body
}

func TestAWeightIsTheShareOfTheRequestsOfTheNewRelease(t *testing.T) {
	e, _, _ := steps(t, platform.Shift{Weight: 2500})
	const n = 400
	served := map[string]int{}
	for range n {
		served[e.say()]++
	}
	// 100 of them, and with 12 standard deviations to each side.
	if served["new"] < 10 || served["new"] > 200 || served["old"]+served["new"] != n {
		t.Errorf("got %v", served)
	}
	c := e.cutover()
	if !c.Shifting || c.Step != 1 || c.From != 1 || c.To != 2 || c.Requests != n ||
		c.New.Requests != int64(served["new"]) || c.Old.Requests != int64(served["old"]) ||
		c.New.P99 <= 0 || c.Old.P99 <= 0 || c.NewLately.Requests == 0 || c.OldLately.Requests == 0 {
		t.Errorf("%+v", c)
	}
}

func TestAClientStaysWithTheNewReleaseWhileTheWeightGrows(t *testing.T) {
	e, old, fresh := steps(t, platform.Shift{})
	was := map[string]bool{}
	for step, weight := range []int{0, 1000, 5000, 9000, platform.Whole} {
		e.SetRoute("blog", twoReleases(platform.Shift{Step: step + 1, Weight: weight, By: "client", Cookie: "user"}, old, fresh))
		moved := 0
		for user := range 60 {
			name := fmt.Sprintf("user=u%d", user)
			is := e.say("Cookie: a=b; "+name) == "new"
			if again := e.say("Cookie: "+name) == "new"; again != is {
				t.Fatalf("%s is with both releases at weight %d", name, weight)
			}
			if was[name] && !is {
				t.Errorf("%s left the new release at weight %d", name, weight)
			}
			if was[name] = is; is {
				moved++
			}
		}
		if weight == 0 && moved > 0 || weight == platform.Whole && moved < 60 || weight == 5000 && (moved < 5 || moved > 55) {
			t.Errorf("%d of 60 at weight %d", moved, weight)
		}
	}
}

func TestThoseWithoutTheCookieAreToldApartByTheirAddress(t *testing.T) {
	e, _, _ := steps(t, platform.Shift{Weight: 5000, By: "client", Cookie: "user"})
	first := e.say()
	for range 20 {
		if got := e.say(); got != first {
			t.Fatalf("one client got %q and %q", first, got)
		}
	}
}

func TestACanaryIsForThoseThatMeetAllItsConditions(t *testing.T) {
	e, old, fresh := steps(t, platform.Shift{Canary: []platform.Condition{{Header: "X-Canary", Value: "yes"}, {Cookie: "beta", Value: "*"}}})
	for headers, want := range map[string]string{
		"": "old", "X-Canary: yes": "old", "Cookie: beta=1": "old", "X-Canary: no\nCookie: beta=1": "old",
		"x-canary: yes\nCookie: a=b; beta=7": "new",
	} {
		if got := e.say(strings.FieldsFunc(headers, func(r rune) bool { return r == '\n' })...); got != want {
			t.Errorf("%q got %q, want %q", headers, got, want)
		}
	}
	e.SetRoute("blog", twoReleases(platform.Shift{Canary: []platform.Condition{{Header: "no token", Value: "*"}}}, old, fresh))
	if got := e.say("X-Canary: yes"); got != "old" {
		t.Errorf("conditions that make no sense led to %q", got)
	}
	if told := strings.Join(e.Problems(), "\n"); !strings.Contains(told, "the conditions of the canary are not applied") {
		t.Errorf("told %q", told)
	}
}

func TestWhereAReleaseHasNobodyUpTheOtherServes(t *testing.T) {
	for name, weight := range map[string]int{"the new one": platform.Whole, "the old one": 0} {
		t.Run(name, func(t *testing.T) {
			e, old, fresh := steps(t, platform.Shift{Weight: weight})
			gone, want := fresh, "old"
			if weight == 0 {
				gone, want = old, "new"
			}
			e.SetInstance("at-"+gone, gone, false)
			if got := e.say(); got != want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestARequestThatOneReleaseRefusedIsServedByTheOther(t *testing.T) {
	e := counting(t)
	old, address := backend(t, says("old")), nobody(t)
	e.SetRoute("blog", moved(1, 1, old))
	e.SetRoute("blog", twoReleases(platform.Shift{Weight: platform.Whole}, old, address))
	if got := e.say(); got != "old" {
		t.Errorf("got %q", got)
	}
}

func TestEachStepIsCountedByItselfAndTheCutoverAsAWhole(t *testing.T) {
	e, old, fresh := steps(t, platform.Shift{})
	for range 3 {
		e.say()
	}
	e.SetRoute("blog", twoReleases(platform.Shift{Step: 2, Weight: platform.Whole}, old, fresh))
	for range 2 {
		e.say()
	}
	if c := e.cutover(); c.Step != 2 || c.Requests != 5 || c.ToRequests != 2 || c.New.Requests != 2 || c.Old.Requests != 0 || c.BeforeRequests != 0 {
		t.Errorf("second step: %+v", c)
	}
	e.SetRoute("blog", moved(2, 2, fresh)) // the new release alone, by the same cutover
	e.say()
	if c := e.cutover(); c.Cutover != 2 || c.Shifting || c.Step != 0 || c.Requests != 6 || c.New.Requests != 1 {
		t.Errorf("alone: %+v", c)
	}
	e.SetRoute("blog", moved(3, 1, old)) // and back
	if got, c := e.say(), e.cutover(); got != "old" || c.From != 2 || c.To != 1 || c.BeforeRequests != 3 || c.Requests != 1 {
		t.Errorf("back: %q, %+v", got, c)
	}
}

func TestNothingIsLostWhileReleasesChangeUnderLoadAndTheOldOneEndsOnceItIsDrained(t *testing.T) {
	e := serve(t, router.Options{})
	old := backend(t, says("old"))
	e.SetRoute("blog", moved(1, 1, old))
	ctx, stop := context.WithCancel(t.Context())
	var visitors sync.WaitGroup
	failed := make(chan string, 1000)
	for range 4 {
		visitor := client(t)
		visitors.Go(func() {
			for ctx.Err() == nil {
				req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+e.addr+"/", nil)
				req.Host = "blog.test"
				res, err := visitor.Do(req)
				if err != nil {
					failed <- err.Error()
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				if res.Body.Close(); res.StatusCode != 200 {
					failed <- res.Status
				}
			}
		})
	}
	for release := 2; release < 12; release++ {
		fresh := backend(t, says("new"))
		rt := moved(int64(release), release, fresh)
		for step, weight := range []int{100, 5000, 9000} {
			rt.Shift = &platform.Shift{Step: step + 1, From: release - 1, Weight: weight}
			rt.Backends = append(rt.Backends[:1:1], platform.Backend{Instance: "at-" + old, Address: old, Release: release - 1})
			e.SetRoute("blog", rt)
		}
		e.SetRoute("blog", moved(int64(release), release, fresh))
		if err := e.Drain(t.Context(), "at-"+old, 0); err != nil {
			t.Fatal(err)
		}
		if n := e.InFlight("at-" + old); n != 0 {
			t.Errorf("%d requests are inside one that was drained", n)
		}
		old = fresh
	}
	stop()
	visitors.Wait()
	close(failed)
	for why := range failed {
		t.Error(why)
	}
}

func TestCopiesOfSafeRequestsAreComparedAndNobodySeesThem(t *testing.T) {
	e := counting(t)
	seen := make(chan *http.Request, 100)
	old := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/lost" {
			w.WriteHeader(404)
			return
		}
		_, _ = io.WriteString(w, "old")
	})
	fresh := backend(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Clone(t.Context())
		switch r.URL.Path {
		case "/broken":
			w.WriteHeader(500)
		case "/longer":
			_, _ = io.WriteString(w, "much longer")
		case "/lost":
			w.WriteHeader(410)
		default:
			_, _ = io.WriteString(w, "new")
		}
	})
	e.SetRoute("blog", moved(1, 1, old))
	e.SetRoute("blog", twoReleases(platform.Shift{Mirror: platform.Whole}, old, fresh))
	for _, path := range []string{"/same?q=1", "/broken", "/longer", "/lost"} {
		e.do(e.request("GET", "blog.test", path, nil)).want(t, map[bool]int{true: 404, false: 200}[path == "/lost"], "")
	}
	e.do(e.request("HEAD", "blog.test", "/head", nil))
	e.do(e.request("POST", "blog.test", "/post", strings.NewReader("x")))
	e.do(e.request("DELETE", "blog.test", "/delete", nil))
	paths := map[string]bool{}
	for range 5 {
		var r *http.Request
		select {
		case r = <-seen:
		case <-time.After(hangs):
			t.Fatalf("only %v were copied: %+v", paths, e.cutover().Mirror)
		}
		paths[r.Method+" "+r.URL.RequestURI()] = true
		if r.Header.Get("Slipway-Mirror") != "1" || r.Host != "blog.test" || r.Header.Get("X-Forwarded-For") == "" {
			t.Errorf("%s %s came as %s with %v", r.Method, r.URL, r.Host, r.Header)
		}
	}
	for _, want := range []string{"GET /same?q=1", "GET /broken", "GET /longer", "GET /lost", "HEAD /head"} {
		if !paths[want] {
			t.Errorf("%s was not copied: %v", want, paths)
		}
	}
	m := e.cutover().Mirror
	for ; m.Compared < 5; m = e.cutover().Mirror { // the last one is on its way back
		if t.Context().Err() != nil {
			t.Fatalf("%+v", m)
		}
	}
	if m.Status != 1 || m.Failed != 1 || m.Size != 1 || m.Dropped != 0 || m.P99New <= 0 || m.P99Old <= 0 {
		t.Errorf("%+v", m)
	}
	if c := e.cutover(); c.New.Requests != 0 || c.ToRequests != 0 || c.Old.Requests != 7 || c.Failed != 0 {
		t.Errorf("copies count as requests: %+v", c)
	}
	if len(seen) != 0 {
		t.Errorf("%d more were copied", len(seen))
	}
}

func TestCopiesDelayNobodyAndAreDroppedWhenThereAreTooMany(t *testing.T) {
	e := counting(t)
	hang := make(chan struct{})
	old, fresh := backend(t, says("old")), backend(t, func(http.ResponseWriter, *http.Request) { <-hang })
	t.Cleanup(func() { close(hang) }) // before the backends end, which wait for it
	e.SetRoute("blog", moved(1, 1, old))
	e.SetRoute("blog", twoReleases(platform.Shift{Mirror: platform.Whole}, old, fresh))
	for range 40 {
		if got := e.say(); got != "old" {
			t.Fatalf("got %q", got)
		}
	}
	// Each that has hung for ten seconds may have made room for another.
	if m := e.cutover().Mirror; m.Dropped > 8 || m.Dropped < 8-m.Compared || m.Crowded != m.Dropped {
		t.Errorf("%+v", m)
	}
}

func TestACopyThatGetsNoAnswerHasFailed(t *testing.T) {
	e := counting(t)
	old, address := backend(t, says("old")), nobody(t)
	e.SetRoute("blog", moved(1, 1, old))
	e.SetRoute("blog", twoReleases(platform.Shift{Mirror: platform.Whole}, old, address))
	e.say()
	for deadline := time.Now().Add(hangs); e.cutover().Mirror.Failed != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", e.cutover().Mirror)
		}
	}
}
