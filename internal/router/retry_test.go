package router_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// nobody is an address that refuses connections.
func nobody(t *testing.T) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) }) // until then the port is nobody else's either
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port)
}

func TestADeadInstanceCostsNoRequestWhileAnotherLives(t *testing.T) {
	e := serve(t, router.Options{})
	live := backend(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	e.SetRoute("blog", route("blog", 1, nobody(t), live, nobody(t)))
	for i := range 20 {
		body := fmt.Sprint("body ", i)
		e.do(e.request("POST", "blog.test", "/", strings.NewReader(body))).want(t, 200, body)
	}
}

func TestASingleDeadInstanceIsUnavailable(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, nobody(t)))
	for range 2 {
		a := e.get("blog.test")
		a.want(t, 503, "No instance of the app blog accepts connections")
		if a.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
}

func TestTheRouteOfTheRetryIsTheCurrentOne(t *testing.T) {
	e := serve(t, router.Options{})
	gone := nobody(t)
	live := backend(t, says("ok"))
	stop := make(chan struct{})
	var flips sync.WaitGroup
	flips.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				e.SetRoute("blog", route("blog", i, gone, live))
				e.SetRoute("blog", route("blog", i, live))
			}
		}
	})
	e.SetRoute("blog", route("blog", 1, live))
	for range 100 {
		e.get("blog.test").want(t, 200, "ok")
	}
	close(stop)
	flips.Wait()
}

// fickle answers the first request of a connection and closes it at the
// second, before a byte of an answer; it counts the latter.
func fickle(t *testing.T) (addr string, dropped *atomic.Int64) {
	ln := listen(t)
	dropped = new(atomic.Int64)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				rd := bufio.NewReader(conn)
				req, err := http.ReadRequest(rd)
				if err != nil {
					return
				}
				text, _ := io.ReadAll(req.Body)
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
				if _, err = http.ReadRequest(rd); err == nil {
					dropped.Add(1)
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		conns.Wait()
	})
	return ln.Addr().String(), dropped
}

func TestAConnectionThatHadGoneStaleIsTriedAgainWhereThatIsHarmless(t *testing.T) {
	addr, dropped := fickle(t)
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, addr))
	for range 10 {
		for _, method := range []string{"GET", "PUT", "DELETE", "PUT", "OPTIONS"} {
			e.do(e.request(method, "blog.test", "/", strings.NewReader("body"))).want(t, 200, "body")
		}
		post := e.request("POST", "blog.test", "/", strings.NewReader("body"))
		post.Header.Set("Idempotency-Key", "k1")
		e.do(post).want(t, 200, "body")
	}
	if dropped.Load() == 0 {
		t.Error("no connection was used twice")
	}
}

func TestARequestThatMayHaveBeenDoneIsNotSentTwice(t *testing.T) {
	addr, dropped := fickle(t)
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, addr))
	for range 1000 { // until one comes to the connection of the request before
		e.get("blog.test").want(t, 200, "")
		before := dropped.Load()
		a := e.do(e.request("POST", "blog.test", "/", strings.NewReader("body")))
		if dropped.Load() > before {
			a.want(t, 502, "ended the connection")
			return
		}
		a.want(t, 200, "body")
	}
	t.Error("no connection was used twice")
}

func TestAnAnswerThatBreaksOffIsCutOffAtTheClientToo(t *testing.T) {
	e := serve(t, router.Options{})
	var calls atomic.Int64
	arrived := make(chan struct{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		<-arrived
		panic(http.ErrAbortHandler)
	})))
	res, err := client(t).Do(e.request("GET", "blog.test", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	close(arrived)
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err == nil || string(text) != "half" {
		t.Errorf("got %q, %v", text, err)
	}
	if calls.Load() != 1 {
		t.Errorf("sent %d times", calls.Load())
	}
}

func TestAnAppThatHangsUpIsABadGateway(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })))
	e.get("blog.test").want(t, 502, "The app blog ended the connection")
}

func TestAnAppThatDoesNotAnswerIsTimedOutAndTheControlPlaneIsNot(t *testing.T) {
	e := serve(t, router.Options{AnswerTimeout: 30 * time.Millisecond})
	slow := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "blog.test" {
			<-r.Context().Done()
			return
		}
		time.Sleep(150 * time.Millisecond) // longer than an app has
		_, _ = io.WriteString(w, "at last")
	})
	e.SetRoute("blog", route("blog", 1, slow))
	e.get("blog.test").want(t, 504, "did not begin its answer in time")
	e.SetEdge(platform.EdgeState{ControlHosts: []string{"slipway.test"}, Control: slow})
	e.get("slipway.test").want(t, 200, "at last")
}

func TestAClientThatLeavesIsNoFailureAndEndsTheAppsWork(t *testing.T) {
	got := make(chan router.Access, 1)
	e := serve(t, router.Options{Access: func(a router.Access) { got <- a }})
	arrived, ended := make(chan struct{}), make(chan struct{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(ended)
	})))
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: blog.test\r\n\r\n")
	<-arrived
	conn.Close()
	<-ended
	if a := <-got; a.Status != 499 || a.Failed {
		t.Errorf("got %+v", a)
	}
}
