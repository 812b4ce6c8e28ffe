package router_test

import (
	"net/http"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

func TestTheStatusOfAnAppIsWhatCameToItAndToNoOther(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, says("blog"))))
	e.SetRoute("sick", route("sick", 1, backend(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })))
	for range 3 {
		e.get("blog.test").want(t, 200, "blog")
	}
	e.get("sick.test").want(t, 500, "")
	for app, want := range map[string]struct{ requests, failed int64 }{"blog": {3, 0}, "sick": {1, 1}} {
		status := e.Status(app)
		if len(status.Processes) != 1 {
			t.Fatalf("%s has %+v", app, status)
		}
		if p := status.Processes[0]; p.Process != "web" || p.Sound != 1 || p.Minute.Requests != want.requests || p.Minute.Failed != want.failed || p.Minute.P50 <= 0 {
			t.Errorf("%s has %+v", app, p)
		}
	}
	if status := e.Status("nobody"); !platform.Same(status, platform.EdgeStatus{}) {
		t.Errorf("an app that is not there has %+v", status)
	}
}
