package router_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-paas/slipway/internal/router"
)

// TestMessagesOfDoubtfulLength sends heads that two parsers may read in two
// ways. Either the router refuses, or the app gets one request whose length is
// beyond doubt: what is inside a body never becomes a request of its own.
func TestMessagesOfDoubtfulLength(t *testing.T) {
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: blog.test\r\n\r\n"
	for _, probe := range []struct {
		name, message string
		refused       bool // else made unambiguous
	}{
		{"length and chunked", "POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true},
		{"two lengths", "POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", true},
		{"signed length", "POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: +5\r\n\r\nhello", true},
		{"unknown coding", "POST / HTTP/1.1\r\nHost: blog.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", true},
		{"two codings", "POST / HTTP/1.1\r\nHost: blog.test\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", true},
		{"coding twice", "POST / HTTP/1.1\r\nHost: blog.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true},
		{"space before colon", "POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length : 5\r\n\r\nhello", true},
		{"space before the first header", "GET / HTTP/1.1\r\n X: y\r\nHost: blog.test\r\n\r\n", true},
		{"bad chunk size", "POST / HTTP/1.1\r\nHost: blog.test\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", true},
		{"chunk size with prefix", "POST / HTTP/1.1\r\nHost: blog.test\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", true},
		{"chunk size ended by LF", "POST / HTTP/1.1\r\nHost: blog.test\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", true},
		{"long chunk extension", "POST / HTTP/1.1\r\nHost: blog.test\r\nTransfer-Encoding: chunked\r\n\r\n5;" + strings.Repeat("x", 20<<10) + "\r\nhello\r\n0\r\n\r\n", true},
		{"two hosts", "GET / HTTP/1.1\r\nHost: blog.test\r\nHost: other.test\r\n\r\n", true},
		{"no host", "GET / HTTP/1.1\r\n\r\n", true},
		{"NUL in a value", "GET / HTTP/1.1\r\nHost: blog.test\r\nX: a\x00b\r\n\r\n", true},
		{"CR in a value", "GET / HTTP/1.1\r\nHost: blog.test\r\nX: a\rb\r\n\r\n", true},
		{"bad header name", "GET / HTTP/1.1\r\nHost: blog.test\r\nX(y): a\r\n\r\n", true},
		{"folded header", "GET / HTTP/1.1\r\nHost: blog.test\r\nX: a\r\n b\r\n\r\n", true},
		{"lines ended by LF", "GET / HTTP/1.1\nHost: blog.test\n\n", true},
		{"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nHost: blog.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true},
		{"chunk extension", "POST / HTTP/1.1\r\nHost: blog.test\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n", false},
		{"other host in the target", "GET http://blog.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n", true},
		{"length of a body that holds a request", fmt.Sprintf("POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: %d\r\n\r\n%s", len(smuggled), smuggled), false},
	} {
		t.Run(probe.name, func(t *testing.T) {
			var mu sync.Mutex
			var seen []string
			e := serve(t, router.Options{})
			e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
				n, err := io.Copy(io.Discard, r.Body)
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, r.URL.Path)
				if n != r.ContentLength && len(r.TransferEncoding) == 0 || err != nil && !probe.refused || r.Host != "blog.test" {
					t.Errorf("the app saw %d bytes (%v), length %d, coding %v, host %s", n, err, r.ContentLength, r.TransferEncoding, r.Host)
				}
			})))
			// What closes the connection comes after, so that nothing waits.
			got := e.raw(probe.message + "GET /last HTTP/1.1\r\nHost: nobody.test\r\nConnection: close\r\n\r\n")
			refused := strings.HasPrefix(got, "HTTP/1.1 400") || strings.HasPrefix(got, "HTTP/1.1 501")
			if refused != probe.refused {
				t.Errorf("refused: %v, want %v: %s", refused, probe.refused, got)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(seen) > 1 || len(seen) == 1 && seen[0] != "/" {
				t.Errorf("the app saw %v", seen)
			}
		})
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "[%s]", r.URL.Path) })))
	got := e.raw("GET /1 HTTP/1.1\r\nHost: blog.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: blog.test\r\n\r\n" +
		"GET /3 HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n")
	if a, b, c := strings.Index(got, "[/1]"), strings.Index(got, "[/2]"), strings.Index(got, "[/3]"); a < 0 || b < a || c < b {
		t.Errorf("got %s", got)
	}
}

func TestWhatAnAppSaysAfterItsAnswerReachesNobody(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
	})))
	for range 5 {
		if a := e.get("blog.test"); a.body != "ok" {
			t.Errorf("got %q", a.body)
		}
	}
}
