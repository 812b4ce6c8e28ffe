package router_test

import (
	"io"
	"net/http"
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
