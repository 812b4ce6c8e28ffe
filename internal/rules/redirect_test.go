package rules_test

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/rules"
)

func TestARedirectFillsInWhatWasAskedFor(t *testing.T) {
	for _, c := range []struct {
		to, target, want string // empty: it goes on
	}{
		{"https://b.test{path}", "/x/y?z", "https://b.test/x/y"},
		{"https://b.test{path}?{query}", "/x?a=1&b=%20", "https://b.test/x?a=1&b=%20"},
		{"https://b.test{path}?{query}", "/x", "https://b.test/x"},
		{"https://b.test{path}{query}", "/x?a=1", "https://b.test/x?a=1"},
		{"https://b.test{path}{query}", "/x", "https://b.test/x"},
		{"https://b.test/?from=router&{query}", "/x?a=1", "https://b.test/?from=router&a=1"},
		{"https://b.test/?from=router{query}", "/x?a=1", "https://b.test/?from=router&a=1"},
		{"https://b.test/?from=router&{query}", "/x", "https://b.test/?from=router"},
		{"https://b.test{query}", "/x?.evil.test", "https://b.test?.evil.test"},
		{"https://www.{host}{path}", "/x", "https://www.a.test/x"},
		{"/new{path}", "/x", "/new/x"},
		{"{path}?moved", "//evil.test/x", "/evil.test/x?moved"},
		{"{path}?moved", "///evil.test/x", "/evil.test/x?moved"},
		{"/{path}?moved", "/evil.test", "/evil.test?moved"},
		{"//b.test/x", "/", "//b.test/x"}, // that is what its team wrote
		{"https://b.test{path}", "/<>\"{}|^`", "https://b.test/%3C%3E%22%7B%7D%7C%5E%60"},
		{"https://b.test{path}", "/%0d%0aSet-Cookie:%20x", "https://b.test/%0d%0aSet-Cookie:%20x"},
		{"http://a.test{path}?{query}", "/x?y", ""}, // it is there already
		{"{path}{query}", "/x?y", ""},
	} {
		r := compile(t, platform.Edge{Redirects: []platform.Redirect{{To: c.to}}})
		got := r.Refuse(request(t, "GET "+c.target+" HTTP/1.1"), &rules.Visit{Host: "a.test", Path: "/"}, nil, 0)
		if got.Location != c.want || (got.Status == 308) != (c.want != "") {
			t.Errorf("%s to %s: %d %q, want %q", c.target, c.to, got.Status, got.Location, c.want)
		}
	}
}

func TestARedirectIsForItsHostAndPath(t *testing.T) {
	r := compile(t, platform.Edge{Redirects: []platform.Redirect{
		{Host: "www.a.test", Path: "= /x", To: "/first", Status: 301},
		{Host: "*.a.test", To: "/second", Status: 302},
		{Path: "~ ^/u/[0-9]+$", To: "/third", Status: 307},
	}})
	for _, c := range []struct {
		host, path, want string
		status           int
	}{
		{"www.a.test", "/x", "/first", 301},
		{"www.a.test", "/xy", "/second", 302},
		{"a.test", "/x", "", 0},
		{"a.test", "/u/12", "/third", 307},
		{"a.test", "/u/12/", "", 0},
	} {
		got := r.Refuse(request(t, "GET /asked HTTP/1.1"), &rules.Visit{Host: c.host, Path: c.path}, nil, 0)
		if got.Location != c.want || got.Status != c.status {
			t.Errorf("%s%s: %d %q", c.host, c.path, got.Status, got.Location)
		}
	}
}

func TestNoRedirectLetsARequestChooseItsHost(t *testing.T) {
	for _, to := range []string{
		"", "x", "ftp://b.test/", "javascript:alert(1)", "https://", "https://{path}", "https://{query}", "http:///x",
		"https://b.test@{host}/", "https://{nobody}/", "https://b.test/{", "https://b.test/}", "https://b.test/\r\nX: y",
		"https://b.test/ x", "https://b.test/\\x", "https://b.test/ü", "{query}", "{host}", "https://b.test/{{path}}",
		"https://b.test/" + strings.Repeat("x", 5000),
	} {
		if _, wrong := rules.Compile(platform.Edge{Redirects: []platform.Redirect{{To: to}}}, nil); len(wrong) == 0 {
			t.Errorf("%q was taken", to)
		}
	}
}

// TestARedirectNeverSplitsAHeadOrLeavesItsHost draws requests as hostile as h1
// and h2 let them through, and more.
func TestARedirectNeverSplitsAHeadOrLeavesItsHost(t *testing.T) {
	to := rapid.SampledFrom([]string{"https://b.test{path}{query}", "https://b.test/x?{query}", "{path}", "/{path}", "/x{path}?a={query}", "https://{host}{path}", "https://b.test{query}"})
	bytes := rapid.SliceOf(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("/\\?#\r\n\t @:.%{}"))))
	rapid.Check(t, func(t *rapid.T) {
		wish := to.Draw(t, "to")
		r, wrong := rules.Compile(platform.Edge{Redirects: []platform.Redirect{{To: wish}}}, nil)
		if len(wrong) > 0 {
			t.Fatal(wrong)
		}
		req := &h1.Request{Method: []byte("GET"), Target: append([]byte("/"), bytes.Draw(t, "target")...)}
		got := r.Refuse(req, &rules.Visit{Host: "a.test"}, nil, 0).Location
		if got == "" {
			return
		}
		for i := range len(got) {
			if got[i] <= ' ' || got[i] >= 0x7f {
				t.Fatalf("%q has byte %#x", got, got[i])
			}
		}
		base, _ := url.Parse("https://a.test/")
		// As browsers read it: a backslash is a slash to them.
		u, err := base.Parse(strings.ReplaceAll(got, `\`, "/"))
		if err != nil {
			return // not even a URL for Go, so no other host either
		}
		if u.Host != "a.test" && !strings.HasPrefix(wish, "https://b.test") || u.Host != "a.test" && u.Host != "b.test" {
			t.Fatalf("%s with %q leads to %s", wish, req.Target, u.Host)
		}
	})
}
