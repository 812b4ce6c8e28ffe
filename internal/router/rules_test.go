package router_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// overBoth runs a test with a client of HTTP/1.1 and one of HTTP/2.
func overBoth(t *testing.T, test func(t *testing.T, do func(*http.Request) answer)) {
	for name, c := range map[string]*http.Client{"HTTP/1.1": client(t), "HTTP/2": h2c(t)} {
		t.Run(name, func(t *testing.T) {
			test(t, func(req *http.Request) answer { t.Helper(); return roundTrip(t, c.Transport, req) })
		})
	}
}

// ruled is an edge whose app blog has rules.
func ruled(t *testing.T, rules platform.Edge, h http.HandlerFunc) *edge {
	e := serve(t, router.Options{})
	rt := route("blog", 1, backend(t, h))
	rt.Edge = rules
	e.SetRoute("blog", rt)
	if wrong := e.Problems(); len(wrong) > 0 {
		t.Fatal(wrong)
	}
	return e
}

func TestARedirectIsAnsweredByTheRouter(t *testing.T) {
	e := ruled(t, platform.Edge{Redirects: []platform.Redirect{{Path: "/old", To: "https://new.test{path}?{query}", Status: 302}}}, says("blog"))
	overBoth(t, func(t *testing.T, do func(*http.Request) answer) {
		got := do(e.request("POST", "blog.test:8080", "/%6fld/x?a=b", strings.NewReader("body")))
		if got.StatusCode != 302 || got.Header.Get("Location") != "https://new.test/%6fld/x?a=b" {
			t.Errorf("got %d to %q", got.StatusCode, got.Header.Get("Location"))
		}
		do(e.request("GET", "blog.test", "/other", nil)).want(t, 200, "blog")
	})
}

func TestAnAppMayAskForAPassword(t *testing.T) {
	hash, err := platform.HashPassword("open sesame")
	if err != nil {
		t.Fatal(err)
	}
	e := ruled(t, platform.Edge{Auth: &platform.BasicAuth{Realm: "blog", Users: map[string]string{"ann": hash}}}, echoHead)
	overBoth(t, func(t *testing.T, do func(*http.Request) answer) {
		got := do(e.request("GET", "blog.test", "/", nil))
		if got.want(t, 401, "Password needed"); got.Header.Get("Www-Authenticate") != `Basic realm="blog", charset="UTF-8"` {
			t.Errorf("the challenge is %q", got.Header.Get("Www-Authenticate"))
		}
		var all sync.WaitGroup
		for range 20 { // as a browser loads a page
			req := e.request("GET", "blog.test", "/", nil)
			req.SetBasicAuth("ann", "open sesame")
			all.Go(func() {
				got := do(req)
				got.want(t, 200, "GET /")
				if strings.Contains(got.body, "Authorization") {
					t.Error("the app is told the password")
				}
			})
		}
		all.Wait()
		req := e.request("GET", "blog.test", "/", nil)
		req.SetBasicAuth("ann", "guess")
		do(req).want(t, 401, "")
	})
}

func TestADeniedNetworkIsDeniedWhateverTheWhitelistSays(t *testing.T) {
	e := serve(t, router.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("172.16.0.0/12")}})
	rt := route("blog", 1, backend(t, says("blog")))
	rt.Allow, rt.Edge.Deny = []string{"10.0.0.0/8"}, []string{"10.6.6.0/24"}
	rt.Edge.Redirects = []platform.Redirect{{Path: "/old", To: "/new"}}
	e.SetRoute("blog", rt)
	for client, want := range map[string]int{"10.1.1.1": 308, "10.6.6.6": 403, "11.0.0.1": 403, "::ffff:10.6.6.6": 403} {
		if got := e.from(client, "GET", "http://blog.test/old").Code; got != want {
			t.Errorf("%s: %d, want %d", client, got, want)
		}
	}
	if got := e.from("172.16.0.1", "GET", "http://blog.test/", "X-Forwarded-For: 10.6.6.6").Code; got != 403 {
		t.Errorf("by a trusted proxy: %d", got)
	}
}

func TestHeadersAndCookiesLeadBeforePaths(t *testing.T) {
	e := serve(t, router.Options{})
	rt := services(t, platform.PathRoute{Process: "beta"}, platform.PathRoute{Process: "hooks", Patterns: []string{"/hooks"}})
	rt.Edge.Matches = []platform.Match{
		{If: []platform.Condition{{Cookie: "beta", Value: "1"}}, Process: "beta"},
		{If: []platform.Condition{{Header: "X-Back", Value: "*"}}, Process: "web"},
		{If: []platform.Condition{{Header: "X-Gone", Value: "*"}}, Process: "gone"},
	}
	e.SetRoute("blog", rt)
	overBoth(t, func(t *testing.T, do func(*http.Request) answer) {
		for _, c := range []struct{ header, value, path, want string }{
			{"Cookie", "a=b; beta=1", "/hooks", "beta"},
			{"Cookie", "a=b; beta=2", "/hooks", "hooks"},
			{"X-Back", "x", "/hooks", "main"},
			{"X-Other", "x", "/", "main"},
		} {
			req := e.request("GET", "blog.test", c.path, nil)
			req.Header.Set(c.header, c.value)
			do(req).want(t, 200, c.want)
		}
		req := e.request("GET", "blog.test", "/hooks", nil)
		req.Header.Set("X-Gone", "x")
		do(req).want(t, 503, "") // it is down, and nobody stands in for it
	})
}

func TestABodyThatIsTooLongIsCutOff(t *testing.T) {
	begun := make(chan struct{}, 1)
	e := ruled(t, platform.Edge{MaxBody: 1000}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/eager" {
			_ = http.NewResponseController(w).EnableFullDuplex()
			_ = http.NewResponseController(w).Flush()
			begun <- struct{}{}
		}
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	overBoth(t, func(t *testing.T, do func(*http.Request) answer) {
		send := func(n int, known bool) answer {
			var body io.Reader = strings.NewReader(strings.Repeat("x", n))
			if !known {
				body = io.MultiReader(body)
			}
			return do(e.request("POST", "blog.test", "/", body))
		}
		for _, known := range []bool{true, false} {
			send(1000, known).want(t, 200, "1000")
			send(1001, known).want(t, 413, "1000 bytes")
			send(200_000, known).want(t, 413, "Too large")
		}
	})
	t.Run("once the answer began", func(t *testing.T) {
		from, to := io.Pipe()
		defer to.Close()
		res, err := client(t).Do(e.request("POST", "blog.test", "/eager", from))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		<-begun
		go func() { _, _ = to.Write(make([]byte, 2000)) }()
		if all, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("the answer looks whole: %q", all)
		}
	})
}

func TestWhatRulesAnswerIsNoRequestOfARelease(t *testing.T) {
	e := serve(t, router.Options{})
	rt := route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "blog")
	}))
	rt.Cutover = 1
	rt.Edge = platform.Edge{MaxBody: 10, Redirects: []platform.Redirect{{Path: "/old", To: "/new"}}}
	e.SetRoute("blog", rt)
	e.do(e.request("GET", "blog.test", "/old", nil)).want(t, 308, "")
	e.do(e.request("POST", "blog.test", "/", strings.NewReader("more than ten"))).want(t, 413, "")
	e.do(e.request("POST", "blog.test", "/", io.MultiReader(strings.NewReader("more than ten")))).want(t, 413, "")
	e.get("blog.test").want(t, 200, "blog")
	e.do(e.request("GET", "blog.test", "/old", nil)).want(t, 308, "") // after which the last was counted
	report, _ := e.Cutover("blog")
	if report.Requests != 1 || report.Failed != 0 {
		t.Errorf("the cutover counts %d requests, %d failed", report.Requests, report.Failed)
	}
}

var story = strings.Repeat("all work and no play makes jack a dull boy. ", 2000)

func TestAnswersAreCompressedForThoseWhoAsk(t *testing.T) {
	e := ruled(t, platform.Edge{Compress: []string{"gzip"}, Headers: map[string]string{"X-Frame-Options": "DENY"}}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Vary", "Cookie")
		w.Header().Set("ETag", `"one"`)
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", strconv.Itoa(len(story)))
		}
		_, _ = io.WriteString(w, story)
	})
	overBoth(t, func(t *testing.T, do func(*http.Request) answer) {
		for _, path := range []string{"/known", "/unknown"} {
			for _, method := range []string{"GET", "HEAD"} {
				req := e.request(method, "blog.test", path, nil)
				req.Header.Set("Accept-Encoding", "gzip")
				got := do(req)
				if got.Header.Get("Content-Encoding") != "gzip" || got.Header.Get("Content-Length") != "" ||
					strings.Join(got.Header["Vary"], ", ") != "Cookie, Accept-Encoding" || got.Header.Get("Etag") != `W/"one"` ||
					got.Header.Get("X-Frame-Options") != "DENY" {
					t.Errorf("%s %s: %v", method, path, got.Header)
				}
				if method == "HEAD" {
					continue
				}
				reader, err := gzip.NewReader(strings.NewReader(got.body))
				if err != nil {
					t.Fatal(err)
				}
				if text, err := io.ReadAll(reader); string(text) != story || err != nil || len(got.body) > len(story)/10 {
					t.Errorf("%d bytes came, %d of %d by %d", len(got.body), len(text), len(story), err)
				}
			}
			plain := do(e.request("GET", "blog.test", path, nil))
			if plain.body != story || plain.Header.Get("Content-Encoding") != "" || len(plain.Header["Vary"]) != 2 || plain.Header.Get("Etag") != `"one"` {
				t.Errorf("nobody asked: %v", plain.Header)
			}
		}
	})
}

func TestACompressedEventArrivesWhenItIsSaid(t *testing.T) {
	next := make(chan struct{})
	e := ruled(t, platform.Edge{Compress: []string{"gzip"}}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	for name, c := range map[string]*http.Client{"HTTP/1.1": client(t), "HTTP/2": h2c(t)} {
		t.Run(name, func(t *testing.T) {
			req := e.request("GET", "blog.test", "/", nil)
			req.Header.Set("Accept-Encoding", "gzip")
			res, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			reader, err := gzip.NewReader(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(reader)
			for i := range 3 {
				line, err := lines.ReadString('\n')
				if err != nil || line != fmt.Sprintf("data: %d\n", i) {
					t.Fatalf("got %q, %v", line, err)
				}
				_, _ = lines.ReadString('\n')
				next <- struct{}{}
			}
			if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
				t.Errorf("it ends with %q, %v", rest, err)
			}
		})
	}
}

func TestACompressedAnswerThatBreaksOffIsNotWhole(t *testing.T) {
	e := ruled(t, platform.Edge{Compress: []string{"gzip"}}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, story[:5000])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	for range 20 { // what was lent for it comes back each time
		req := e.request("GET", "blog.test", "/", nil)
		req.Header.Set("Accept-Encoding", "gzip")
		res, err := client(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err == nil {
			t.Fatalf("%d bytes look whole", len(all))
		}
	}
}

func TestTheRoutersAnswersHaveTheTeamsPagesAndFields(t *testing.T) {
	e := serve(t, router.Options{})
	rt := route("blog", 1)
	rt.Edge = platform.Edge{
		Pages:   map[string]string{"5xx": "<p>Soon back", "maintenance": "<p>At work"},
		Headers: map[string]string{"X-Team": "blog", "X-Content-Type-Options": ""}, HSTS: &platform.HSTS{MaxAge: time.Hour},
	}
	e.SetRoute("blog", rt)
	overBoth(t, func(t *testing.T, do func(*http.Request) answer) {
		ask := func(accept string) answer {
			req := e.request("GET", "blog.test", "/", nil)
			req.Header.Set("Accept", accept)
			return do(req)
		}
		got := ask("text/html")
		got.want(t, 503, "<p>Soon back")
		if got.Header.Get("X-Team") != "blog" || got.Header.Get("X-Content-Type-Options") != "" || got.Header.Get("Strict-Transport-Security") != "" ||
			got.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("in plain HTTP: %v", got.Header)
		}
		ask("application/json").want(t, 503, `"detail"`)
	})
	rt.Maintenance = true
	e.SetRoute("blog", rt)
	req := e.request("GET", "blog.test", "/", nil)
	req.Header.Set("Accept", "text/html")
	e.do(req).want(t, 503, "<p>At work")
}

func TestHSTSIsSaidOverHTTPSAlone(t *testing.T) {
	e := serve(t, router.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	rt := route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=1")
	}))
	rt.Edge.HSTS = &platform.HSTS{MaxAge: time.Hour}
	e.SetRoute("blog", rt)
	req := e.request("GET", "blog.test", "/", nil)
	if got := e.do(req).Header.Get("Strict-Transport-Security"); got != "max-age=1" {
		t.Errorf("in plain HTTP the app's own became %q", got)
	}
	req.Header.Set("X-Forwarded-Proto", "https")
	if got := e.do(req).Header["Strict-Transport-Security"]; len(got) != 1 || got[0] != "max-age=3600" {
		t.Errorf("by HTTPS: %q", got)
	}
}

func TestTheAppIsToldTraceAndIds(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	e := ruled(t, platform.Edge{Traces: true, RequestStart: true}, echoHead)
	overBoth(t, func(t *testing.T, do func(*http.Request) answer) {
		req := e.request("GET", "blog.test", "/", nil)
		req.Header["Traceparent"], req.Header["X-Client-Cert-Subject"] = []string{parent}, []string{"CN=root"}
		req.Header["X-Correlation-Id"] = []string{"theirs"}
		got := do(req)
		id := got.Header.Get("X-Request-Id")
		for _, want := range []string{"Traceparent: " + parent, "X-Correlation-Id: theirs, " + id + "\r\n", "X-Request-Start: t=1"} {
			if !strings.Contains(got.body, want) {
				t.Errorf("%q is missing from\n%s", want, got.body)
			}
		}
		if strings.Contains(got.body, "Client-Cert") {
			t.Errorf("a certificate is forged:\n%s", got.body)
		}
		first, second := do(e.request("GET", "blog.test", "/", nil)), do(e.request("GET", "blog.test", "/", nil))
		begun := func(a answer) string {
			_, after, _ := strings.Cut(a.body, "Traceparent: ")
			trace, _, _ := strings.Cut(after, "\r\n")
			return trace
		}
		if len(begun(first)) != 55 || begun(first) == begun(second) {
			t.Errorf("begun were %q and %q", begun(first), begun(second))
		}
	})
}

// TestRulesChangeUnderLoad looks for races between requests and changes.
func TestRulesChangeUnderLoad(t *testing.T) {
	e := serve(t, router.Options{})
	rt := route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, story)
	}))
	var all sync.WaitGroup
	stop := make(chan struct{})
	e.SetRoute("blog", rt)
	for range 4 {
		all.Go(func() {
			c := client(t)
			for {
				select {
				case <-stop:
					return
				default:
				}
				req := e.request("GET", "blog.test", "/", nil)
				req.Header.Set("Accept-Encoding", "gzip, zstd")
				res, err := c.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				var body bytes.Buffer
				if _, err := body.ReadFrom(res.Body); err != nil || res.StatusCode != 200 {
					t.Error(res.StatusCode, err)
				}
				res.Body.Close()
			}
		})
	}
	for i := range 100 {
		rt.Edge = platform.Edge{MaxBody: int64(i), Headers: map[string]string{"X": strconv.Itoa(i)}}
		if i%2 == 0 {
			rt.Edge.Compress = []string{"zstd", "gzip"}
		}
		e.SetRoute("blog", rt)
	}
	close(stop)
	all.Wait()
}
