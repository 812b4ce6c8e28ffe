package router_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// speaks is an instance that talks to each connection as it likes.
func speaks(t *testing.T, talk func(conn net.Conn, rd *bufio.Reader)) (addr string) {
	t.Helper()
	ln := listen(t)
	var open guests
	open.take(ln, func(conn net.Conn) { talk(conn, bufio.NewReader(conn)) })
	t.Cleanup(func() { ln.Close(); open.end() })
	return ln.Addr().String()
}

// guests are the connections of an instance.
type guests struct {
	all  sync.WaitGroup
	mu   sync.Mutex
	open []net.Conn
	over bool
}

// take has each connection talked to in a goroutine of its own, which closes it,
// until the listener is closed.
func (g *guests) take(ln net.Listener, talk func(net.Conn)) {
	g.all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			g.mu.Lock()
			if g.open = append(g.open, conn); g.over {
				conn.Close()
			}
			g.mu.Unlock()
			g.all.Go(func() {
				defer conn.Close()
				talk(conn)
			})
		}
	})
}

// end closes all of them, once their listener is, and waits until nobody talks.
func (g *guests) end() {
	g.mu.Lock()
	g.over = true
	for _, conn := range g.open {
		conn.Close()
	}
	g.mu.Unlock()
	g.all.Wait()
}

// saying is an instance that answers each request with one text, and closes
// the connection after it if it says so.
func saying(t *testing.T, text string, closes bool) (addr string, conns *atomic.Int64) {
	conns = new(atomic.Int64)
	return speaks(t, func(conn net.Conn, rd *bufio.Reader) {
		conns.Add(1)
		for {
			req, err := http.ReadRequest(rd)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			if _, err := io.WriteString(conn, text); err != nil || closes {
				return
			}
		}
	}), conns
}

func TestWhatAnInstanceMayAnswerWrongly(t *testing.T) {
	for _, c := range []struct {
		name, text string
		closes     bool
		want       string // how the client's bytes begin
		failed     bool
	}{
		{"garbage", "SSH-2.0-OpenSSH_9.6\r\n\r\n", true, "HTTP/1.1 502", true},
		{"a bare line feed", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", false, "HTTP/1.1 502", true},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", false, "HTTP/1.1 502", true},
		{"a length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, "HTTP/1.1 502", true},
		{"a coding nobody knows", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok", true, "HTTP/1.1 502", true},
		{"an upgrade nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", false, "HTTP/1.1 502", true},
		{"interim heads without end", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 40), false, "HTTP/1.1 102", true},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-", true, "HTTP/1.1 502", true},
		{"a head too large", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 300<<10), false, "HTTP/1.1 502", true},
		{"a body shorter than its length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", true, "HTTP/1.1 200", true},
		{"chunks without an end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", true, "HTTP/1.1 200", true},
		{"chunks that break the rules", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n-1\r\n", false, "HTTP/1.1 200", true},
		{"trailers that only a head may have", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n", false, "HTTP/1.1 200", true},
		{"a body until the end", "HTTP/1.1 200 OK\r\n\r\nall of it", true, "HTTP/1.1 200", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := make(chan router.Access, 10)
			e := serve(t, router.Options{Access: func(a router.Access) { got <- a }})
			addr, _ := saying(t, c.text, c.closes)
			e.SetRoute("blog", route("blog", 1, addr))
			back := e.raw("GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n")
			if !strings.HasPrefix(back, c.want) {
				t.Errorf("the client got %.200q, want %s", back, c.want)
			}
			if a := <-got; a.Failed != c.failed {
				t.Errorf("counted as %+v", a)
			}
			if whole := strings.HasSuffix(back, "0\r\n\r\n"); c.want == "HTTP/1.1 200" && whole == c.failed {
				t.Errorf("the client cannot tell whether it was all: %q", back)
			}
		})
	}
}

func TestAnAnswersBytesBeyondItsEndReachNobody(t *testing.T) {
	addr, conns := saying(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", false)
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, addr))
	k := e.keepAlive()
	for range 5 {
		if body, _ := k.get("blog.test"); body != "ok" {
			t.Errorf("got %q", body)
		}
	}
	if conns.Load() != 5 {
		t.Errorf("%d connections for 5 answers that had more after them", conns.Load())
	}
}

// arrives waits until the other end's kernel has all that was written.
func arrives(conn net.Conn) {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	for n := 1; n > 0 && err == nil; {
		gone := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
		err = errors.Join(err, gone)
	}
}

func TestAnInstanceThatSpeaksUnaskedIsNotBelieved(t *testing.T) {
	e := serve(t, router.Options{})
	heard, said := make(chan struct{}), make(chan struct{})
	var first sync.Once
	e.SetRoute("blog", route("blog", 1, speaks(t, func(conn net.Conn, rd *bufio.Reader) {
		for {
			if _, err := http.ReadRequest(rd); err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			first.Do(func() {
				<-heard // so that it comes by itself
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
				arrives(conn)
				close(said)
			})
		}
	})))
	k := e.keepAlive()
	if body, _ := k.get("blog.test"); body != "ok" {
		t.Errorf("got %q", body)
	}
	close(heard)
	<-said
	if body, _ := k.get("blog.test"); body != "ok" {
		t.Errorf("got %q", body)
	}
}

func TestConnectionsToAnInstanceAreUsedAgain(t *testing.T) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;ext=1\r\nok\r\n0\r\nSum: 1\r\n\r\n",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	} {
		addr, conns := saying(t, text, false)
		e := serve(t, router.Options{UpstreamIdle: time.Hour})
		e.SetRoute("blog", route("blog", 1, addr))
		for range 5 {
			e.do(e.request("POST", "blog.test", "/", strings.NewReader("body"))).want(t, 200, "ok")
			e.do(e.request("POST", "blog.test", "/", io.MultiReader(strings.NewReader("chunks")))).want(t, 200, "ok")
		}
		// A loop has its own, and leaves bodies that come in chunks to others.
		if conns.Load() > 1+int64(e.loops) {
			t.Errorf("%d connections for answers like %q", conns.Load(), text)
		}
	}
}

func TestConnectionsThatWereIdleForLongAreClosed(t *testing.T) {
	e := serve(t, router.Options{UpstreamIdle: 20 * time.Millisecond})
	ended := make(chan struct{})
	e.SetRoute("blog", route("blog", 1, speaks(t, func(conn net.Conn, rd *bufio.Reader) {
		_, _ = http.ReadRequest(rd)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_, _ = rd.ReadByte()
		close(ended)
	})))
	e.get("blog.test").want(t, 200, "ok")
	<-ended
}

func TestAnswersWithoutABody(t *testing.T) {
	for _, c := range []struct{ method, text, want string }{
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "Content-Length: 5\r\n"},
		{"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
		{"GET", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\n"},
		{"GET", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\n", "ETag: \"x\"\r\n"},
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "Content-Length: 0\r\n"},
	} {
		addr, conns := saying(t, c.text, false)
		e := serve(t, router.Options{})
		e.SetRoute("blog", route("blog", 1, addr))
		request := c.method + " / HTTP/1.1\r\nHost: blog.test\r\n"
		got := e.raw(request + "\r\n" + request + "Connection: close\r\n\r\n")
		if strings.Count(got, c.want) != 2 || !strings.HasSuffix(got, "\r\n\r\n") || strings.Count(got, "\r\n\r\n") != 2 {
			t.Errorf("%s of %q: got %q", c.method, c.text, got)
		}
		// A loop has its own, and leaves bodies that come in chunks to others.
		if conns.Load() > 1+int64(e.loops) {
			t.Errorf("%s of %q took %d connections", c.method, c.text, conns.Load())
		}
	}
}

func TestClientsOfHTTP10AreServed(t *testing.T) {
	e := serve(t, router.Options{})
	chunks, _ := saying(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nSum: 1\r\n\r\n", false)
	e.SetRoute("chunks", route("chunks", 1, chunks))
	if got := e.raw("GET / HTTP/1.0\r\nHost: chunks.test\r\nConnection: keep-alive\r\n\r\n"); !strings.HasSuffix(got, "\r\n\r\nok") || strings.Contains(got, "chunked") || !strings.Contains(got, "Connection: close") {
		t.Errorf("got %q", got)
	}
	sized, _ := saying(t, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false)
	e.SetRoute("sized", route("sized", 1, sized))
	got := e.raw("GET / HTTP/1.0\r\nHost: sized.test\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\nHost: sized.test\r\n\r\n")
	if strings.Count(got, "200 OK") != 2 || strings.Contains(got, "HTTP/1.1 103") || strings.Count(got, "Connection: keep-alive") != 1 {
		t.Errorf("got %q", got)
	}
	broken, _ := saying(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", true)
	e.SetRoute("broken", route("broken", 1, broken))
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(hangs))
	fmt.Fprint(conn, "GET / HTTP/1.0\r\nHost: broken.test\r\n\r\n")
	if text, err := io.ReadAll(conn); err == nil {
		t.Errorf("half an answer ended like a whole one: %q", text)
	}
}

func TestAnAppSetsHowLongItsInstancesMayTake(t *testing.T) {
	e := serve(t, router.Options{Quiet: 100 * time.Millisecond}) // so that the watch looks often
	hold := make(chan struct{})
	defer close(hold)
	silent := backend(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	})
	rt := route("blog", 1, silent)
	rt.Edge = platform.Edge{Timeouts: platform.EdgeTimeouts{Answer: 50 * time.Millisecond}}
	e.SetRoute("blog", rt)
	k := e.keepAlive()
	for range 2 { // and the client's connection stays
		if body, closes := k.get("blog.test"); !strings.Contains(body, "did not begin its answer in time") || closes {
			t.Errorf("got %q, close %v", body, closes)
		}
	}
}

// deaf is an address whose backlog is full, so that nobody gets through to it.
func deaf(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
	conn, err := net.Dial("tcp", address) // all that it has room for
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	for waits := uint32(0); waits == 0; { // of a listener it is how many nobody has accepted
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			t.Fatal(err)
		}
		waits = info.Unacked
	}
	return address
}

func TestAnAppSetsHowLongItMayTakeToReachAnInstance(t *testing.T) {
	e := serve(t, router.Options{ConnectTimeout: time.Hour})
	for _, protocol := range []string{"", platform.ProtocolH2C} {
		rt := route("blog", 1, deaf(t))
		rt.Edge = platform.Edge{Protocol: protocol, Timeouts: platform.EdgeTimeouts{Connect: 30 * time.Millisecond}}
		e.SetRoute("blog", rt)
		e.get("blog.test").want(t, 503, "accepts connections")
	}
}

func TestAnAppSetsHowLongItsRequestsGoOnAtAnInstanceThatGoes(t *testing.T) {
	e := serve(t, router.Options{})
	rt := route("blog", 1)
	for own, want := range map[platform.EdgeTimeouts][2]time.Duration{
		{}:                      {30 * time.Second, 30 * time.Second},
		{Drain: time.Second}:    {time.Second, time.Second},
		{Upgraded: time.Minute}: {30 * time.Second, time.Minute},
		{Drain: time.Hour, Upgraded: time.Minute}:   {time.Hour, time.Minute},
		{Answer: time.Second, Connect: time.Second}: {30 * time.Second, 30 * time.Second},
	} {
		rt.Edge.Timeouts = own
		e.SetRoute("blog", rt)
		if requests, upgraded := e.DrainTimes("blog", 30*time.Second); requests != want[0] || upgraded != want[1] {
			t.Errorf("%+v: %s and %s, want %s", own, requests, upgraded, want)
		}
	}
	if requests, upgraded := e.DrainTimes("nobody", time.Second); requests != time.Second || upgraded != time.Second {
		t.Errorf("of an app that is not there: %s and %s", requests, upgraded)
	}
}

func TestAnAppSetsHowLongATunnelMayBeSilent(t *testing.T) {
	e := serve(t, router.Options{})
	rt := route("blog", 1, backend(t, tunnel(func(_ net.Conn, rw *bufio.ReadWriter) { _, _ = rw.ReadByte() })))
	rt.Edge.Timeouts.Idle = 30 * time.Millisecond
	e.SetRoute("blog", rt)
	_, rd := e.openTunnel("blog.test")
	if _, err := rd.ReadByte(); err == nil {
		t.Error("the tunnel carried a byte")
	}
}

func TestAnUpgradeWithABodyIsAPlainRequest(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, echoHead)))
	got := e.raw("POST / HTTP/1.1\r\nHost: blog.test\r\nConnection: Upgrade, close\r\nUpgrade: bytes\r\nContent-Length: 1\r\n\r\nx")
	if !strings.HasPrefix(got, "HTTP/1.1 200") || strings.Contains(got, "Upgrade:") {
		t.Errorf("got %q", got)
	}
}

func TestInstancesAreToldOfTheirClientsByThePROXYProtocol(t *testing.T) {
	for _, version := range []int{1, 2} {
		e := serve(t, router.Options{})
		at := netip.MustParseAddrPort(e.addr).Addr()
		want := fmt.Sprintf("PROXY TCP4 127.0.0.1 %s ", at)
		if version == 2 {
			want = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01" + string(at.AsSlice())
		}
		heads := make(chan string, 10)
		rt := route("blog", 1, speaks(t, func(conn net.Conn, rd *bufio.Reader) {
			head := make([]byte, len(want))
			_, _ = io.ReadFull(rd, head)
			heads <- string(head)
			if version == 1 {
				_, _ = rd.ReadString('\n')
			} else {
				_, _ = rd.Discard(4)
			}
			for {
				if _, err := http.ReadRequest(rd); err != nil {
					return
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		}))
		rt.Edge.Proxy = version
		e.SetRoute("blog", rt)
		for range 2 { // each on a connection of its own, for it may be another client
			e.get("blog.test").want(t, 200, "ok")
			if head := <-heads; head != want {
				t.Errorf("the connection began with %q", head)
			}
		}
	}
}
