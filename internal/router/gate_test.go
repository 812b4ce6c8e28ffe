package router_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// from asks as a client at an address would, without a network between.
func (e *edge) from(client, method, target string, say ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(e.t.Context(), method, target, http.NoBody)
	req.RemoteAddr, req.TLS = net.JoinHostPort(client, "1234"), nil
	for _, line := range say {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, req)
	return w
}

func TestOnlyClientsOfAllowedNetworksComeIn(t *testing.T) {
	e := serve(t, router.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("172.16.0.0/12")}})
	rt := route("blog", 1, backend(t, says("blog")))
	rt.Allow = []string{"10.0.0.5/8", "192.0.2.7", "2001:db8::/32", "::ffff:198.51.100.0/120"}
	e.SetRoute("blog", rt)
	for _, c := range []struct {
		client, forwarded string
		want              int
	}{
		{"10.255.0.1", "", 200},
		{"11.0.0.0", "", 403},
		{"192.0.2.7", "", 200},
		{"192.0.2.8", "", 403},
		{"::ffff:10.1.2.3", "", 200}, // IPv4 that came to an IPv6 socket
		{"::ffff:9.1.2.3", "", 403},
		{"198.51.100.255", "", 200},
		{"198.51.101.0", "", 403},
		{"2001:db8:ffff::1", "", 200},
		{"2001:db9::1", "", 403},
		{"2001:db8::1%eth0", "", 200},
		{"9.9.9.9", "10.0.0.1", 403},             // a client's own word
		{"172.16.0.1", "10.0.0.1", 200},          // a trusted proxy's
		{"172.16.0.1", "10.0.0.1, 9.9.9.9", 403}, // what a client said before it
		{"172.16.0.1", "9.9.9.9, 10.0.0.1", 200}, // nearest counts
		{"172.16.0.1", "9.9.9.9, 10.0.0.1, 172.17.0.1", 200},
		{"172.16.0.1", "10.0.0.1:4711", 200},
		{"172.16.0.1", "[2001:db8::1]:80", 200},
		{"172.16.0.1", "::ffff:10.0.0.1", 200},
		{"172.16.0.1", "unknown", 403},
		{"172.16.0.1", "10.0.0.1,", 403},
		{"172.16.0.1", "", 403},
	} {
		var say []string
		if c.forwarded != "" {
			say = append(say, "X-Forwarded-For: "+c.forwarded)
		}
		if w := e.from(c.client, "GET", "http://blog.test/", say...); w.Code != c.want {
			t.Errorf("%s, forwarded for %q: got %d, want %d", c.client, c.forwarded, w.Code, c.want)
		}
	}
	if w := e.from("9.9.9.9", "GET", "http://blog.test/"); !strings.Contains(w.Body.String(), "open to some networks only") {
		t.Errorf("got %s", w.Body)
	}
	rt.Allow = nil
	e.SetRoute("blog", rt)
	e.get("blog.test").want(t, 200, "blog")
}

func TestAnEntryThatIsNoNetworkLetsNobodyInAndIsTold(t *testing.T) {
	e := serve(t, router.Options{})
	rt := route("blog", 1, backend(t, says("blog")))
	rt.Allow = []string{"bogus", "1.2.3.4.5", "10.0.0.0/33"}
	e.SetRoute("blog", rt)
	if w := e.from("10.0.0.1", "GET", "http://blog.test/"); w.Code != 403 {
		t.Errorf("got %d", w.Code)
	}
	told := strings.Join(e.Problems(), "\n")
	for _, want := range []string{`app blog: "bogus"`, `"1.2.3.4.5"`, `"10.0.0.0/33"`} {
		if !strings.Contains(told, want) {
			t.Errorf("%s is missing: %s", want, told)
		}
	}
	rt.Allow = []string{"10.0.0.0/8"}
	e.SetRoute("blog", rt)
	if w := e.from("10.0.0.1", "GET", "http://blog.test/"); w.Code != 200 || len(e.Problems()) > 0 {
		t.Errorf("got %d, problems %q", w.Code, e.Problems())
	}
}

// TestTheGateDecidesInOrder takes away one reason after the other.
func TestTheGateDecidesInOrder(t *testing.T) {
	e := serve(t, router.Options{})
	rt := route("blog", 1)
	rt.Hosts, rt.Allow, rt.Maintenance, rt.HTTPSOnly = nil, []string{"10.0.0.0/8"}, true, true
	rt.Paths = []platform.PathRoute{{Process: "hooks", Patterns: []string{"/hook", "~ ^/x"}}}
	long := "/" + strings.Repeat("a", 3000) + "/../hook"
	for _, step := range []struct {
		want   int
		change func()
	}{
		{404, func() { rt.Hosts = []string{"blog.test"} }},
		{403, func() { rt.Allow = []string{"127.0.0.0/8"} }},
		{503, func() { rt.Maintenance = false }},
		{301, func() { rt.HTTPSOnly = false }},
		{414, func() { long = "/a/../hook" }},
		{400, func() { long = "/hook" }},
		{503, func() {
			rt.Backends = []platform.Backend{{Instance: "h", Process: "hooks", Address: backend(t, says("hook"))}}
		}},
		{200, func() {}},
	} {
		e.SetRoute("blog", rt)
		if got := e.do(e.request("GET", "blog.test", long, nil)); got.StatusCode != step.want {
			t.Errorf("got %d %s, want %d", got.StatusCode, got.body, step.want)
		}
		step.change()
	}
}

func TestPlainHTTPIsSentToHTTPS(t *testing.T) {
	e := serve(t, router.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("172.16.0.0/12")}})
	_, port, _ := net.SplitHostPort(e.serveTLS())
	rt := route("blog", 1, backend(t, says("blog")))
	rt.Hosts = append(rt.Hosts, "::1")
	rt.HTTPSOnly = true
	e.SetRoute("blog", rt)
	for _, c := range []struct{ method, target, want string }{
		{"GET", "http://blog.test/", "/"},
		{"HEAD", "http://blog.test/a%2Fb/../c?q=a+b&r=%zz", "/a%2Fb/../c?q=a+b&r=%zz"},
		{"POST", "http://BLOG.test/?", "/?"},
		{"DELETE", "http://blog.test//evil.test/%0d%0a", "//evil.test/%0d%0a"},
		{"OPTIONS", "*", "/"},
	} {
		a := e.raw(c.method + " " + c.target + " HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n")
		if want := "\r\nLocation: https://blog.test:" + port + c.want + "\r\n"; !strings.HasPrefix(a, "HTTP/1.1 301") || !strings.Contains(a, want) {
			t.Errorf("%s %s: got %s, want %s", c.method, c.target, a, want)
		}
	}
	if w := e.from("9.9.9.9", "GET", "http://[::1]/x"); w.Header().Get("Location") != "https://[::1]:"+port+"/x" {
		t.Errorf("got %v", w.Header())
	}
	if w := e.from("9.9.9.9", "GET", "http://blog.test/", "X-Forwarded-Proto: https"); w.Code != 301 {
		t.Errorf("a client that only says it came by HTTPS got %d", w.Code)
	}
	if w := e.from("172.16.0.1", "GET", "http://blog.test/", "X-Forwarded-Proto: https"); w.Code != 200 {
		t.Errorf("a client of a proxy that ends HTTPS got %d", w.Code)
	}
	req := httptest.NewRequestWithContext(t.Context(), "GET", "http://blog.test/", http.NoBody)
	req.TLS = &tls.ConnectionState{}
	w := httptest.NewRecorder()
	if e.ServeHTTP(w, req); w.Code != 200 {
		t.Errorf("by HTTPS got %d", w.Code)
	}
}

func TestRedirectsNameThePortThatClientsReach(t *testing.T) {
	for port, want := range map[int]string{0: "https://blog.test/", 443: "https://blog.test/", 8443: "https://blog.test:8443/"} {
		e := serve(t, router.Options{HTTPSPort: port})
		e.SetRoute("blog", &platform.Route{App: "blog", Hosts: []string{"blog.test"}, HTTPSOnly: true})
		if got := e.get("blog.test").Header.Get("Location"); got != want {
			t.Errorf("port %d: got %s, want %s", port, got, want)
		}
	}
}

func TestARedirectToNowhereIsTold(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", &platform.Route{App: "blog", Hosts: []string{"blog.test"}, HTTPSOnly: true})
	e.get("blog.test").want(t, 301, "HTTPS only")
	if told := strings.Join(e.Problems(), ""); !strings.Contains(told, "blog") || !strings.Contains(told, "HTTPS only") {
		t.Errorf("got %q", told)
	}
	e.SetRoute("blog", nil)
	if told := e.Problems(); len(told) > 0 {
		t.Errorf("still told: %q", told)
	}
}

func TestRefusedRequestsAreNoneOfARelease(t *testing.T) {
	e := counting(t)
	rt := shift(1, 1, backend(t, says("ok")))
	rt.HTTPSOnly = true
	e.SetRoute("blog", rt)
	e.get("blog.test").want(t, 301, "")
	rt.HTTPSOnly, rt.Allow = false, []string{"10.0.0.0/8"}
	e.SetRoute("blog", rt)
	e.get("blog.test").want(t, 403, "")
	if c := e.cutover(); c.Requests != 0 {
		t.Errorf("got %+v", c)
	}
}

func TestProblemsStayFewAndShort(t *testing.T) {
	e := serve(t, router.Options{})
	for i := range 40 {
		rt := &platform.Route{App: fmt.Sprintf("app-%d", i), Hosts: []string{strings.Repeat("ü", 10_000)}}
		for n := range 100 {
			rt.Allow = append(rt.Allow, fmt.Sprintf("bogus %d", n))
		}
		e.SetRoute(rt.App, rt)
	}
	told := e.Problems()
	if len(told) != 51 || !strings.HasPrefix(told[50], "and ") {
		t.Errorf("%d problems, the last is %q", len(told), told[len(told)-1])
	}
	for _, line := range told {
		if len(line) > 400 {
			t.Errorf("%d bytes: %s", len(line), line)
		}
	}
}
