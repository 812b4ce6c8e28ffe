package router_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/access"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// serverEnv tells a copy of the test binary to be an app at an address.
const serverEnv = "SLIPWAY_TEST_SERVER"

// waitsAt is before the address of one that is ready to serve, and is told when.
const waitsAt = "wait "

// beServer serves until it is killed, once there is something to read where it
// waits for that.
func beServer(address string) {
	if at, waits := strings.CutPrefix(address, waitsAt); waits {
		fmt.Println("ready")
		if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
			os.Exit(1)
		}
		address = at
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(ln.Addr())
	_ = http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // a test's
		switch r.URL.Path {
		case "/poison":
			os.Exit(1)
		case "/words":
			repeatWord(w, r)
			return
		}
		time.Sleep(2 * time.Millisecond) // so that a kill meets some under way
		fmt.Fprint(w, os.Getpid())
	}))
}

// process is an app in a process of its own.
func process(t *testing.T, address string) (cmd *exec.Cmd, at string) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), serverEnv+"="+address), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if at, err = bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(at)
}

// ready is process for one that serves as soon as the other at its address has
// ended: how long a process takes to begin is the machine's.
func ready(t *testing.T, address string) (serve func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), serverEnv+"="+waitsAt+address), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return func() { _, _ = io.WriteString(in, "now") }
}

// alone is an address with a port of the kernel's that no other process of tests, and
// no connection of them, is given as its own meanwhile: who dies and comes again finds
// it free, and once nobody listens there nobody does.
func alone() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d:0", 1+pid>>14&0x7f, pid>>7&0x7f, 2+pid&0x7f)
}

// load asks from several clients until stop is called, which tells how many
// were asked and what was no 200.
func (e *edge) load(clients int) (asked *atomic.Int64, stop func() (wrong []string)) {
	asked = new(atomic.Int64)
	var over atomic.Bool
	var mu sync.Mutex
	var all sync.WaitGroup
	var wrong []string
	for range clients {
		c := client(e.t)
		all.Go(func() {
			for !over.Load() {
				text, err := fetch(c, e.request("GET", "blog.test", "/", nil))
				asked.Add(1)
				if err != nil {
					mu.Lock()
					wrong = append(wrong, fmt.Sprint(err, text))
					mu.Unlock()
				}
			}
		})
	}
	return asked, func() []string {
		over.Store(true)
		all.Wait()
		return wrong
	}
}

func fetch(c *http.Client, req *http.Request) (string, error) {
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != 200 {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return string(text), err
}

// reach waits until a counter has a value.
func reach(t *testing.T, n *atomic.Int64, value int64) {
	t.Helper()
	for deadline := time.Now().Add(hangs); n.Load() < value; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d were asked", n.Load(), value)
		}
	}
}

func TestAKillOfOneOfTwoUnderLoadFailsNothing(t *testing.T) {
	first, one := process(t, alone())
	_, two := process(t, alone())
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, one, two))
	asked, stop := e.load(16)
	reach(t, asked, 500)
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	reach(t, asked, asked.Load()+1000)
	process(t, one) // it is started again
	reach(t, asked, asked.Load()+1000)
	if wrong := stop(); len(wrong) > 0 {
		t.Errorf("%d of %d failed: %.200s", len(wrong), asked.Load(), wrong)
	}
	pool := e.Snapshot().Pools[0]
	if pool.Quarantines == 0 || pool.Retries == 0 || pool.Open != 0 {
		t.Errorf("the crash was not met: %+v", pool)
	}
}

func TestARestartOfTheOnlyInstanceUnderLoadFailsNothing(t *testing.T) {
	only, at := process(t, alone())
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, at))
	asked, stop := e.load(4)
	next := ready(t, at)
	reach(t, asked, 200)
	if err := only.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = only.Wait()
	next()
	reach(t, asked, asked.Load()+200)
	if wrong := stop(); len(wrong) > 0 {
		t.Errorf("%d of %d failed: %.200s", len(wrong), asked.Load(), wrong)
	}
}

func TestARequestThatEndsItsInstanceEndsTwoAtMost(t *testing.T) {
	for range 3 {
		e := serve(t, router.Options{UpstreamIdle: time.Hour})
		var all []string
		ended := make(chan struct{}, 3)
		for range 3 {
			cmd, at := process(t, alone())
			all = append(all, at)
			go func() { _, _ = cmd.Process.Wait(); ended <- struct{}{} }()
		}
		e.SetRoute("blog", route("blog", 1, all...))
		asked, stop := e.load(8) // so that there are old connections to all of them
		reach(t, asked, 100)
		if wrong := stop(); len(wrong) > 0 {
			t.Fatal(wrong)
		}
		e.do(e.request("GET", "blog.test", "/poison", nil)).want(t, 502, "ended the connection")
		<-ended
		<-ended
		e.get("blog.test").want(t, 200, "")
		if len(ended) > 0 {
			t.Error("all three ended")
		}
	}
}

func TestAProcessTypeThatIsAwayIsSoThoughAnotherServes(t *testing.T) {
	e := serve(t, router.Options{})
	rt := route("blog", 1, backend(t, says("web")))
	rt.Paths = []platform.PathRoute{{Process: "api", Patterns: []string{"/api"}}}
	rt.Backends = append(rt.Backends, platform.Backend{Instance: "api", Process: "api", Address: nobody(t)})
	e.SetRoute("blog", rt)
	_, stop := e.load(2)
	e.do(e.request("GET", "blog.test", "/api", nil)).want(t, 503, "accepts connections")
	if wrong := stop(); len(wrong) > 0 {
		t.Errorf("the others failed: %.200s", wrong)
	}
}

func TestOneThatFailsEveryRequestIsLeftAlone(t *testing.T) {
	var failed atomic.Int64
	bad := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		failed.Add(1)
		w.WriteHeader(500)
	})
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, bad, backend(t, says("ok")), backend(t, says("ok"))))
	for range 200 {
		e.get("blog.test")
	}
	// Five in a row are enough, fewer if it was slow beside; and one whenever the
	// time is over for which it was left alone.
	pool := e.Snapshot().Pools[0]
	if n := failed.Load(); n < 1 || n > 5+pool.Ejections {
		t.Errorf("%d of 200 went to it: %+v", n, pool)
	}
}

func sticky(mode string, addresses ...string) *platform.Route {
	rt := route("blog", 1, addresses...)
	rt.Edge.Balance.Sticky = mode
	return rt
}

func TestAClientWithItsCookieStaysUntilItsInstanceDrains(t *testing.T) {
	one, two := backend(t, says("one")), backend(t, says("two"))
	e := serve(t, router.Options{})
	e.SetRoute("blog", sticky("cookie", one, two))
	first := e.get("blog.test")
	set := first.Cookies()
	if len(set) != 1 || !set[0].HttpOnly || set[0].SameSite != http.SameSiteLaxMode || set[0].Secure || set[0].Path != "/" {
		t.Fatalf("got %v", first.Header["Set-Cookie"])
	}
	ask := func() answer {
		req := e.request("GET", "blog.test", "/", nil)
		req.AddCookie(set[0])
		return e.do(req)
	}
	for range 20 {
		if again := ask(); again.body != first.body || again.Header["Set-Cookie"] != nil {
			t.Fatalf("%s after %s, %v", again.body, first.body, again.Header)
		}
	}
	at, other := one, "two"
	if first.body == "two" {
		at, other = two, "one"
	}
	if err := e.Drain(t.Context(), "at-"+at, 0); err != nil {
		t.Fatal(err)
	}
	moved := ask()
	moved.want(t, 200, other)
	if len(moved.Cookies()) != 1 || moved.Cookies()[0].Value == set[0].Value {
		t.Errorf("it is not told where it is now: %v", moved.Header)
	}
}

func TestNoSharedCacheKeepsAnAnswerWithSomebodysCookie(t *testing.T) {
	said := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if v := r.URL.Query().Get("cache"); v != "" {
			w.Header().Set("Cache-Control", v)
		}
	})
	e := serve(t, router.Options{})
	rt := sticky("cookie", said)
	e.SetRoute("blog", rt)
	ask := func(cache string, cookie *http.Cookie) answer {
		req := e.request("GET", "blog.test", "/?cache="+url.QueryEscape(cache), nil)
		if cookie != nil {
			req.AddCookie(cookie)
		}
		return e.do(req)
	}
	for _, c := range []struct{ app, want string }{
		{"", "private"},
		{"public, max-age=60", "public, max-age=60; private"},
		{"no-cache", "no-cache; private"},
		{`private="x-user"`, `private="x-user"; private`},
		{"no-store", "no-store"},
		{"max-age=60, Private", "max-age=60, Private"},
	} {
		got := ask(c.app, nil)
		if said := strings.Join(got.Header.Values("Cache-Control"), "; "); said != c.want || len(got.Cookies()) != 1 {
			t.Errorf("%q became %q, with %v", c.app, said, got.Cookies())
		}
		if again := ask(c.app, got.Cookies()[0]); again.Header.Get("Cache-Control") != c.app {
			t.Errorf("%q became %q where no cookie is set", c.app, again.Header.Get("Cache-Control"))
		}
	}
	rt.Edge.Headers = map[string]string{"Cache-Control": "public"} // in the place of the app's
	e.SetRoute("blog", rt)
	if said := strings.Join(ask("private", nil).Header.Values("Cache-Control"), "; "); said != "public; private" {
		t.Errorf("with the team's own: %q", said)
	}
}

func TestACookieThatSomebodyMadeUpIsReplaced(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", sticky("cookie", backend(t, says("one"))))
	req := e.request("GET", "blog.test", "/", nil)
	req.AddCookie(&http.Cookie{Name: "slipway_instance", Value: "at-127.0.0.1:1"})
	if got := e.do(req); len(got.Cookies()) != 1 {
		t.Errorf("got %v", got.Header)
	}
}

func TestAClientStaysByItsAddress(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", sticky("client", backend(t, says("one")), backend(t, says("two")), backend(t, says("three"))))
	first := e.get("blog.test")
	for range 20 {
		if again := e.get("blog.test"); again.body != first.body || again.Header["Set-Cookie"] != nil {
			t.Fatalf("%s after %s", again.body, first.body)
		}
	}
}

func TestMoreThanAnInstanceMayHaveIsRefusedUntilOneEnds(t *testing.T) {
	arrived, free := make(chan struct{}, 2), make(chan struct{})
	e := serve(t, router.Options{})
	rt := route("blog", 1, backend(t, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-free }))
	rt.Edge.Balance.MaxConcurrent = 2
	e.SetRoute("blog", rt)
	var held sync.WaitGroup
	for range 2 {
		held.Go(func() { e.get("blog.test").want(t, 200, "") })
		<-arrived
	}
	busy := e.get("blog.test")
	busy.want(t, 503, "as many requests as it may have")
	if busy.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if shed := e.Snapshot().Shed; len(shed) != 1 || shed[0] != (access.Shed{App: "blog", Class: "any", Reason: "instances", Requests: 1}) {
		t.Errorf("it is counted as %+v", shed)
	}
	close(free)
	held.Wait()
	e.get("blog.test").want(t, 200, "")
}

func TestAnAppThatWantsNoRetriesHasNone(t *testing.T) {
	addr, dropped := fickle(t)
	e := serve(t, router.Options{})
	rt, none := route("blog", 1, addr), 0
	rt.Edge.Balance.Retries = &none
	e.SetRoute("blog", rt)
	for range 1000 {
		before := dropped.Load()
		if a := e.get("blog.test"); dropped.Load() > before {
			a.want(t, 502, "ended the connection")
			return
		}
	}
	t.Error("no connection was used twice")
}

func TestWhatCameOfRequestsIsCountedByAppAndProcessType(t *testing.T) {
	told := make(chan router.Access, 10)
	e := serve(t, router.Options{
		Access:  func(a router.Access) { told <- a },
		Sampled: func(share *int, failed bool) bool { return failed || share == nil },
	})
	rt := route("blog", 3, backend(t, says("hello")))
	e.SetRoute("blog", rt)
	req := e.request("POST", "blog.test", "/a?b=c", strings.NewReader("12345"))
	req.Header.Set("User-Agent", "me")
	e.do(req).want(t, 200, "hello")
	if a := <-told; a.App != "blog" || a.Process != "web" || a.Path != "/a" || a.Query != "b=c" || a.Bytes != 5 || a.In != 5 || a.Agent != "me" || a.Scheme != "http" {
		t.Errorf("told %+v", a)
	}
	none := 0
	rt.Edge.Log.Sample = &none
	e.SetRoute("blog", rt)
	e.get("blog.test")
	e.SetRoute("blog", &platform.Route{App: "blog", Hosts: []string{"blog.test"}, Release: 3})
	e.get("blog.test").want(t, 503, "No instance")
	if a := <-told; a.Status != 503 {
		t.Errorf("told %+v of an app that wants failures alone", a)
	}
	exported := access.NewExporter(e.Metrics(), nil, e.Snapshot)
	for _, want := range []string{
		`slipway_requests_total{app="blog",class="2xx",process="web"} 2`, `slipway_requests_total{app="blog",class="5xx",process="web"} 1`,
		`slipway_request_bytes_total{app="blog",process="web"} 5`, `slipway_response_bytes_total{app="blog",process="web"}`,
	} {
		if text := scrape(t, exported); !strings.Contains(text, want) {
			t.Errorf("missing %s", want)
		}
	}
	for _, none := range []string{`slipway_connections_total{door="http"} 0`, "slipway_upstream_connect_seconds_count 0"} {
		if text := scrape(t, exported); strings.Contains(text, none) {
			t.Errorf("not counted: %s", none)
		}
	}
	if live := e.Live("blog"); len(live) != 1 || live[0].Minute.Requests != 3 || live[0].Minute.Failed != 1 {
		t.Errorf("live: %+v", live)
	}
	e.SetRoute("blog", nil)
	if text := scrape(t, exported); strings.Contains(text, `app="blog"`) {
		t.Error("an app that went is still told of")
	}
}

func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	addr := backend(t, h.ServeHTTP)
	res, err := client(t).Get("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return string(text)
}
