package router_test

import (
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/access"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// What an autoscaler goes by is all behind one door, by process type.
func TestLiveSaysWhatAnAppHasNowAndHadLately(t *testing.T) {
	free := make(chan struct{})
	slow := backend(t, func(w http.ResponseWriter, _ *http.Request) { <-free; _, _ = io.WriteString(w, "done") })
	idle := backend(t, says("api"))
	e := serve(t, router.Options{})
	rt := route("blog", 1, slow)
	rt.Backends = append(rt.Backends, platform.Backend{Instance: "api-" + idle, Process: "api", Address: idle})
	rt.Paths = []platform.PathRoute{{Process: "api", Patterns: []string{"/api"}}}
	rt.Edge.Overload = platform.Overload{Mode: platform.OverloadOn, Limit: 1}
	e.SetRoute("blog", rt)
	if live := e.Live("blog"); len(live) != 2 || live[0] != (access.Live{App: "blog", Process: "api", Instances: 1, Limit: 1}) || live[1].Process != "web" {
		t.Fatalf("before the first request: %+v", live)
	}
	got := make(chan answer, 2)
	for range 2 {
		go func() { got <- e.get("blog.test") }()
	}
	for {
		if web := e.Live("blog")[1]; web.Open == 1 && web.Waiting == 1 && web.Instances == 1 && web.Limit == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	close(free)
	(<-got).want(t, 200, "done")
	(<-got).want(t, 200, "done")
	for { // a request is counted once its answer is out
		web := e.Live("blog")[1]
		if web.Minute.Requests == 2 && web.Open == 0 && web.Waiting == 0 && web.Minute.P50 > 0 && web.Minute.Concurrency > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if live := e.Live("nobody"); live != nil {
		t.Errorf("an unknown app has %+v", live)
	}
}

// What is made for the first request is made while routes and instances change:
// no gate may be left with what was true a moment before.
func TestWhatIsMadeForAFirstRequestKnowsOfEveryChange(t *testing.T) {
	one, two := backend(t, says("one")), backend(t, says("two"))
	e := serve(t, router.Options{})
	for i := range 60 {
		name := "app" + strconv.Itoa(i)
		wish := func(limit int, addresses ...string) *platform.Route {
			rt := route(name, limit, addresses...)
			for i := range rt.Backends {
				rt.Backends[i].Instance += "-" + name
			}
			if limit > 1 {
				rt.Edge.Overload = platform.Overload{Mode: platform.OverloadOn, Limit: limit}
			}
			return rt
		}
		e.SetRoute(name, wish(1, one))
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { e.get(name+".test").want(t, 200, "") })
		}
		all.Go(func() {
			e.SetRoute(name, wish(2, one, two))
			e.SetInstance("at-"+two+"-"+name, two, false)
			e.SetInstance("at-"+two+"-"+name, two, true)
		})
		all.Wait()
		if live := e.Live(name); len(live) != 1 || live[0].Limit != 2*2 || live[0].Instances != 2 || live[0].Minute.Requests+int64(live[0].Open) > 3 {
			t.Fatalf("%s: %+v", name, live)
		}
	}
}
