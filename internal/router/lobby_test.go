package router_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// holding is a route that has requests wait while nobody is up.
func holding(number int64, release int, instances ...string) *platform.Route {
	rt := &platform.Route{App: "blog", Hosts: []string{"blog.test"}, Release: release, Cutover: number, Hold: true}
	for _, id := range instances {
		rt.Backends = append(rt.Backends, platform.Backend{Instance: id})
	}
	return rt
}

// waiting returns once so many requests wait for the app.
func (e *edge) waiting(n int) {
	e.t.Helper()
	for deadline := time.Now().Add(hangs); e.Traffic("blog").Waiting != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			e.t.Fatalf("%d requests wait, want %d", e.Traffic("blog").Waiting, n)
		}
	}
}

// asks sends requests side by side; each answer comes by the channel.
func (e *edge) asks(n int, paths ...string) <-chan answer {
	answers := make(chan answer, n)
	path := "/"
	if len(paths) > 0 {
		path = paths[0]
	}
	for range n {
		req := e.request("GET", "blog.test", path, nil)
		go func() { answers <- e.do(req) }()
	}
	return answers
}

func TestNoRequestFailsWhileAnInstanceWaitsForTheEndOfAnother(t *testing.T) {
	e := serve(t, router.Options{})
	var inside, together atomic.Int32
	only := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if inside.Add(1) > 1 {
				together.Add(1)
			}
			_, _ = io.WriteString(w, name)
			inside.Add(-1)
		}
	}
	e.SetInstance("one", backend(t, only("one")), true)
	e.SetRoute("blog", holding(1, 1, "one"))
	e.get("blog.test").want(t, 200, "one") // it is up: nothing waits

	if err := e.Drain(t.Context(), "one", 0); err != nil {
		t.Fatal(err)
	}
	e.RemoveInstance("one")
	answers := e.asks(20)
	e.waiting(20)
	e.SetRoute("blog", holding(2, 2, "two"))
	e.waiting(20)
	e.SetInstance("two", backend(t, only("two")), false) // it starts
	e.waiting(20)
	e.SetInstance("two", backend(t, only("two")), true)
	for range 20 {
		(<-answers).want(t, 200, "two")
	}
	c := e.cutover()
	if c.Held != 20 || c.HeldLongest <= 0 || c.Requests != 20 || c.Failed != 0 || c.ToFailed != 0 {
		t.Errorf("the report is %+v", c)
	}
}

func TestWhoWaitsGoesInOrder(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetUnderWay(time.Hour) // only answers let the next one go
	e.SetRoute("blog", holding(1, 1))
	var all sync.WaitGroup
	for i := range 40 {
		req := e.request("GET", "blog.test", fmt.Sprintf("/%d", i), nil)
		all.Go(func() { e.do(req).want(t, 200, "") })
		e.waiting(i + 1)
	}
	var mu sync.Mutex
	var came []string
	gate, arrived := make(chan struct{}), make(chan struct{}, 41)
	address := backend(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		came = append(came, r.URL.Path)
		mu.Unlock()
		arrived <- struct{}{}
		<-gate
	})
	e.SetRoute("blog", holding(1, 1, "one"))
	e.SetInstance("one", address, true)
	// Sixteen are on their way and hang; what comes now stands behind the rest.
	for range 16 {
		<-arrived
	}
	e.waiting(24)
	late := e.asks(1, "/late")
	e.waiting(25)
	close(gate)
	all.Wait()
	<-late
	if at := slices.Index(came, "/late"); at < 25 {
		t.Errorf("who came last was served as number %d of %v", at, came)
	}
	first := slices.Sorted(slices.Values(came[:16]))
	for i := range 16 {
		if !slices.Contains(first, fmt.Sprintf("/%d", i)) {
			t.Errorf("/%d was not among the first sixteen: %v", i, first)
		}
	}
}

func TestAFullLobbyTurnsAway(t *testing.T) {
	e := serve(t, router.Options{HoldRequests: 3})
	e.SetRoute("blog", holding(1, 1))
	answers := e.asks(3)
	e.waiting(3)
	a := e.get("blog.test")
	a.want(t, 503, "too many requests wait")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	// Other apps have their own.
	e.SetRoute("shop", route("shop", 1, backend(t, says("shop"))))
	e.get("shop.test").want(t, 200, "shop")
	e.SetRoute("blog", shift(1, 1, backend(t, says("blog"))))
	for range 3 {
		(<-answers).want(t, 200, "blog")
	}
}

func TestAClientThatLeavesMakesRoom(t *testing.T) {
	e := serve(t, router.Options{HoldRequests: 1})
	e.SetRoute("blog", holding(1, 1))
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	impatient := e.request("GET", "blog.test", "/", nil).WithContext(ctx)
	go func() {
		_, err := client(t).Do(impatient)
		gone <- err
	}()
	e.waiting(1)
	leave()
	if err := <-gone; err == nil {
		t.Fatal("it got an answer")
	}
	e.waiting(0)
	answers := e.asks(1)
	e.waiting(1)
	e.SetRoute("blog", shift(1, 1, backend(t, says("blog"))))
	(<-answers).want(t, 200, "blog")
}

func TestWaitingHasAnEnd(t *testing.T) {
	e := serve(t, router.Options{HoldTime: 50 * time.Millisecond})
	e.SetRoute("blog", holding(1, 1))
	a := e.get("blog.test")
	if a.want(t, 503, ""); e.loops == 0 || !strings.Contains(a.body, "is being replaced") { // it may be over while a loop hands it over
		a.want(t, 503, "No instance of the app blog is running")
	}
	// An app that had nobody for so long has nobody wait anew.
	e.get("blog.test").want(t, 503, "is being replaced")
	e.waiting(0)
	// When it has been up, that is over.
	e.SetInstance("one", backend(t, says("one")), true)
	e.SetRoute("blog", holding(1, 1, "one"))
	e.get("blog.test").want(t, 200, "one")
}

func TestWhoWaitsSeesTheRouteChange(t *testing.T) {
	maintenance, nobody := holding(1, 1), holding(1, 1)
	maintenance.Maintenance = true
	nobody.Hold = false
	for name, change := range map[string]struct {
		route  *platform.Route
		status int
		says   string
	}{
		"to maintenance":       {maintenance, 503, "in maintenance"},
		"to one that holds no": {nobody, 503, "No instance of the app blog is running"},
		"to none":              {nil, 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := serve(t, router.Options{})
			e.SetRoute("blog", holding(1, 1))
			answers := e.asks(2)
			e.waiting(2)
			e.SetRoute("blog", change.route)
			for range 2 {
				(<-answers).want(t, change.status, change.says)
			}
		})
	}
}

func TestWhoWaitsFollowsTheHostToAnotherApp(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", holding(1, 1))
	answers := e.asks(3)
	e.waiting(3)
	taken := route("diary", 1, backend(t, says("diary")))
	taken.Hosts = []string{"blog.test"}
	e.SetRoute("diary", taken)
	left := holding(1, 1)
	left.Hosts = nil
	e.SetRoute("blog", left)
	for range 3 {
		(<-answers).want(t, 200, "diary")
	}
}

func TestUpgradesWaitAsWell(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", holding(1, 1))
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	e.waiting(1)
	e.SetRoute("blog", shift(1, 1, backend(t, func(w http.ResponseWriter, _ *http.Request) {
		inner, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer inner.Close()
		_, _ = io.WriteString(inner, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello")
	})))
	if got, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(got), "hello") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestABodyWaitsWithItsClient(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", holding(1, 1))
	body := strings.Repeat("x", 1<<20)
	req := e.request("POST", "blog.test", "/", strings.NewReader(body))
	got := make(chan answer, 1)
	go func() { got <- e.do(req) }()
	e.waiting(1)
	e.SetRoute("blog", shift(1, 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n, err)
	})))
	(<-got).want(t, 200, "1048576 <nil>")
}
