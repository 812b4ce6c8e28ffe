package rules_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/rules"
)

var limits = h1.Limits{Head: 64 << 10, Target: 32 << 10, Fields: 100}

// request is the head of lines "GET /path HTTP/1.1", "Name: value".
func request(t testing.TB, lines ...string) *h1.Request {
	t.Helper()
	if !strings.Contains(strings.ToLower(strings.Join(lines, "\n")), "\nhost:") {
		lines = append(lines, "Host: a.test")
	}
	req := &h1.Request{}
	if _, err := req.Parse([]byte(strings.Join(lines, "\r\n")+"\r\n\r\n"), limits); err != nil {
		t.Fatal(lines, err)
	}
	return req
}

func response(t testing.TB, method string, lines ...string) *h1.Response {
	t.Helper()
	res := &h1.Response{}
	if _, err := res.Parse([]byte(strings.Join(lines, "\r\n")+"\r\n\r\n"), []byte(method), limits); err != nil {
		t.Fatal(lines, err)
	}
	return res
}

// compile wants all of an edge to be usable.
func compile(t testing.TB, edge platform.Edge) *rules.Rules {
	t.Helper()
	r, wrong := rules.Compile(edge, nil)
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	return r
}

func TestNothingAskedForIsNoRules(t *testing.T) {
	r, wrong := rules.Compile(platform.Edge{Pages: map[string]string{}, Protocol: "h2c"}, nil)
	if r != nil || wrong != nil {
		t.Fatal(r, wrong)
	}
	req, v := request(t, "GET / HTTP/1.1"), &rules.Visit{}
	if got := r.Refuse(req, v, nil, 0); got != (rules.Refusal{}) {
		t.Error(got)
	}
	if r.Denied(netip.MustParseAddr("10.0.0.1")) || r.MaxBody() != 0 || r.Page(404, false) != nil {
		t.Error("rules that nobody made do something")
	}
}

func TestTheSameWishIsCompiledOnce(t *testing.T) {
	wish := func(to string) platform.Edge {
		return platform.Edge{Redirects: []platform.Redirect{{Path: "~ ^/x", To: to}, {To: "nowhere"}}}
	}
	first, wrong := rules.Compile(wish("/y"), nil)
	again, same := rules.Compile(wish("/y"), first)
	if again != first || len(wrong) != 1 || len(same) != 1 {
		t.Errorf("it was compiled again, or its fault forgotten: %v, %v", wrong, same)
	}
	if other, _ := rules.Compile(wish("/z"), first); other == first {
		t.Error("another was taken for the same")
	}
	if none, _ := rules.Compile(platform.Edge{}, first); none != nil {
		t.Error("rules stay when nothing is asked for any more")
	}
}

func TestWhatCannotBeUsedIsLeftOutAndNamed(t *testing.T) {
	for name, c := range map[string]struct {
		edge platform.Edge
		want string
	}{
		"network":      {platform.Edge{Deny: []string{"10.0.0.0/8", "everybody"}}, `"everybody"`},
		"status":       {platform.Edge{Redirects: []platform.Redirect{{To: "/x", Status: 303}}}, "303"},
		"host":         {platform.Edge{Redirects: []platform.Redirect{{To: "/x", Host: "*"}}}, "no host name"},
		"path":         {platform.Edge{Redirects: []platform.Redirect{{To: "/x", Path: "~ ("}}}, "missing closing"},
		"condition":    {platform.Edge{Matches: []platform.Match{{Process: "x"}}}, "no condition"},
		"process":      {platform.Edge{Matches: []platform.Match{{If: []platform.Condition{{Header: "X", Value: "1"}}}}}, "no process type"},
		"both":         {platform.Edge{Matches: []platform.Match{{If: []platform.Condition{{Header: "X", Cookie: "X"}}, Process: "x"}}}, "a header and a cookie"},
		"body":         {platform.Edge{MaxBody: -1}, "no bound"},
		"header":       {platform.Edge{Headers: map[string]string{"X: 1\r\nY": "1"}}, "no name"},
		"value":        {platform.Edge{Headers: map[string]string{"X": "1\r\nY: 2"}}, "control character"},
		"framing":      {platform.Edge{Headers: map[string]string{"Transfer-Encoding": "chunked"}}, "router's to set"},
		"hsts":         {platform.Edge{HSTS: &platform.HSTS{MaxAge: -time.Second}}, "no time"},
		"page":         {platform.Edge{Pages: map[string]string{"200": "x"}}, `"200"`},
		"large page":   {platform.Edge{Pages: map[string]string{"404": strings.Repeat("x", 70<<10)}}, "longer"},
		"coding":       {platform.Edge{Compress: []string{"deflate"}}, "deflate"},
		"mixed coding": {platform.Edge{Compress: []string{"identity", "gzip"}}, "identity"},
		"hash":         {platform.Edge{Auth: &platform.BasicAuth{Users: map[string]string{"ann": "plain"}}}, `"ann"`},
		"many":         {platform.Edge{Redirects: make([]platform.Redirect, 300)}, "200 redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			_, wrong := rules.Compile(c.edge, nil)
			if len(wrong) == 0 || !strings.Contains(strings.Join(wrong, "\n"), c.want) {
				t.Errorf("%q does not say %q", wrong, c.want)
			}
			if strings.Contains(strings.Join(wrong, ""), "plain") {
				t.Error("a secret is told")
			}
		})
	}
}

func TestDeniedNetworksAreKnownInBothSpellings(t *testing.T) {
	r := compile(t, platform.Edge{Deny: []string{"10.0.0.0/8", "2001:db8::/32"}})
	for client, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "11.0.0.1": false, "2001:db8::1%eth0": true, "2001:db9::1": false,
	} {
		if got := r.Denied(netip.MustParseAddr(client)); got != want {
			t.Errorf("%s: %v", client, got)
		}
	}
	if r.Denied(netip.Addr{}) {
		t.Error("nobody is denied for having no address")
	}
}

func TestHeadersAndCookiesLeadToProcessTypes(t *testing.T) {
	r := compile(t, platform.Edge{Matches: []platform.Match{
		{If: []platform.Condition{{Header: "X-Beta", Value: "*"}, {Cookie: "group", Value: "b"}}, Process: "beta"},
		{If: []platform.Condition{{Cookie: "group", Value: "b"}}, Process: "b"},
	}})
	for lines, want := range map[string]string{
		"X-Beta: 1|Cookie: group=b": "beta",
		"Cookie: x=1; group=b":      "b",
		"X-Beta: 1":                 "",
	} {
		process, ok := r.Process(request(t, append([]string{"GET / HTTP/1.1"}, strings.Split(lines, "|")...)...))
		if process != want || ok != (want != "") {
			t.Errorf("%s leads to %q", lines, process)
		}
	}
}

func TestABodyThatSaysItIsTooLongIsRefusedAtOnce(t *testing.T) {
	r := compile(t, platform.Edge{MaxBody: 100})
	for framing, want := range map[string]int{
		"Content-Length: 100":        0,
		"Content-Length: 101":        413,
		"Transfer-Encoding: chunked": 0, // as it comes
	} {
		if got := r.Refuse(request(t, "POST / HTTP/1.1", framing), &rules.Visit{}, nil, 0); got.Status != want {
			t.Errorf("%s: %d", framing, got.Status)
		}
	}
	if r.MaxBody() != 100 {
		t.Error(r.MaxBody())
	}
}

func TestPagesOfAStatusCountBeforeThoseOfItsClass(t *testing.T) {
	r := compile(t, platform.Edge{Pages: map[string]string{"503": "one", "5xx": "class", "maintenance": "soon"}})
	for _, c := range []struct {
		status      int
		maintenance bool
		want        string
	}{
		{503, false, "one"}, {502, false, "class"}, {503, true, "soon"}, {404, false, ""},
	} {
		if got := string(r.Page(c.status, c.maintenance)); got != c.want {
			t.Errorf("%d: %q", c.status, got)
		}
	}
}

func TestAnswersGetTheTeamsFields(t *testing.T) {
	r := compile(t, platform.Edge{
		Headers: map[string]string{"X-Frame-Options": "DENY", "Server": ""},
		HSTS:    &platform.HSTS{MaxAge: 365 * 24 * time.Hour, Subdomains: true, Preload: true},
	})
	answer := response(t, "GET", "HTTP/1.1 200 OK", "server: x", "x-frame-options: ALLOW", "strict-transport-security: max-age=1", "X-App: 1", "Content-Length: 0")
	shown := func(https bool) string {
		var s rules.Shown
		s.Set(r, request(t, "GET / HTTP/1.1"), answer, https)
		return string(h1.AppendResponse(nil, answer, h1.Back{Drop: s.Drop, Set: s.Append(nil)}))
	}
	secure := "HTTP/1.1 200 OK\r\nX-App: 1\r\nContent-Length: 0\r\nX-Frame-Options: DENY\r\nStrict-Transport-Security: max-age=31536000; includeSubDomains; preload\r\n\r\n"
	if got := shown(true); got != secure {
		t.Errorf("by HTTPS:\n%s", got)
	}
	plain := "HTTP/1.1 200 OK\r\nstrict-transport-security: max-age=1\r\nX-App: 1\r\nContent-Length: 0\r\nX-Frame-Options: DENY\r\n\r\n"
	if got := shown(false); got != plain {
		t.Errorf("by HTTP:\n%s", got)
	}
}

// TestNothingAskedForAllocatesNothing is the hot path of most apps.
func TestNothingAskedForAllocatesNothing(t *testing.T) {
	req := request(t, "GET /x HTTP/1.1", "Accept-Encoding: gzip", "Cookie: a=b", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	res := response(t, "GET", "HTTP/1.1 200 OK", "Content-Type: text/html", "Content-Length: 1000")
	asked := compile(t, platform.Edge{
		Deny: []string{"10.0.0.0/8"}, MaxBody: 1 << 20, Compress: []string{"zstd", "gzip"},
		Redirects: []platform.Redirect{{Path: "/old", To: "/new"}}, Headers: map[string]string{"X": "y"},
		Matches: []platform.Match{{If: []platform.Condition{{Cookie: "b", Value: "c"}}, Process: "beta"}},
	})
	for name, r := range map[string]*rules.Rules{"nothing": nil, "what does not apply": asked} {
		var told rules.Told
		var shown rules.Shown
		dst := make([]byte, 0, 4096)
		allocated := testing.AllocsPerRun(100, func() { dst = judge(r, req, res, &told, &shown, dst[:0]) })
		if allocated != 0 {
			t.Errorf("%s: %v allocations", name, allocated)
		}
	}
}

var anID = []byte("0123456789abcdef")

var client = netip.MustParseAddr("192.0.2.1")

// judge is all that is asked about one request.
func judge(r *rules.Rules, req *h1.Request, res *h1.Response, told *rules.Told, shown *rules.Shown, dst []byte) []byte {
	v := rules.Visit{Client: client, Host: "a.test", Path: "/x"}
	if r.Denied(v.Client) {
		panic("denied")
	}
	if refusal := r.Refuse(req, &v, nil, 0); refusal != (rules.Refusal{}) {
		panic("refused")
	}
	if _, ok := r.Process(req); ok {
		panic("led elsewhere")
	}
	told.Set(r, req, anID)
	for i := range req.Fields {
		told.Drop(req.Fields[i].Name)
	}
	dst = told.Append(dst, time.Time{}, nil)
	shown.Set(r, req, res, true)
	for i := range res.Fields {
		shown.Drop(res.Fields[i].Name)
	}
	return shown.Append(dst)
}

func BenchmarkRequest(b *testing.B) {
	req := request(b, "GET /x HTTP/1.1", "Accept-Encoding: gzip, deflate, br, zstd", "Cookie: a=b; c=d", "User-Agent: x", "Accept: */*")
	res := response(b, "GET", "HTTP/1.1 200 OK", "Content-Type: text/html", "Content-Length: 1000", "Date: x", "Server: y")
	for name, edge := range map[string]platform.Edge{
		"nothing": {},
		"much": {
			Deny: []string{"10.0.0.0/8"}, MaxBody: 1 << 20, Compress: []string{"zstd", "br", "gzip"},
			Redirects: []platform.Redirect{{Path: "/old", To: "/new"}, {Host: "www.a.test", To: "https://a.test{path}"}},
			Headers:   map[string]string{"X-Frame-Options": "DENY", "Server": ""}, HSTS: &platform.HSTS{MaxAge: time.Hour},
			Matches: []platform.Match{{If: []platform.Condition{{Cookie: "b", Value: "c"}}, Process: "beta"}},
		},
	} {
		r := compile(b, edge)
		b.Run(name, func(b *testing.B) {
			var told rules.Told
			var shown rules.Shown
			dst := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				dst = judge(r, req, res, &told, &shown, dst[:0])
			}
		})
	}
}
