package router_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/access"
	"github.com/slipway-paas/slipway/internal/router"
)

// TestEverythingHoldsByLoopsToo runs all tests once more, with routers that
// lead plain HTTP/1.1 by loops.
func TestEverythingHoldsByLoopsToo(t *testing.T) {
	if os.Getenv(loopsEnv) != "" {
		t.Skip("these are they")
	}
	args := []string{"-test.count=1"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	again := exec.CommandContext(t.Context(), os.Args[0], args...)
	again.Env = append(os.Environ(), loopsEnv+"=1")
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// speaking is a client's connection by which requests are written by hand.
type speaking struct {
	net.Conn
	rd *bufio.Reader
	t  *testing.T
}

func (e *edge) speak(t *testing.T) *speaking {
	t.Helper()
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(hangs))
	return &speaking{conn, bufio.NewReader(conn), t}
}

func (s *speaking) say(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s, text); err != nil {
		s.t.Fatal(err)
	}
}

func (s *speaking) hear(body string) {
	s.t.Helper()
	res, err := http.ReadResponse(s.rd, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || string(text) != body {
		s.t.Fatalf("got %.40q, %v, want %.40q", text, err, body)
	}
}

const askBlog = "GET / HTTP/1.1\r\nHost: blog.test\r\n\r\n"

// repeats is an app that says how long the body was.
func repeats(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	fmt.Fprint(w, n)
}

func TestAConnectionComesBackToItsLoopAndIsCountedOnce(t *testing.T) {
	e := serve(t, router.Options{Loops: 1})
	e.SetRoute("blog", route("blog", 1, backend(t, repeats)))
	s := e.speak(t)
	const size = 100_000 // more than a loop takes
	for range 5 {
		s.say(fmt.Sprintf("POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)))
		s.hear(fmt.Sprint(size))
		for range 5 {
			s.say(askBlog)
			s.hear("0")
		}
		if n := e.OnLoops(); n != 1 {
			t.Fatalf("%d connections are the loops', want 1", n)
		}
	}
	if n := e.HandedOver(); n != 5 {
		t.Errorf("it was handed over %d times, want 5", n)
	}
	shown := httptest.NewRecorder()
	access.NewExporter(e.Metrics(), nil, e.Snapshot).ServeHTTP(shown, httptest.NewRequest("GET", "/", nil))
	for _, want := range []string{`slipway_connections_total{door="http"} 1`, `slipway_connections_open{door="http"} 1`} {
		if !strings.Contains(shown.Body.String(), want+"\n") {
			t.Errorf("the metrics do not say %s", want)
		}
	}
}

func TestASmallBodyThatComesAfterItsHeadStaysWithTheLoop(t *testing.T) {
	e := serve(t, router.Options{Loops: 1})
	e.SetRoute("blog", route("blog", 1, backend(t, repeats)))
	const most = 10
	for range most {
		s := e.speak(t)
		s.say(askBlog + "POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 10\r\n\r\n12345")
		s.hear("0") // so the loop looks at the second request, too
		s.say("67890")
		s.hear("10")
	}
	// One whose second half is long in coming is handed over, on a busy machine.
	if n := e.HandedOver(); n == most {
		t.Errorf("all %d were handed over", n)
	}
}

func TestWithoutDescriptorsALoopServesWhomItHasAndTakesOthersLater(t *testing.T) {
	e := serve(t, router.Options{Loops: 1, UpstreamIdle: time.Hour, HeaderTimeout: hangs})
	e.SetRoute("blog", route("blog", 1, backend(t, says("blog"))))
	s := e.speak(t)
	s.say(askBlog)
	s.hear("blog")
	late, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	conn := os.NewFile(uintptr(late), "late")
	defer conn.Close()
	allow := noMoreDescriptors(t)
	to := s.RemoteAddr().(*net.TCPAddr)
	if err := unix.Connect(late, &unix.SockaddrInet4{Addr: [4]byte(to.IP.To4()), Port: to.Port}); err != nil {
		t.Fatal(err)
	}
	const turns, pause = 1000, 50 * time.Millisecond
	began := time.Now()
	for range turns {
		s.say(askBlog)
		s.hear("blog")
	}
	n, took := e.Pauses(), time.Since(began)
	if most := 2 + int(took/pause); n == 0 || n > min(most, turns/2) {
		t.Errorf("the loop tried %d times to take a connection, in %d turns and %s", n, turns, took)
	}
	allow()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n")
	if got, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(got), "blog") {
		t.Errorf("who had to wait got %q, %v", got, err)
	}
}

func TestARequestThatWaitsHoldsTheBufferOfItsHeadAlone(t *testing.T) {
	e := serve(t, router.Options{Loops: 1})
	const many = 20
	arrived, held := make(chan struct{}, many), make(chan struct{})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-held
		_, _ = io.WriteString(w, "blog")
	})))
	var all []*speaking
	for range many {
		s := e.speak(t)
		s.say(askBlog)
		all = append(all, s)
		<-arrived
	}
	if n := e.Buffers(); n != many {
		t.Errorf("%d requests hold %d buffers", many, n)
	}
	close(held)
	for _, s := range all {
		s.hear("blog")
	}
	if n := e.Buffers(); n != 0 {
		t.Errorf("%d buffers are held by nobody's request", n)
	}
}

// noMoreDescriptors lets this process have none besides those it has, not even in
// the place of one that closes, until allow is called.
func noMoreDescriptors(t *testing.T) (allow func()) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	allow = func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &was) }
	t.Cleanup(allow)
	return allow
}

func TestABodyThatDripsIsTooSlowWheneverThatIsNoticed(t *testing.T) {
	e := serve(t, router.Options{MinRate: 1 << 20, RateGrace: 20 * time.Millisecond})
	e.SetRoute("blog", route("blog", 1, backend(t, repeats)))
	const clients = 50
	var all sync.WaitGroup
	for range clients {
		s := e.speak(t)
		all.Go(func() {
			_, _ = io.WriteString(s, "POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 100000\r\n\r\n")
			go func() {
				for _, err := io.WriteString(s, "x"); err == nil; _, err = io.WriteString(s, "x") {
					runtime.Gosched()
				}
			}()
			// Its client may go on while it is answered, and is reset then.
			if status, err := s.rd.ReadString('\n'); err == nil && !strings.Contains(status, " 408 ") {
				t.Errorf("got %q", status)
			}
			s.Close()
		})
	}
	all.Wait()
}
