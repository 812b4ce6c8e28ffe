package router_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/leaktest"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(serverEnv); address != "" {
		beServer(address)
	}
	leaktest.Main(m)
}

// hangs is when a test that waits is taken to hang: nothing is meant to take as
// long on any machine.
const hangs = 2 * time.Minute

// edge is a router that serves on a port of its own.
type edge struct {
	*router.Router
	addr string
	t    testing.TB
	// ended, when not nil, gets a token once a request was counted.
	ended chan struct{}
	loops int
}

// loopsEnv has all tests go by loops: see TestEverythingHoldsByLoopsToo.
const loopsEnv = "SLIPWAY_TEST_LOOPS"

func serve(t testing.TB, opt router.Options) *edge {
	t.Helper()
	if os.Getenv(loopsEnv) != "" {
		opt.Loops = 1
	}
	return serves(t, router.New(slog.New(slog.DiscardHandler), opt), opt.Loops)
}

// serves has a router serve until the test ends.
func serves(t testing.TB, r *router.Router, loops int) *edge {
	t.Helper()
	ln := listenAt(t, alone()) // where nobody else listens once it does not
	done := make(chan error, 1)
	go func() { done <- r.Serve(ln) }()
	t.Cleanup(func() {
		r.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return &edge{Router: r, addr: ln.Addr().String(), t: t, loops: loops}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	return listenAt(t, "127.0.0.1:0")
}

func listenAt(t testing.TB, address string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// backend is an app's instance.
func backend(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.DisableGeneralOptionsHandler = true
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, text) }
}

// route leads <app>.test to instances named after their addresses.
func route(app string, release int, addresses ...string) *platform.Route {
	rt := &platform.Route{App: app, Hosts: []string{app + ".test"}, Release: release}
	for _, a := range addresses {
		rt.Backends = append(rt.Backends, platform.Backend{Instance: "at-" + a, Address: a})
	}
	return rt
}

// answer is what a client got.
type answer struct {
	*http.Response
	body string
}

func client(t testing.TB) *http.Client {
	t.Helper()
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// roundTrip sends a request as it is and reads the whole answer.
func roundTrip(t testing.TB, tr http.RoundTripper, req *http.Request) answer {
	t.Helper()
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res, string(text)}
}

func (e *edge) request(method, host, path string, body io.Reader) *http.Request {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), method, "http://"+e.addr+path, body)
	if err != nil {
		e.t.Fatal(err)
	}
	req.Host = host
	return req
}

func (e *edge) do(req *http.Request) answer {
	e.t.Helper()
	got := roundTrip(e.t, client(e.t).Transport, req)
	if e.ended != nil {
		<-e.ended
	}
	return got
}

func (e *edge) get(host string) answer {
	e.t.Helper()
	return e.do(e.request("GET", host, "/", nil))
}

func (a answer) want(t *testing.T, status int, contains string) {
	t.Helper()
	if a.StatusCode != status || !strings.Contains(a.body, contains) {
		t.Errorf("got %d %q, want %d with %q", a.StatusCode, a.body, status, contains)
	}
}

// raw sends bytes and returns all that comes back until the router closes.
func (e *edge) raw(text string) string {
	e.t.Helper()
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(hangs))
	_, _ = io.WriteString(conn, text) // who is refused may be so in the middle of it
	got, _ := io.ReadAll(conn)
	return string(got)
}

// already is raw for bytes that are there before the router looks.
func (e *edge) already(text string) string {
	e.t.Helper()
	ln := listen(e.t)
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		e.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(hangs))
	if _, err := io.WriteString(conn, text); err != nil {
		e.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- e.Serve(ln) }()
	e.t.Cleanup(func() {
		e.Close()
		if err := <-done; err != nil {
			e.t.Errorf("Serve: %v", err)
		}
	})
	got, _ := io.ReadAll(conn)
	return string(got)
}

func TestSetAllReplacesEverything(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("old", route("old", 1, backend(t, says("old"))))
	e.SetRoute("kept", route("kept", 1, backend(t, says("kept 1"))))
	e.SetAll(platform.EdgeState{}, []platform.Route{
		*route("kept", 2, backend(t, says("kept 2"))), *route("fresh", 1, backend(t, says("fresh"))),
	})
	e.get("old.test").want(t, 404, "")
	e.get("kept.test").want(t, 200, "kept 2")
	e.get("fresh.test").want(t, 200, "fresh")
}

func TestAnAppWithoutInstancesIsUnavailable(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1))
	a := e.get("blog.test")
	a.want(t, 503, "No instance of the app blog is running")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestMaintenanceIsAnsweredByTheRouter(t *testing.T) {
	e := serve(t, router.Options{})
	rt := route("blog", 1, backend(t, says("blog")))
	rt.Maintenance = true
	e.SetRoute("blog", rt)
	e.get("blog.test").want(t, 503, "The app blog is in maintenance")
	rt.Maintenance = false
	e.SetRoute("blog", rt)
	e.get("blog.test").want(t, 200, "blog")
}

func TestPagesComeInTheFormTheClientReads(t *testing.T) {
	e := serve(t, router.Options{})
	for accept, kind := range map[string]string{
		"": "text/plain", "*/*": "text/plain", "text/html,application/xhtml+xml": "text/html", "application/json": "application/json",
	} {
		req := e.request("GET", "nobody.test", "/", nil)
		req.Header.Set("Accept", accept)
		a := e.do(req)
		a.want(t, 404, "nobody.test")
		if got := a.Header.Get("Content-Type"); !strings.HasPrefix(got, kind) {
			t.Errorf("Accept %q got %q", accept, got)
		}
	}
	req := e.request("HEAD", "nobody.test", "/", nil)
	if a := e.do(req); a.StatusCode != 404 || a.body != "" {
		t.Errorf("HEAD got %d %q", a.StatusCode, a.body)
	}
}

func TestPagesReflectNothingThatIsNoHostName(t *testing.T) {
	e := serve(t, router.Options{})
	for _, host := range []string{"<script>", "a b", "x'onload='", "%3Cscript%3E", ".", "a/../b"} {
		got := e.raw("GET / HTTP/1.1\r\nHost: " + host + "\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 400") || strings.Contains(got, host) && host != "." {
			t.Errorf("host %q got %q", host, got)
		}
	}
}

func TestWhatTheNodeKnowsOfAnInstanceWins(t *testing.T) {
	e := serve(t, router.Options{})
	remote, local := backend(t, says("remote")), backend(t, says("local"))
	e.SetRoute("blog", &platform.Route{
		App: "blog", Hosts: []string{"blog.test"}, Release: 1,
		Backends: []platform.Backend{{Instance: "i1", Address: remote}},
	})
	e.get("blog.test").want(t, 200, "remote")
	e.SetInstance("i1", local, true)
	e.get("blog.test").want(t, 200, "local")
	e.SetInstance("i1", local, false)
	e.get("blog.test").want(t, 503, "No instance")
	e.SetInstance("i1", local, true)
	e.get("blog.test").want(t, 200, "local")
	e.RemoveInstance("i1")
	e.RemoveInstance("i1")
	e.get("blog.test").want(t, 200, "remote")
}

func TestAnInstanceMayBeKnownBeforeItsRouteAndTheOtherWayRound(t *testing.T) {
	e := serve(t, router.Options{})
	rt := &platform.Route{App: "blog", Hosts: []string{"blog.test"}, Release: 1, Backends: []platform.Backend{{Instance: "i1"}}}
	e.SetRoute("blog", rt)
	e.get("blog.test").want(t, 503, "No instance")
	e.SetInstance("i1", backend(t, says("first")), true)
	e.get("blog.test").want(t, 200, "first")
	e.SetInstance("i2", backend(t, says("second")), true)
	rt.Backends = []platform.Backend{{Instance: "i2"}}
	e.SetRoute("blog", rt)
	e.get("blog.test").want(t, 200, "second")
}

func TestAnInstanceStartedAgainUnderItsIdServesAgain(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", &platform.Route{App: "blog", Hosts: []string{"blog.test"}, Release: 1, Backends: []platform.Backend{{Instance: "i1"}}})
	e.SetInstance("i1", backend(t, says("first")), true)
	e.get("blog.test").want(t, 200, "first")
	if err := e.Drain(t.Context(), "i1", 0); err != nil {
		t.Fatal(err)
	}
	e.SetInstance("i1", backend(t, says("too early")), true)
	e.get("blog.test").want(t, 503, "No instance")
	e.RemoveInstance("i1")
	e.SetInstance("i1", backend(t, says("second")), true)
	e.get("blog.test").want(t, 200, "second")
}

func TestTheControlPlaneAnswersUnderItsNames(t *testing.T) {
	e := serve(t, router.Options{})
	control := &httptest.Server{Listener: listenAt(t, alone()), Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.URL.Path, body)
	})}}
	control.Start()
	defer control.Close()
	state := platform.EdgeState{Domain: "test", ControlHosts: []string{"slipway.test", "deis.test", "git.test"}, Control: control.Listener.Addr().String()}
	e.SetEdge(state)
	e.SetRoute("slipway", route("slipway", 1, backend(t, says("an app")))) // cannot take the name
	a := e.do(e.request("DELETE", "slipway.test", "/v2/apps/x/perms", strings.NewReader(`{"username":"u"}`)))
	a.want(t, 200, `DELETE slipway.test /v2/apps/x/perms {"username":"u"}`)
	e.get("git.test:8080").want(t, 200, "GET git.test:8080 /")
	control.Close()
	a = e.get("slipway.test")
	a.want(t, 503, "control plane of this platform does not answer")
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	moved := backend(t, says("moved"))
	state.Control = moved
	e.SetEdge(state)
	e.get("deis.test").want(t, 200, "moved")
}

func TestTheControlPlaneIsReachedThroughASocketOfItsOwn(t *testing.T) {
	e := serve(t, router.Options{})
	path := filepath.Join(t.TempDir(), "api.sock")
	socket, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	control := &httptest.Server{Listener: socket, Config: &http.Server{Handler: says("by socket")}}
	control.Start()
	defer control.Close()
	e.SetEdge(platform.EdgeState{Domain: "test", ControlHosts: []string{"slipway.test"}, Control: "unix:" + path})
	e.get("slipway.test").want(t, 200, "by socket")
	control.Close()
	e.get("slipway.test").want(t, 503, "control plane of this platform does not answer")
}

func TestLoadIsSharedAndLeansToTheLessBusy(t *testing.T) {
	e := serve(t, router.Options{})
	var mu sync.Mutex
	counts := map[string]int{}
	count := func(name string) http.HandlerFunc {
		return func(http.ResponseWriter, *http.Request) {
			mu.Lock()
			counts[name]++
			mu.Unlock()
		}
	}
	held := make(chan struct{})
	var arrived sync.WaitGroup
	stuck := backend(t, func(w http.ResponseWriter, r *http.Request) {
		count("stuck")(w, r)
		arrived.Done()
		<-held
	})
	e.SetRoute("blog", route("blog", 1, stuck))
	var clients sync.WaitGroup
	for range 5 {
		arrived.Add(1)
		req := e.request("GET", "blog.test", "/", nil)
		clients.Go(func() { e.do(req) })
	}
	arrived.Wait()
	if n := e.InFlight("at-" + stuck); n != 5 {
		t.Errorf("%d in flight, want 5", n)
	}
	e.SetRoute("blog", route("blog", 1, stuck, backend(t, count("a")), backend(t, count("b"))))
	for range 200 { // a third of them, if one of the two was slow once
		e.get("blog.test")
	}
	close(held)
	clients.Wait()
	if counts["stuck"] != 5 || counts["a"] < 10 || counts["b"] < 10 {
		t.Errorf("requests went %v", counts)
	}
}

// accessLog is what was told of requests.
type accessLog struct {
	mu   sync.Mutex
	told []router.Access
}

func (l *accessLog) add(a router.Access) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, a)
}

func (l *accessLog) all() []router.Access {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.told)
}

func TestAccessIsToldOfEveryRequest(t *testing.T) {
	var written accessLog
	e := serve(t, router.Options{Access: written.add})
	addr := backend(t, says("hello"))
	e.SetRoute("blog", route("blog", 7, addr))
	e.do(e.request("GET", "blog.test", "/path?token=secret", nil))
	e.get("nobody.test")
	e.Close()
	log := written.all()
	if len(log) != 2 {
		t.Fatalf("%d entries", len(log))
	}
	a := log[0]
	if a.App != "blog" || a.Release != 7 || a.Instance != "at-"+addr || a.Status != 200 || a.Bytes != 5 ||
		a.Path != "/path" || a.Client != "127.0.0.1" || a.Attempts != 1 || a.RequestID == "" || a.Failed {
		t.Errorf("got %+v", a)
	}
	if log[1].Status != 404 || log[1].App != "" {
		t.Errorf("got %+v", log[1])
	}
}

// openTunnel is a connection that was upgraded to bytes both ways.
func (e *edge) openTunnel(host string) (net.Conn, *bufio.Reader) {
	e.t.Helper()
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(hangs))
	fmt.Fprintf(conn, "GET /tunnel HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: bytes\r\n\r\n", host)
	rd := bufio.NewReader(conn)
	res, err := http.ReadResponse(rd, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	if res.StatusCode != 101 || res.Header.Get("Upgrade") != "bytes" {
		e.t.Fatalf("got %d %v", res.StatusCode, res.Header)
	}
	return conn, rd
}

// tunnel hands an upgraded connection of the app to talk.
func tunnel(talk func(conn net.Conn, rw *bufio.ReadWriter)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: bytes\r\n\r\n")
		_ = rw.Flush()
		talk(conn, rw)
	}
}

func TestDrainWaitsForWhatIsOpenAndLetsNothingIn(t *testing.T) {
	e := serve(t, router.Options{})
	held, arrived := make(chan struct{}), make(chan struct{}, 1)
	old := backend(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-held
		_, _ = io.WriteString(w, "old")
	})
	e.SetRoute("blog", route("blog", 1, old))
	slow := make(chan answer)
	req := e.request("GET", "blog.test", "/", nil)
	go func() { slow <- e.do(req) }()
	<-arrived
	e.SetRoute("blog", route("blog", 2, backend(t, says("new"))))
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := e.Drain(short, "at-"+old, 0)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 requests still open") {
		t.Errorf("Drain: %v", err)
	}
	e.get("blog.test").want(t, 200, "new")
	drained := make(chan error)
	go func() { drained <- e.Drain(t.Context(), "at-"+old, 0) }()
	close(held)
	(<-slow).want(t, 200, "old")
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if n := e.InFlight("at-" + old); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

func TestDrainCountsOpenTunnels(t *testing.T) {
	e := serve(t, router.Options{})
	addr := backend(t, tunnel(func(_ net.Conn, rw *bufio.ReadWriter) { _, _ = rw.ReadByte() }))
	e.SetRoute("blog", route("blog", 1, addr))
	conn, _ := e.openTunnel("blog.test")
	if n := e.InFlight("at-" + addr); n != 1 {
		t.Errorf("%d in flight, want the tunnel", n)
	}
	drained := make(chan error)
	go func() { drained <- e.Drain(t.Context(), "at-"+addr, 0) }()
	select {
	case err := <-drained:
		t.Fatalf("drained with an open tunnel: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	conn.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestDrainOfAnUnknownInstanceReturns(t *testing.T) {
	e := serve(t, router.Options{})
	if err := e.Drain(t.Context(), "nobody", 0); err != nil {
		t.Error(err)
	}
}

// TestNoRequestFailsWhileInstancesAreReplaced swaps the route as fast as it
// can, and closes each instance the moment Drain says it may be.
func TestNoRequestFailsWhileInstancesAreReplaced(t *testing.T) {
	const swaps, clients = 2000, 8
	e := serve(t, router.Options{})
	start := func(release int) (*httptest.Server, *platform.Route) {
		s := httptest.NewServer(says("ok"))
		addr := s.Listener.Addr().String()
		// Ports come back: the id is the release's own.
		rt := route("blog", release)
		rt.Cutover = int64(release)
		rt.Backends = []platform.Backend{{Instance: fmt.Sprintf("blog-%d", release), Address: addr}}
		return s, rt
	}
	old, rt := start(1)
	e.SetRoute("blog", rt)
	stop := make(chan struct{})
	var failed, sent sync.Map
	var load sync.WaitGroup
	for c := range clients {
		http1 := client(t)
		post := c%2 == 0 // those may not be repeated
		load.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					sent.Store(c, n)
					return
				default:
				}
				req, _ := http.NewRequest("GET", "http://"+e.addr, nil)
				if post {
					req, _ = http.NewRequest("POST", "http://"+e.addr, bytes.NewReader([]byte("x")))
				}
				req.Host = "blog.test"
				res, err := http1.Do(req)
				if err != nil {
					failed.Store(err.Error(), true)
					continue
				}
				text, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || res.StatusCode != 200 {
					failed.Store(fmt.Sprintf("%d %v %s", res.StatusCode, err, text), true)
				}
			}
		})
	}
	for release := 2; release < swaps; release++ {
		fresh, rt := start(release)
		e.SetRoute("blog", rt)
		if err := e.Drain(t.Context(), fmt.Sprintf("blog-%d", release-1), 0); err != nil {
			t.Fatal(err)
		}
		old.CloseClientConnections()
		old.Close()
		old = fresh
	}
	close(stop)
	load.Wait()
	old.Close()
	failed.Range(func(what, _ any) bool { t.Errorf("a request failed: %v", what); return true })
	total := 0
	sent.Range(func(_, n any) bool { total += n.(int); return true })
	t.Logf("%d requests over %d swaps", total, swaps)
}
