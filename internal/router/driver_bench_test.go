//go:build !race

// Under the race detector pools forget at random.

package router_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// scripted is an instance that answers each of its connections' requests with
// one text, without allocating; each request is as one read brings it.
func scripted(t testing.TB, text string) (addr string) {
	t.Helper()
	answer := []byte(text)
	return answering(t, func(conn net.Conn) error {
		_, err := conn.Write(answer)
		return err
	})
}

// answering is an instance that answers by a function.
func answering(t testing.TB, answer func(net.Conn) error) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				buf := make([]byte, 16<<10)
				for {
					n, err := conn.Read(buf)
					if err != nil || !bytes.Contains(buf[:n], []byte("\r\n\r\n")) {
						return
					}
					if answer(conn) != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		all.Wait()
	})
	return ln.Addr().String()
}

// plainAnswer is what an app of one kilobyte says.
var plainAnswer = fmt.Sprintf("HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 18:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n%s", strings.Repeat("x", 1024))

// asking is a client's connection that asks the same again and again.
type asking struct {
	net.Conn
	request []byte
	buf     []byte
	size    int // of an answer
}

func (e *edge) asking(request string) *asking {
	e.t.Helper()
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { conn.Close() })
	a := &asking{Conn: conn, request: []byte(request), buf: make([]byte, 64<<10)}
	if _, err := conn.Write(a.request); err != nil {
		e.t.Fatal(err)
	}
	for !bytes.HasSuffix(a.buf[:a.size], []byte("xxxx")) {
		n, err := conn.Read(a.buf[a.size:])
		if err != nil {
			e.t.Fatalf("%v after %q", err, a.buf[:a.size])
		}
		a.size += n
	}
	return a
}

func (a *asking) ask(t testing.TB) {
	t.Helper()
	if _, err := a.Write(a.request); err != nil {
		t.Fatal(err)
	}
	for got := 0; got < a.size; {
		n, err := a.Read(a.buf[got:])
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
}

const browserRequest = "GET /some/path?with=query HTTP/1.1\r\nHost: blog.test\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n" +
	"Cookie: session=0123456789abcdef0123456789abcdef\r\n\r\n"

const formRequest = "POST /form HTTP/1.1\r\nHost: blog.test\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 11\r\n\r\nname=value&"

// BenchmarkPlain is one request of a browser and an answer of a kilobyte, with
// both ends in the same process.
func BenchmarkPlain(b *testing.B) {
	e := serve(b, router.Options{})
	e.SetRoute("blog", route("blog", 1, scripted(b, plainAnswer)))
	for _, c := range []struct{ name, request string }{{"get", browserRequest}, {"form", formRequest}} {
		b.Run(c.name, func(b *testing.B) {
			a := e.asking(c.request)
			b.ReportAllocs()
			for b.Loop() {
				a.ask(b)
			}
		})
	}
}

// BenchmarkAnAnswerInTwoWrites is one of an app that leaves Nagle's algorithm on,
// as Python's http.server does. Were its head not acknowledged at once, each
// would take 40 ms.
func BenchmarkAnAnswerInTwoWrites(b *testing.B) {
	e := serve(b, router.Options{})
	head, body, _ := strings.Cut(plainAnswer, "\r\n\r\n")
	e.SetRoute("blog", route("blog", 1, answering(b, func(conn net.Conn) error {
		_ = conn.(*net.TCPConn).SetNoDelay(false)
		_, _ = conn.Write([]byte(head + "\r\n\r\n"))
		_, err := conn.Write([]byte(body))
		return err
	})))
	a := e.asking(browserRequest)
	for b.Loop() {
		a.ask(b)
	}
}

func TestAPlainRequestAllocatesNothing(t *testing.T) {
	e := serve(t, router.Options{})
	rt := route("blog", 1, scripted(t, plainAnswer))
	rt.Edge.Rates = []platform.RateLimit{{By: "client", PerSecond: 1e6, Concurrent: 100}}
	rt.Edge.Overload = platform.Overload{Mode: platform.OverloadOn, Limit: 1}
	e.SetRoute("blog", rt)
	for _, request := range []string{browserRequest, formRequest} {
		a := e.asking(request)
		for range 100 { // until buffers have grown
			a.ask(t)
		}
		// Less than one in ten requests: a tick of the watch, a slot of the counts.
		if n := testing.AllocsPerRun(2000, func() { a.ask(t) }); n >= 0.1 {
			t.Errorf("%.10s allocates %v times", request, n)
		}
	}
}
