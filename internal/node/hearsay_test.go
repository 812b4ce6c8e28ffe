package node_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/node"
	"github.com/slipway-paas/slipway/internal/platform"
)

// routerAt is one of several that lead to the same instances.
type routerAt struct {
	w       *world
	socket  string
	address string
}

// routers are two nodes that lead blog to the addresses, of one control plane.
func (w *world) routers(edge platform.Edge, apps ...http.HandlerFunc) (all []routerAt) {
	w.Helper()
	for _, name := range []string{"one", "two"} {
		p := w.launchAs(name, name, name+"-rt")
		select {
		case <-p.serving:
		case <-p.ended:
			w.Fatalf("the node ended: %v", p.err)
		}
		info, err := node.Status(w.Context(), w.path(name+"/node.sock"))
		if err != nil {
			w.Fatal(err)
		}
		all = append(all, routerAt{w, w.path(name + "/node.sock"), info.HTTP})
	}
	route := &platform.Route{App: "blog", Hosts: []string{"blog.localhost"}, Release: 1, Edge: edge}
	for i, app := range apps {
		server := httptest.NewServer(app)
		w.Cleanup(server.Close)
		route.Backends = append(route.Backends, platform.Backend{Instance: fmt.Sprintf("blog-%d", i), Address: strings.TrimPrefix(server.URL, "http://")})
	}
	version, err := w.fleet.SetRoute("blog", route)
	if err != nil {
		w.Fatal(err)
	}
	w.acked(version)
	return all
}

func (r routerAt) get() (status int) {
	request, _ := http.NewRequest(http.MethodGet, "http://"+r.address+"/", nil)
	request.Host = "blog.localhost"
	answer, err := fresh.RoundTrip(request)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// until waits until what a router counts fits.
func (r routerAt) until(what string, fits func(platform.EdgeStatus) bool) {
	r.w.Helper()
	for deadline := time.Now().Add(patience); ; {
		status, err := node.EdgeStatus(r.w.Context(), r.socket, "blog")
		if err != nil {
			r.w.Fatal(err)
		}
		if fits(status) {
			return
		}
		if time.Now().After(deadline) {
			r.w.Fatalf("waited until %s: %+v", what, status)
		}
	}
}

func TestWhatOneRouterEjectedHasToProveItselfAtTheOther(t *testing.T) {
	var failed atomic.Int64
	w := newWorld(t)
	all := w.routers(platform.Edge{}, func(http.ResponseWriter, *http.Request) {}, func(rw http.ResponseWriter, _ *http.Request) {
		failed.Add(1)
		rw.WriteHeader(http.StatusInternalServerError)
	})
	for all[1].get() == http.StatusNotFound { // that it has the route is waited for where its node was there already
	}
	for failed.Store(0); failed.Load() < 5; {
		all[0].get()
	}
	doubted := func(s platform.EdgeStatus) bool {
		all[0].get() // who ejected it has it for some seconds only, and tells of it again when it fails again
		return len(s.Processes) == 1 && s.Processes[0].HalfOpen == 1
	}
	all[1].until("the other doubts it", doubted)
	failed.Store(0)
	for deadline := time.Now().Add(patience); failed.Load() == 0; all[1].get() { // not at once where its first answer took long
		if time.Now().After(deadline) {
			t.Fatal("it may not prove itself")
		}
	}
	begun := time.Now()
	for range 40 {
		all[1].get()
	}
	if n := failed.Load(); n > int64(2+ejections(begun)) {
		t.Errorf("%d requests went to it", n)
	}
}

func TestALimitThatWasToldIsDividedAmongRouters(t *testing.T) {
	w := newWorld(t)
	all := w.routers(platform.Edge{Overload: platform.Overload{Limit: 8}}, func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) })
	var over atomic.Bool
	var clients sync.WaitGroup
	for _, r := range all {
		for range 12 {
			clients.Go(func() {
				for !over.Load() {
					r.get()
				}
			})
		}
	}
	defer clients.Wait()
	defer over.Store(true)
	limit := func(least, most int) func(s platform.EdgeStatus) bool {
		return func(s platform.EdgeStatus) bool {
			return len(s.Gates) == 1 && s.Gates[0].Limit >= least && s.Gates[0].Limit <= most
		}
	}
	for _, r := range all {
		r.until("it has a part of the limit", limit(1, 6))
	}
	w.crash() // now each decides alone
	for _, r := range all {
		r.until("it has the whole limit again", limit(8, 8))
	}
	w.begin()
	for _, r := range all {
		r.until("it has a part of the limit again", limit(1, 6))
	}
}
