package router_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// The corpus: what a client or an app may send, what comes of it, and the
// clause or the published attack that it rests on. Each probe has a router, an
// app and connections of its own.

// asked is a probe of a request: the bytes that a client sends.
type asked struct {
	name, clause string
	send         string
	// want is the answer's status and what becomes of the connection: "200 kept"
	// when a second request behind it is answered too, "400 closed" when not.
	want string
	// sees are parts of the bytes that reach the app, hides what may not.
	sees, hides []string
	// says are parts of what the client gets.
	says []string
}

// canary is the request behind a probe. Its answer shows that the connection is
// in step: a router that took part of the probe for a request would show here.
const canary = "GET /canary HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n"

func (p asked) run(t *testing.T) {
	app := newScribe(t, nil)
	e := serve(t, router.Options{MaxHeaderBytes: 16 << 10})
	e.SetRoute("blog", route("blog", 1, app.addr))
	got := e.raw(p.send + canary)
	kept := "closed"
	if strings.Contains(got, "[GET /canary]") {
		kept = "kept"
	}
	if status := statusOf(got); status+" "+kept != p.want {
		t.Errorf("came to %s %s, want %s (%s): %.300q", status, kept, p.want, p.clause, got)
	}
	for _, part := range p.says {
		if !strings.Contains(got, part) {
			t.Errorf("the client got %.600q, want %q in it (%s)", got, part, p.clause)
		}
	}
	seen := app.text()
	for _, part := range p.sees {
		if !strings.Contains(seen, part) {
			t.Errorf("the app got %.600q, want %q in it (%s)", seen, part, p.clause)
		}
	}
	for _, part := range append(p.hides, "/smuggled") {
		if strings.Contains(seen, part) {
			t.Errorf("the app got %.600q, want no %q in it (%s)", seen, part, p.clause)
		}
	}
}

// statusOf is the status of the first final answer in what a client got.
func statusOf(got string) string {
	for {
		rest, ok := strings.CutPrefix(got, "HTTP/1.1 ")
		switch {
		case !ok || len(rest) < 3:
			return "none"
		case rest[0] != '1' || rest[:3] == "101":
			return rest[:3]
		}
		_, got, _ = strings.Cut(rest, "\r\n\r\n")
	}
}

// scribe is an app that writes down every byte that it gets, and answers what
// it is told, or else with the request's method and target.
type scribe struct {
	addr string
	say  []byte // the whole answer to what is not the canary; nil: its own

	logged // every byte
	conns  atomic.Int32
}

func newScribe(t *testing.T, say []byte) *scribe {
	ln := listen(t)
	s := &scribe{addr: ln.Addr().String(), say: say}
	var open guests
	open.take(ln, s.serve)
	t.Cleanup(func() { ln.Close(); open.end() })
	return s
}

func (s *scribe) serve(conn net.Conn) {
	s.conns.Add(1)
	in := bufio.NewReader(io.TeeReader(conn, s))
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if req.Header.Get("Expect") != "" {
			_, _ = io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		if s.say != nil && req.URL.Path != "/canary" {
			_, _ = conn.Write(s.say)
			if !bytes.Contains(s.say, []byte("X-Stay: y")) {
				return
			}
			continue
		}
		text := "[" + req.Method + " " + req.RequestURI + "]" + string(body)
		if req.Method == http.MethodHead {
			text = ""
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: "+itoa(len(text))+"\r\n\r\n"+text)
	}
}

func itoa(n int) string { return string(appendInt(nil, n)) }

func appendInt(dst []byte, n int) []byte {
	if n >= 10 {
		dst = appendInt(dst, n/10)
	}
	return append(dst, byte('0'+n%10))
}

// told is a probe of an answer: the bytes that an app sends.
type told struct {
	name, clause string
	method       string // GET when empty
	old          bool   // the client speaks HTTP/1.0
	// say is all the app sends; then it closes, unless the answer has X-Stay: y.
	say string
	// want is the status that the client gets, and how the answer ends: "whole",
	// or "cut" when the client can tell that something is missing.
	want string
	body string
	// says are parts of what the client gets, lacks what may not be in it.
	says, lacks []string
	// parted: the connection to the app is not used again.
	parted bool
}

func (p told) run(t *testing.T) {
	app := newScribe(t, []byte(p.say))
	e := serve(t, router.Options{AnswerTimeout: 20 * time.Second, UpstreamIdle: time.Minute})
	e.SetRoute("blog", &platform.Route{App: "blog", Hosts: []string{"blog.test"}, Release: 1, Backends: []platform.Backend{{Instance: "a", Address: app.addr}}})
	method, version := p.method, "1.1"
	if method == "" {
		method = http.MethodGet
	}
	if p.old {
		version = "1.0"
	}
	got := e.raw(method + " / HTTP/" + version + "\r\nHost: blog.test\r\nConnection: close\r\n\r\n")
	body, ending := ended(got, method)
	if status := statusOf(got); status+" "+ending != p.want {
		t.Errorf("came to %s %s, want %s (%s): %.300q", status, ending, p.want, p.clause, got)
	}
	if ending == "whole" && p.body != "" && body != p.body {
		t.Errorf("the body is %.100q, want %.100q (%s)", body, p.body, p.clause)
	}
	for _, part := range p.says {
		if !strings.Contains(got, part) {
			t.Errorf("the client got %.600q, want %q in it (%s)", got, part, p.clause)
		}
	}
	for _, part := range append(p.lacks, "poison") {
		if strings.Contains(got, part) {
			t.Errorf("the client got %.600q, want no %q in it (%s)", got, part, p.clause)
		}
	}
	after := e.raw(canary)
	if !strings.Contains(after, "[GET /canary]") || strings.Contains(after, "poison") {
		t.Errorf("the next client got %.300q (%s)", after, p.clause)
	}
	app.mu.Lock()
	defer app.mu.Unlock()
	if parted := app.conns.Load() > 1; parted != p.parted && strings.Contains(p.say, "X-Stay: y") {
		t.Errorf("the connection was given up: %v, want %v (%s)", parted, p.parted, p.clause)
	}
}

// ended reads what a client got as a client does, to the end of the connection.
func ended(got, method string) (body, ending string) {
	in := bufio.NewReader(strings.NewReader(got))
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return "", "cut"
		}
		if res.StatusCode < 200 && res.StatusCode != 101 {
			continue
		}
		text, err := io.ReadAll(res.Body)
		if err != nil {
			return string(text), "cut"
		}
		if rest, _ := io.ReadAll(in); len(rest) > 0 && res.StatusCode != 101 {
			return string(text), "followed by something"
		}
		return string(text), "whole"
	}
}

func TestConformanceOfRequests(t *testing.T) {
	for _, p := range requests {
		t.Run(p.name, func(t *testing.T) { t.Parallel(); p.run(t) })
	}
}

func TestConformanceOfAnswers(t *testing.T) {
	for _, p := range answers {
		t.Run(p.name, func(t *testing.T) { t.Parallel(); p.run(t) })
	}
}
