package router_test

import (
	"io"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// heads are the headers that the app saw and those that came back.
func heads(t *testing.T, e *edge, set http.Header) (app, back http.Header) {
	t.Helper()
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		app = r.Header.Clone()
		app.Set("Host", r.Host)
		w.Header().Set("X-Request-Id", "the app's own")
		w.Header().Set("Connection", "X-Internal")
		w.Header().Set("X-Internal", "secret")
		w.Header().Set("Keep-Alive", "timeout=5")
	})))
	req := e.request("GET", "blog.test:8080", "/", nil)
	maps.Copy(req.Header, set)
	return app, e.do(req).Header
}

func TestTheAppIsToldWhereARequestCameFrom(t *testing.T) {
	app, back := heads(t, serve(t, router.Options{}), nil)
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "8080",
		"X-Forwarded-Host": "blog.test:8080", "Host": "blog.test:8080",
	} {
		if got := app.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if id := app.Get("X-Request-Id"); !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(id) || back.Get("X-Request-Id") != id {
		t.Errorf("request id %q to the app, %q back", id, back.Get("X-Request-Id"))
	}
	if back.Get("X-Internal") != "" || back.Get("Keep-Alive") != "" {
		t.Errorf("hop-by-hop headers came back: %v", back)
	}
}

// forged is what a client may say about itself, in spellings that some
// servers take for the same.
var forged = http.Header{
	"X-Forwarded-For": {"6.6.6.6", "7.7.7.7"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil.test"},
	"X-Forwarded-Port": {"443"}, "Forwarded": {"for=6.6.6.6"}, "X-Real-Ip": {"6.6.6.6"},
	"X-Forwarded-User": {"root"}, "X_forwarded_scheme": {"https"}, "X-Forwarded-Preferred-Username": {"root"}, "X-Forwarded-Client-Cert": {"Subject=root"},
	"X_forwarded_for": {"6.6.6.6"}, "X-Forwarded_proto": {"https"}, "X_Request_Id": {"x"}, "Proxy": {"http://evil.test"},
}

func TestWhatAClientSaysOfItselfIsReplaced(t *testing.T) {
	app, _ := heads(t, serve(t, router.Options{}), forged)
	if app.Get("X-Forwarded-For") != "127.0.0.1" || app.Get("X-Forwarded-Proto") != "http" ||
		app.Get("X-Forwarded-Host") != "blog.test:8080" || app.Get("X-Forwarded-Port") != "8080" {
		t.Errorf("the app saw %v", app)
	}
	for name := range app {
		if strings.Contains(name, "_") || name == "Forwarded" || name == "X-Real-Ip" || name == "Proxy" || app.Get(name) == "root" {
			t.Errorf("%s reached the app", name)
		}
	}
}

func TestWhatAnAuthenticatingProxySaysReachesTheAppWhenItIsTrusted(t *testing.T) {
	e := serve(t, router.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	app, _ := heads(t, e, http.Header{"X-Forwarded-User": {"carol"}, "X-Forwarded-Preferred-Username": {"carol c"}})
	if app.Get("X-Forwarded-User") != "carol" || app.Get("X-Forwarded-Preferred-Username") != "carol c" {
		t.Errorf("the app saw %v", app)
	}
}

func TestWhatATrustedProxySaysIsContinued(t *testing.T) {
	e := serve(t, router.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	app, _ := heads(t, e, forged)
	if app.Get("X-Forwarded-For") != "6.6.6.6, 7.7.7.7, 127.0.0.1" || app.Get("X-Forwarded-Proto") != "https" ||
		app.Get("X-Forwarded-Host") != "evil.test" || app.Get("X-Forwarded-Port") != "443" {
		t.Errorf("the app saw %v", app)
	}
	app, _ = heads(t, e, http.Header{"X-Forwarded-Proto": {"gopher"}, "X-Forwarded-Host": {"a b"}, "X-Forwarded-Port": {"-1"}})
	if app.Get("X-Forwarded-Proto") != "http" || app.Get("X-Forwarded-Host") != "blog.test:8080" || app.Get("X-Forwarded-Port") != "8080" {
		t.Errorf("the app saw %v", app)
	}
}

func TestTheClientIsTheLastAddressNoTrustedProxyHas(t *testing.T) {
	got := make(chan router.Access, 1)
	e := serve(t, router.Options{
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")},
		Access:         func(a router.Access) { got <- a },
	})
	req := e.request("GET", "nobody.test", "/", nil)
	req.Header.Set("X-Forwarded-For", "6.6.6.6, 8.8.8.8, 10.0.0.1")
	e.do(req)
	if a := <-got; a.Client != "8.8.8.8" {
		t.Errorf("client %s", a.Client)
	}
}

func TestTheControlPlaneIsToldTheClientAloneNotTheProxies(t *testing.T) {
	e := serve(t, router.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("172.16.0.0/12")}})
	control := backend(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Join(r.Header["X-Forwarded-For"], " and "))
	})
	e.SetEdge(platform.EdgeState{Domain: "test", ControlHosts: []string{"slipway.test"}, Control: control})
	for _, c := range []struct{ peer, forwarded, want string }{
		{"9.9.9.9", "10.0.0.1", "9.9.9.9"},
		{"172.16.0.1", "10.0.0.1", "10.0.0.1"},
		{"172.16.0.1", "6.6.6.6, 10.0.0.1, 172.17.0.1", "10.0.0.1"},
		{"172.16.0.1", "[2001:db8::1]:80", "2001:db8::1"},
		{"172.16.0.1", "unknown", "unknown, 172.16.0.1"},
	} {
		w := e.from(c.peer, "GET", "http://slipway.test/", "X-Forwarded-For: "+c.forwarded)
		if got := w.Body.String(); got != c.want {
			t.Errorf("%s says %q: the control plane was told %q, want %q", c.peer, c.forwarded, got, c.want)
		}
	}
}

func TestARequestIDOfATrustedProxyIsKeptWhenItIsWellFormed(t *testing.T) {
	e := serve(t, router.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	for id, kept := range map[string]bool{
		"abc-123_x.y:z": true, strings.Repeat("a", 128): true, strings.Repeat("a", 129): false,
		"": false, "two words": false, "<script>": false, "a,b": false, "quote\"": false,
	} {
		app, back := heads(t, e, http.Header{"X-Request-Id": {id}})
		if got := app.Get("X-Request-Id"); (got == id) != kept || back.Get("X-Request-Id") != got || got == "" {
			t.Errorf("%q became %q, back came %q", id, got, back.Get("X-Request-Id"))
		}
	}
	app, _ := heads(t, serve(t, router.Options{}), http.Header{"X-Request-Id": {"abc"}})
	if got := app.Get("X-Request-Id"); got == "abc" || got == "" {
		t.Errorf("a client's own became %q", got)
	}
}

func TestHeadersForOneHopStayThere(t *testing.T) {
	app, _ := heads(t, serve(t, router.Options{}), http.Header{
		"Connection": {"X-Secret, keep-alive"}, "X-Secret": {"1"}, "Keep-Alive": {"5"}, "Proxy-Connection": {"x"},
		"Proxy-Authorization": {"Basic x"}, "Te": {"trailers, deflate"}, "Accept-Encoding": {"br"},
	})
	for _, name := range []string{"X-Secret", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Connection"} {
		if app.Get(name) != "" {
			t.Errorf("%s reached the app: %v", name, app[name])
		}
	}
	if app.Get("Te") != "trailers" || app.Get("Accept-Encoding") != "br" {
		t.Errorf("the app saw %v", app)
	}
}

func TestNothingIsAddedThatTheClientDidNotSay(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, echoHead)))
	got := e.raw("GET / HTTP/1.0\r\nHost: blog.test\r\n\r\n")
	for _, name := range []string{"User-Agent", "Accept-Encoding", "Accept:"} {
		if strings.Contains(got, name) {
			t.Errorf("%s was added: %s", name, got)
		}
	}
}
