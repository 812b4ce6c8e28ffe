package router_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// services is a route with a main instance and one of each process type.
func services(t *testing.T, paths ...platform.PathRoute) *platform.Route {
	rt := route("blog", 1, backend(t, says("main")))
	rt.Paths = paths
	seen := map[string]bool{"web": true}
	for _, p := range paths {
		if !seen[p.Process] {
			seen[p.Process] = true
			rt.Backends = append(rt.Backends, platform.Backend{Instance: "i-" + p.Process, Process: p.Process, Address: backend(t, says(p.Process))})
		}
	}
	return rt
}

func (e *edge) at(path string) string {
	got := e.raw("GET " + path + " HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n")
	head, body, _ := strings.Cut(got, "\r\n\r\n")
	if strings.HasPrefix(head, "HTTP/1.1 200") {
		return body
	}
	return head[len("HTTP/1.1 "):][:3]
}

func TestPathsLeadToTheirProcessType(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", services(t,
		platform.PathRoute{Process: "first", Patterns: []string{"/notify/first", "^~ /caret"}},
		platform.PathRoute{Process: "hooks", Patterns: []string{"/notify", "= /exact", "~ ^/users/[0-9]+/hook$", "~*\\.PHP$", "~ (?i)mixed|^/alt$"}},
		platform.PathRoute{Process: "late", Patterns: []string{"/notify/late", " /spaced "}},
		platform.PathRoute{Process: "web", Patterns: []string{"/pages/late"}},
		platform.PathRoute{Process: "late", Patterns: []string{"/pages"}},
	))
	for path, want := range map[string]string{
		"/":                       "main",
		"/notify":                 "hooks",
		"/notify/x?y=/exact":      "hooks",
		"/notifying":              "hooks", // a prefix is one of text, not of segments
		"/Notify":                 "main",
		"/notify/first":           "first",
		"/notify/late":            "hooks", // the first that matches
		"/caret/x":                "first",
		"/exact":                  "hooks",
		"/exact/":                 "main",
		"/?/exact":                "main",
		"/users/12/hook":          "hooks",
		"/users/12/hook/":         "main",
		"/users/x/hook":           "main",
		"/a/index.php":            "hooks",
		"/a/index.php/x":          "main",
		"/MIXED":                  "hooks",
		"/ALT":                    "hooks",
		"/spaced":                 "late",
		"/pages/late":             "main",
		"/pages/x":                "late",
		"/%6eotify":               "hooks",
		"/users%2F12%2Fhook":      "hooks",
		"/%256eotify":             "main", // decoded once
		"//notify":                "hooks",
		"/users//12/hook":         "hooks",
		"http://blog.test/notify": "hooks",
	} {
		if got := e.at(path); got != want {
			t.Errorf("%s led to %s, want %s", path, got, want)
		}
	}
}

func TestDotsLeadNoRequestToAnotherProcessType(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", services(t, platform.PathRoute{Process: "hooks", Patterns: []string{"/notify", "= /folder/"}}))
	for path, want := range map[string]string{
		"/a/../notify":            "400",
		"/notify/../a":            "400",
		"/%2e%2e/notify":          "400",
		"/a/%2E%2E%2fnotify":      "400",
		"/x/..%2fnotify":          "400",
		"/./notify":               "400",
		"/a/b/../../../../notify": "400",
		"/notify/..":              "400",
		"/folder/.":               "400",
		"/a/../b":                 "main", // the same either way
		"/notify/a/../b":          "hooks",
		"/notify/../notify":       "hooks",
		"/.well-known/x":          "main",
		"/a..b/...":               "main",
	} {
		if got := e.at(path); got != want {
			t.Errorf("%s led to %s, want %s", path, got, want)
		}
	}
}

func TestAProcessTypeWithoutInstancesIsUnavailableByItself(t *testing.T) {
	e := serve(t, router.Options{})
	rt := services(t, platform.PathRoute{Process: "hooks", Patterns: []string{"/notify"}})
	hooks := rt.Backends[1]
	rt.Backends = rt.Backends[:1]
	e.SetRoute("blog", rt)
	if got := e.at("/notify"); got != "503" {
		t.Errorf("got %s", got)
	}
	if got := e.at("/"); got != "main" {
		t.Errorf("got %s", got)
	}
	rt.Backends = []platform.Backend{hooks}
	e.SetRoute("blog", rt)
	if got := e.at("/notify"); got != "hooks" {
		t.Errorf("got %s", got)
	}
	if got := e.at("/"); got != "503" {
		t.Errorf("instances of a service served what is not theirs: %s", got)
	}
}

func TestAPatternThatCannotBeUsedIsToldAndTheOthersHold(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", services(t, platform.PathRoute{Process: "hooks", Patterns: []string{
		"~ [", "~ (?=ahead)", "~* a)|(b", "notify", "", "~ ((x{1,1000})y){1,900}", "~ " + strings.Repeat("x", 2000), "~ (\\pL{0,30}){0,30}[a-z]{300}", "/good",
	}}))
	if got := e.at("/good"); got != "hooks" {
		t.Errorf("got %s", got)
	}
	told := e.Problems()
	if len(told) != 8 {
		t.Errorf("got %d problems: %s", len(told), strings.Join(told, "\n"))
	}
	for _, line := range told {
		if !strings.HasPrefix(line, `app blog: path "`) {
			t.Errorf("got %s", line)
		}
	}
}

func TestAnAppHasABoundOnItsPaths(t *testing.T) {
	e := serve(t, router.Options{})
	rt := services(t, platform.PathRoute{Process: "hooks"})
	for range 300 {
		rt.Paths[0].Patterns = append(rt.Paths[0].Patterns, "/x")
	}
	rt.Paths[0].Patterns = append(rt.Paths[0].Patterns, "/past")
	e.SetRoute("blog", rt)
	if got := e.at("/past"); got != "main" || len(e.Problems()) == 0 {
		t.Errorf("got %s, problems %q", got, e.Problems())
	}
}

func TestALongPathIsNotMatchedAgainstExpressions(t *testing.T) {
	e := serve(t, router.Options{})
	long := "/notify/" + strings.Repeat("x", 3000)
	rt := services(t, platform.PathRoute{Process: "hooks", Patterns: []string{"/notify"}})
	e.SetRoute("blog", rt)
	if got := e.at(long); got != "hooks" {
		t.Errorf("got %s", got)
	}
	rt.Paths[0].Patterns = []string{"/notify", "~ x$"}
	e.SetRoute("blog", rt)
	if got := e.at(long); got != "414" {
		t.Errorf("got %s", got)
	}
}

func TestACutoverCountsEveryProcessType(t *testing.T) {
	e := counting(t)
	hooks := func(number int64, release, code int) *platform.Route {
		rt := shift(number, release, backend(t, says("ok")))
		rt.Paths = []platform.PathRoute{{Process: "hooks", Patterns: []string{"/notify"}}}
		rt.Backends = append(rt.Backends, platform.Backend{Instance: rt.Backends[0].Instance + "-hooks", Process: "hooks", Address: backend(t, status(code))})
		return rt
	}
	fetch := func(path string) { e.do(e.request(http.MethodGet, "blog.test", path, nil)) }
	e.SetRoute("blog", hooks(1, 1, 200))
	fetch("/")
	fetch("/notify")
	e.SetRoute("blog", hooks(2, 2, 500))
	fetch("/")
	fetch("/notify")
	fetch("/notify")
	if c := e.cutover(); c.BeforeRequests != 2 || c.BeforeFailed != 0 || c.ToRequests != 3 || c.ToFailed != 2 || c.Requests != 3 || c.Failed != 2 {
		t.Errorf("got %+v", c)
	}
}

func TestAnInstanceOfAServiceStartedAgainServesAgain(t *testing.T) {
	e := serve(t, router.Options{})
	rt := services(t, platform.PathRoute{Process: "hooks", Patterns: []string{"/notify"}})
	rt.Backends[1].Address = ""
	e.SetRoute("blog", rt)
	e.SetInstance("i-hooks", backend(t, says("first")), true)
	if got := e.at("/notify"); got != "first" {
		t.Errorf("got %s", got)
	}
	if err := e.Drain(t.Context(), "i-hooks", 0); err != nil {
		t.Fatal(err)
	}
	e.RemoveInstance("i-hooks")
	e.SetInstance("i-hooks", backend(t, says("second")), true)
	if got := e.at("/notify"); got != "second" {
		t.Errorf("got %s", got)
	}
}
