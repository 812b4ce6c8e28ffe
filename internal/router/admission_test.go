package router_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/access"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// gated leads shop.test to one instance under an edge.
func gated(e *edge, wish platform.Edge, h http.HandlerFunc) {
	rt := route("shop", 1, backend(e.t, h))
	rt.Edge = wish
	e.SetRoute("shop", rt)
}

func limit(n int) platform.Edge {
	return platform.Edge{Overload: platform.Overload{Limit: n}}
}

// ask asks shop.test and returns the answer, its body read.
func ask(t *testing.T, e *edge, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+e.addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "shop.test"
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return &http.Response{Header: http.Header{}}
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res
}

// busy is an app that tells how many requests it has at a time, and ends them
// when told.
type busy struct {
	mu      sync.Mutex
	now     int
	most    int
	entered chan struct{}
	end     chan struct{}
}

func newBusy() *busy { return &busy{entered: make(chan struct{}, 1000), end: make(chan struct{})} }

func (b *busy) serve(http.ResponseWriter, *http.Request) {
	b.mu.Lock()
	b.now++
	b.most = max(b.most, b.now)
	b.mu.Unlock()
	b.entered <- struct{}{}
	<-b.end
	b.mu.Lock()
	b.now--
	b.mu.Unlock()
}

func TestAnInstanceHasNoMoreRequestsThanItsLimitAndTheOthersWait(t *testing.T) {
	e, app := serve(t, router.Options{}), newBusy()
	gated(e, limit(2), app.serve)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if res := ask(t, e); res.StatusCode != http.StatusOK {
				t.Errorf("a request that waited for its turn: %s", res.Status)
			}
		})
	}
	<-app.entered
	for range 9 { // there are always two
		<-app.entered
		app.end <- struct{}{}
	}
	app.end <- struct{}{}
	all.Wait()
	if app.most != 2 {
		t.Errorf("the instance had %d requests at a time", app.most)
	}
}

func TestAnAppWithoutALimitIsOnlyObserved(t *testing.T) {
	e, app := serve(t, router.Options{}), newBusy()
	gated(e, platform.Edge{}, app.serve)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if res := ask(t, e); res.StatusCode != http.StatusOK {
				t.Errorf("%s", res.Status)
			}
		})
	}
	for range 100 {
		<-app.entered // all at once
	}
	close(app.end)
	all.Wait()
}

// within tries again and again until something fits that is so for a moment, which
// may be over on a slow machine: what an app says of itself counts for a second.
func within(fits func() bool) bool {
	for range 20 {
		if fits() {
			return true
		}
	}
	return false
}

func TestWhatTheAppSaysItStillTakesIsKeptTo(t *testing.T) {
	why := make(chan string, 10)
	e := serve(t, router.Options{Access: func(a router.Access) { why <- a.Why }})
	seen := make(chan http.Header, 10)
	gated(e, platform.Edge{Overload: platform.Overload{Limit: 4, Classes: []platform.OverloadClass{
		{Class: "critical", Header: "X-Urgent", Value: "*"},
	}}}, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		w.Header().Set("X-Load-Level", "127") // critical alone
	})
	res := ask(t, e, "X-Request-Level", "0")
	if level := res.Header.Get("X-Load-Level"); res.StatusCode != http.StatusOK || level != "" {
		t.Errorf("the first: %s, and the client sees the level %q", res.Status, level)
	}
	if forged := (<-seen).Get("X-Request-Level"); forged != "" {
		t.Errorf("the client gave its request the level %q", forged)
	}
	if why := <-why; why != "" {
		t.Errorf("the access log says of the first: %q", why)
	}
	if !within(func() bool {
		if res = ask(t, e); res.StatusCode == http.StatusServiceUnavailable {
			return true
		}
		<-seen
		<-why
		return false
	}) {
		t.Fatalf("a normal one: %s", res.Status)
	}
	if after, _ := strconv.Atoi(res.Header.Get("Retry-After")); after < 1 {
		t.Errorf("Retry-After %d", after)
	}
	if why := <-why; why != "app" {
		t.Errorf("the access log says of the one that was refused: %q", why)
	}
	var snapshot access.Snapshot
	if !within(func() bool {
		if res = ask(t, e, "X-Urgent", "yes"); res.StatusCode != http.StatusOK {
			t.Fatalf("a critical one: %s", res.Status)
		}
		level, err := strconv.Atoi((<-seen).Get("X-Request-Level"))
		if err == nil && (level < 0 || level > 127) {
			t.Errorf("the app was told that it has the level %d", level)
		}
		if why := <-why; why != "" {
			t.Errorf("the access log says of a critical one: %q", why)
		}
		snapshot = e.Snapshot()
		return err == nil && len(snapshot.Gates) == 1 && snapshot.Gates[0].Level == 127
	}) {
		t.Error("the app was not told the level of a critical one")
	}
	if want := []access.Shed{{App: "shop", Class: "normal", Reason: "app", Requests: 1}}; !slices.Equal(snapshot.Shed, want) {
		t.Errorf("counted: %+v", snapshot.Shed)
	}
	if len(snapshot.Gates) != 1 || snapshot.Gates[0].Limit != 4 || snapshot.Gates[0].Level != 127 || snapshot.Gates[0].Mode != "on" {
		t.Errorf("gates: %+v", snapshot.Gates)
	}
}

func TestAClientThatAsksTooOftenHearsWhenToComeBack(t *testing.T) {
	e := serve(t, router.Options{})
	gated(e, platform.Edge{Rates: []platform.RateLimit{{By: "header:X-Key", PerSecond: 0.001, Burst: 2}}}, says("fine"))
	for i, want := range []int{200, 200, 429} {
		res := ask(t, e, "X-Key", "a")
		if res.StatusCode != want {
			t.Errorf("request %d: %s", i, res.Status)
		}
		if want == 429 && res.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
	}
	if want := []access.Shed{{App: "shop", Class: "normal", Reason: "rate", Requests: 1}}; !slices.Equal(e.Snapshot().Shed, want) {
		t.Errorf("counted: %+v", e.Snapshot().Shed)
	}
	if res := ask(t, e, "X-Key", "b"); res.StatusCode != 200 {
		t.Errorf("another client: %s", res.Status)
	}
}

func TestWhatIsOpenOfAClientCountsUntilItEnds(t *testing.T) {
	e, app := serve(t, router.Options{}), newBusy()
	gated(e, platform.Edge{Rates: []platform.RateLimit{{By: "client", Concurrent: 1}}}, app.serve)
	var first sync.WaitGroup
	first.Go(func() { ask(t, e) })
	<-app.entered
	if res := ask(t, e); res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a second one: %s", res.Status)
	}
	close(app.end)
	first.Wait()
	if res := ask(t, e); res.StatusCode != http.StatusOK {
		t.Errorf("after the first: %s", res.Status)
	}
}

func TestLongRequestsOfTheReleaseBeforeHoldUpNobody(t *testing.T) {
	e, old := serve(t, router.Options{}), newBusy()
	gated(e, limit(1), old.serve)
	var first sync.WaitGroup
	first.Go(func() { ask(t, e) })
	<-old.entered
	next := route("shop", 2, backend(t, says("new")))
	next.Edge = limit(1)
	e.SetRoute("shop", next)
	began := time.Now()
	if res := ask(t, e); res.StatusCode != http.StatusOK {
		t.Errorf("at the new release: %s after %v", res.Status, time.Since(began))
	}
	close(old.end)
	first.Wait()
	for range 3 { // the old one's slot was given back once, not twice
		if res := ask(t, e); res.StatusCode != http.StatusOK {
			t.Error(res.Status)
		}
	}
}

func TestEventsHoldNoSlot(t *testing.T) {
	e, end := serve(t, router.Options{}), make(chan struct{})
	gated(e, limit(1), func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") == "text/event-stream" {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			<-end
		}
	})
	req, _ := http.NewRequest(http.MethodGet, "http://"+e.addr+"/", strings.NewReader(""))
	req.Host = "shop.test"
	req.Header.Set("Accept", "text/event-stream")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	events, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if res := ask(t, e); res.StatusCode != http.StatusOK {
		t.Errorf("while events go on: %s", res.Status)
	}
	close(end)
	_ = events.Body.Close()
}

func TestWhoLeavesTheQueueTakesNoSlot(t *testing.T) {
	ended := make(chan int, 10)
	e, app := serve(t, router.Options{Access: func(a router.Access) { ended <- a.Status }}), newBusy()
	gated(e, limit(1), app.serve)
	var all sync.WaitGroup
	all.Go(func() { ask(t, e) })
	<-app.entered
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		for e.Live("shop")[0].Waiting == 0 {
			time.Sleep(time.Millisecond)
		}
		leave()
	}()
	if _, err := client(t).Do(e.request("GET", "shop.test", "/", nil).WithContext(ctx)); err == nil {
		t.Error("a request got past one that has the only slot")
	}
	if status := <-ended; status != 499 {
		t.Errorf("who left is logged with %d", status)
	}
	close(app.end)
	all.Wait()
	if res := ask(t, e); res.StatusCode != http.StatusOK {
		t.Error(res.Status)
	}
}

func TestLevelsPassBetweenRouterAndAppByEveryProtocolAndClientsNeitherSetNorSeeThem(t *testing.T) {
	clients := map[string]*http.Client{"HTTP/1.1": {Transport: &http.Transport{}}, "HTTP/2": h2c(t)}
	for name, client := range clients {
		e, seen := serve(t, router.Options{}), make(chan string, 10)
		gated(e, platform.Edge{Overload: platform.Overload{Limit: 4, Classes: []platform.OverloadClass{
			{Class: "bulk", Header: "X-Bulk", Value: "*"},
		}}}, func(w http.ResponseWriter, r *http.Request) {
			seen <- strings.Join(r.Header.Values("X-Request-Level"), ",")
			w.Header().Set("X-Load-Level", "383") // no background
		})
		ask := func(headers ...string) *http.Response {
			req := e.request(http.MethodGet, "shop.test", "/", nil)
			for i := 0; i < len(headers); i += 2 {
				req.Header.Add(headers[i], headers[i+1])
			}
			res, err := client.Do(req)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return res
			}
			if shown := res.Header.Get("X-Load-Level"); shown != "" {
				t.Errorf("%s: the client sees the level %q", name, shown)
			}
			return res
		}
		ask("X-Request-Level", "0", "x-request-level", "1")
		if forged := <-seen; forged != "" {
			t.Errorf("%s: clients gave their request the level %q", name, forged)
		}
		if told := ""; !within(func() bool { // the app has said something: now levels are looked at
			ask("X-Bulk", "yes", "X-Request-Level", "0")
			told = <-seen
			level, err := strconv.Atoi(told)
			return err == nil && level >= 256 && level <= 383
		}) {
			t.Errorf("%s: a bulk request came with the level %q", name, told)
		}
		if !within(func() bool {
			if res := ask("User-Agent", "some bot", "X-Request-Level", "0"); res.StatusCode == http.StatusServiceUnavailable {
				return true
			}
			<-seen
			return false
		}) {
			t.Errorf("%s: what the app does not take any more came to it", name)
		}
	}
}
