package router_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// tells is an instance that answers with how much of a body it got.
func tells(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	fmt.Fprintf(w, "%d %v", n, err)
}

func TestHeadsWithinTheLimitsAreServedAndNoOthers(t *testing.T) {
	e := serve(t, router.Options{MaxHeaderBytes: 40 << 10, MaxTarget: 2000, MaxFields: 10})
	e.SetRoute("blog", route("blog", 1, backend(t, tells)))
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct{ target, fields, want string }{
		{"/" + long(1999), "", "200"},
		{"/" + long(2000), "", "414"},
		{"/" + long(60<<10), "", "414"},
		{"/", "X: " + long(30<<10) + "\r\n", "200"},
		{"/", "X: " + long(50<<10) + "\r\n", "431"},
		{"/", strings.Repeat("X: y\r\n", 8), "200"},
		{"/", strings.Repeat("X: y\r\n", 9), "431"},
	} {
		got := e.raw("GET " + c.target + " HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n" + c.fields + "\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 "+c.want) {
			t.Errorf("a target of %d and fields of %d bytes: got %.100q", len(c.target), len(c.fields), got)
		}
	}
}

func TestABodyInPiecesArrivesWholeAndTheNextRequestAfterIt(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, tells)))
	k := e.keepAlive()
	send := func(parts ...string) {
		for _, part := range parts {
			_, _ = io.WriteString(k, part)
			time.Sleep(time.Millisecond) // so that each is a read of its own; it holds without
		}
	}
	head := "POST / HTTP/1.1\r\nHost: blog.test\r\n"
	send("\r\nPOS", "T / HTTP/1.1\r\nHo", "st: blog.test\r\nContent-Length: 6\r\n\r", "\nab", "c", "def"+head+"Transfer-Encoding: chunked\r\n\r\n3;x=y\r", "\nabc\r\n0\r\nSum: 1", "\r\n\r\n"+head+"Content-Length: 0\r\n\r\n")
	for _, want := range []string{"6 <nil>", "3 <nil>", "0 <nil>"} {
		if body, closes := k.answer(); body != want || closes {
			t.Errorf("got %q, close %v, want %q", body, closes, want)
		}
	}
}

// restIsRead sends a body that nobody wants once that was answered, and reports
// false when it came too late: half a second is what a router waits for it, and it
// may have answered as soon as it was asked.
func (e *edge) restIsRead(length int, closed bool) bool {
	k := e.keepAlive()
	defer k.Close()
	asked := time.Now()
	fmt.Fprintf(k, "POST / HTTP/1.1\r\nHost: nobody.test\r\nContent-Length: %d\r\n\r\n", length)
	if body, closes := k.answer(); !strings.Contains(body, "nobody.test") || closes != closed {
		e.t.Errorf("%d bytes: got %q, close %v", length, body, closes)
	}
	_, _ = k.Write(make([]byte, length))
	if closed {
		return true // it may have been told, or not
	}
	fmt.Fprint(k, "GET / HTTP/1.1\r\nHost: blog.test\r\n\r\n")
	res, err := http.ReadResponse(k.rd, nil)
	if err != nil && time.Since(asked) > 400*time.Millisecond {
		return false
	}
	if err != nil || res.StatusCode != http.StatusOK {
		e.t.Fatalf("%d bytes: then got %v, %v", length, res, err)
	}
	if text, err := io.ReadAll(res.Body); err != nil || string(text) != "0 <nil>" {
		e.t.Errorf("%d bytes: then got %q, %v", length, text, err)
	}
	return true
}

func TestTheRestOfABodyThatNobodyWantedIsReadIfItIsLittle(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, tells)))
	for _, c := range []struct {
		length int
		closes bool
	}{{1000, false}, {60 << 10, false}, {1 << 20, true}} {
		if !within(func() bool { return e.restIsRead(c.length, c.closes) }) {
			t.Errorf("%d bytes were not waited for", c.length)
		}
	}
}

func TestABodyThatBreaksTheRulesIsRefusedAndNothingAfterItServed(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, tells)))
	for _, body := range []string{"5\r\nhello\r\n-1\r\n", "5\r\nhelloX", "0\r\nContent-Length: 5\r\n\r\n", "5;" + strings.Repeat("x", 300) + "\r\nhello\r\n0\r\n\r\n"} {
		got := e.raw("POST / HTTP/1.1\r\nHost: blog.test\r\nTransfer-Encoding: chunked\r\n\r\n" + body + "GET / HTTP/1.1\r\nHost: blog.test\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 400") || strings.Count(got, "HTTP/1.1 ") != 1 || !strings.Contains(got, "Connection: close") {
			t.Errorf("%.20q: got %q", body, got)
		}
	}
}

// grace is for how long tests let a client fall behind whose other end has to keep
// up: that a thread of it does not run for a moment is not to be taken for slow.
const grace = time.Second

func TestAClientThatSendsItsBodyTooSlowlyIsCutOff(t *testing.T) {
	e := serve(t, router.Options{RateGrace: grace, MinRate: 1000})
	e.SetRoute("blog", route("blog", 1, backend(t, tells)))
	k := e.keepAlive()
	fmt.Fprint(k, "POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 1000\r\n\r\nx")
	if body, closes := k.answer(); !strings.Contains(body, "came too slowly") || !closes {
		t.Errorf("got %q, close %v", body, closes)
	}
}

func TestAClientThatHasItsAnswerBegunMaySendAsSlowlyAsItLikes(t *testing.T) {
	e := serve(t, router.Options{RateGrace: grace, MinRate: 1000})
	e.SetRoute("blog", route("blog", 1, backend(t, echoBody)))
	e.converseSlowly(client(t))
}

// converseSlowly says a byte later than the grace is over, and wants it back. The
// grace is for the app's first word, too: on a slow machine that may come too late.
func (e *edge) converseSlowly(c *http.Client) {
	e.t.Helper()
	var res *http.Response
	var wr *io.PipeWriter
	if !within(func() bool {
		var rd *io.PipeReader
		var err error
		rd, wr = io.Pipe()
		if res, err = c.Do(e.request("POST", "blog.test", "/", rd)); err != nil {
			e.t.Fatal(err)
		}
		e.t.Cleanup(func() { wr.Close(); res.Body.Close() })
		return res.StatusCode != http.StatusRequestTimeout
	}) {
		e.t.Fatal("the app did not begin in time")
	}
	time.Sleep(grace * 3 / 2) // what is slow here is the point
	_, _ = io.WriteString(wr, "x")
	got := make([]byte, 1)
	if _, err := io.ReadFull(res.Body, got); err != nil || got[0] != 'x' {
		e.t.Fatalf("got %q, %v", got, err)
	}
	_ = wr.Close()
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
		e.t.Errorf("it ends with %q, %v", rest, err)
	}
}

func TestAClientThatReadsTooSlowlyIsCutOff(t *testing.T) {
	got := make(chan router.Access, 1)
	e := serve(t, router.Options{RateGrace: 50 * time.Millisecond, Access: func(a router.Access) { got <- a }})
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 1000 {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})))
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: blog.test\r\n\r\n")
	if a := <-got; a.Status != 200 || a.Bytes >= 1000*64<<10 || a.Failed {
		t.Errorf("got %+v", a)
	}
	if _, err := io.Copy(io.Discard, conn); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the kernel goes on sending to it: it ended with %v", err)
	}
}

// The kernel has room for megabytes of what a client does not take: an answer
// that would fit there is not for that sent, nor its client an idle one.
func TestWhoTakesNothingOfAnAnswerThatTheKernelHasRoomForIsCutOff(t *testing.T) {
	e := serve(t, router.Options{RateGrace: 50 * time.Millisecond, IdleTimeout: time.Hour})
	whole := make([]byte, 1<<20)
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
		_, _ = w.Write(whole)
	})))
	small := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10) })
	}}
	conn, err := small.DialContext(t.Context(), "tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: blog.test\r\n\r\n")
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	reset := []unix.PollFd{{}}
	_ = raw.Control(func(fd uintptr) {
		reset[0].Fd = int32(fd)
		for err = unix.EINTR; errors.Is(err, unix.EINTR); { // as by signals of Go's own
			_, err = unix.Poll(reset, int(hangs.Milliseconds()))
		}
	})
	if err != nil || reset[0].Revents&unix.POLLERR == 0 {
		t.Errorf("it was not reset: %v", err)
	}
}

func TestAConnectionThatIsIdleForLongIsClosed(t *testing.T) {
	e := serve(t, router.Options{IdleTimeout: 30 * time.Millisecond})
	e.SetRoute("blog", route("blog", 1, backend(t, says("ok"))))
	k := e.keepAlive()
	if body, _ := k.get("blog.test"); body != "ok" {
		t.Errorf("got %q", body)
	}
	if _, err := k.rd.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("it ended with %v", err)
	}
}

func TestAHeadThatDoesNotComeInTimeIsAnsweredSo(t *testing.T) {
	e := serve(t, router.Options{HeaderTimeout: 300 * time.Millisecond})
	if got := e.already("GET / HTTP/1.1\r\nHost: blog"); !strings.HasPrefix(got, "HTTP/1.1 408") || !strings.Contains(got, "Connection: close") {
		t.Errorf("got %q", got)
	}
	if got := e.raw(""); got != "" {
		t.Errorf("one that said nothing got %q", got)
	}
}

func TestThatThereIsNoRoomIsSaidOnceHoweverManyCome(t *testing.T) {
	var log logged
	opt := router.Options{MaxConnections: 1, Quiet: hangs}
	if os.Getenv(loopsEnv) != "" {
		opt.Loops = 1
	}
	e := serves(t, router.New(slog.New(slog.NewTextHandler(&log, nil)), opt), opt.Loops)
	e.SetRoute("blog", route("blog", 1, backend(t, says("ok"))))
	e.keepAlive().get("blog.test")
	for range 100 {
		if got := e.raw(""); !strings.HasPrefix(got, "HTTP/1.1 503") {
			t.Fatalf("got %q", got)
		}
	}
	if n := strings.Count(log.text(), "connections were turned away"); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
}

func TestThereAreNoMoreConnectionsThanThereMayBe(t *testing.T) {
	e := serve(t, router.Options{MaxConnections: 2, Quiet: hangs})
	e.SetRoute("blog", route("blog", 1, backend(t, says("ok"))))
	one, two := e.keepAlive(), e.keepAlive()
	one.get("blog.test")
	two.get("blog.test")
	if got := e.raw(""); !strings.HasPrefix(got, "HTTP/1.1 503") || !strings.Contains(got, "Retry-After") {
		t.Errorf("got %q", got)
	}
	one.Close()
	for deadline := time.Now().Add(hangs); ; {
		got := e.raw("GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n")
		if strings.HasPrefix(got, "HTTP/1.1 200") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no room after one had left: %q", got)
		}
	}
}

func TestWhoComesTakesThePlaceOfAConnectionThatIsIdle(t *testing.T) {
	e := serve(t, router.Options{MaxConnections: 3, Quiet: 10 * time.Millisecond})
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	arrived, held := make(chan struct{}, 4), make(chan struct{})
	e.SetRoute("slow", route("slow", 1, backend(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-held
		_, _ = io.WriteString(w, "slow")
	})))
	e.SetRoute("blog", route("blog", 1, backend(t, says("ok"))))
	busy := e.keepAlive()
	fmt.Fprint(busy, "GET / HTTP/1.1\r\nHost: slow.test\r\n\r\n")
	<-arrived
	secure := e.serveTLS()
	comes := func(dial func() (net.Conn, error)) bool {
		conn, err := dial()
		if err != nil {
			return false // closed at once
		}
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(hangs))
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: blog.test\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		return err == nil && res.StatusCode == 200
	}
	for i := range 10 { // each is left idle
		dial := func() (net.Conn, error) { return net.Dial("tcp", e.addr) }
		if i%2 == 1 {
			dial = func() (net.Conn, error) {
				return tls.Dial("tcp", secure, &tls.Config{InsecureSkipVerify: true, ServerName: "blog.test"})
			}
		}
		for deadline := time.Now().Add(hangs); !comes(dial); {
			if time.Now().After(deadline) {
				t.Fatalf("there was no room for number %d", i)
			}
		}
	}
	close(held)
	if body, _ := busy.answer(); body != "slow" {
		t.Errorf("the one with a request got %q", body)
	}
}

func TestTheClientOfATrustedProxyIsWhomThePROXYProtocolNames(t *testing.T) {
	got := make(chan router.Access, 1)
	e := serve(t, router.Options{
		ProxyNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Access:        func(a router.Access) { got <- a },
	})
	e.SetRoute("blog", route("blog", 1, backend(t, echoHead)))
	request := "GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n"
	two := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"), 198, 51, 100, 7, 127, 0, 0, 1)
	two = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(two, 4711), 80)
	for _, c := range []struct{ header, client string }{
		{"PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n", "203.0.113.9"},
		{"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n", "2001:db8::1"},
		{"PROXY UNKNOWN\r\n", "127.0.0.1"},
		{string(two), "198.51.100.7"},
		{"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "127.0.0.1"},
	} {
		back := e.raw(c.header + request)
		if a := <-got; a.Client != c.client || !strings.Contains(back, "X-Forwarded-For: "+c.client+"\r\n") {
			t.Errorf("%.20q: the client is %s: %s", c.header, a.Client, back)
		}
	}
	for _, header := range []string{"", "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n"} {
		if back := e.raw(header + request); back != "" {
			t.Errorf("%q was answered: %q", header, back)
		}
	}
}

func TestAPROXYHeaderOfAStrangerIsNoRequest(t *testing.T) {
	e := serve(t, router.Options{ProxyNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	if got := e.raw("PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\nGET / HTTP/1.1\r\nHost: blog.test\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400") {
		t.Errorf("got %q", got)
	}
}

func TestHTTPSWorksBehindThePROXYProtocol(t *testing.T) {
	e := serve(t, router.Options{ProxyNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	addr := e.serveTLS()
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	e.SetRoute("blog", route("blog", 1, backend(t, echoHead)))
	for _, proto := range []string{"http/1.1", "h2"} {
		tr := &http.Transport{ForceAttemptHTTP2: proto == "h2", TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "blog.test", NextProtos: []string{proto}}}
		tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil {
				_, err = io.WriteString(conn, "PROXY TCP4 203.0.113.9 127.0.0.1 4711 443\r\n")
			}
			return conn, err
		}
		req := e.request("GET", "blog.test", "/", nil)
		req.URL.Scheme = "https"
		res, err := (&http.Client{Transport: tr}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		tr.CloseIdleConnections()
		if !bytes.Contains(text, []byte("X-Forwarded-For: 203.0.113.9\r\n")) || !bytes.Contains(text, []byte("X-Forwarded-Proto: https")) || (res.ProtoMajor == 2) != (proto == "h2") {
			t.Errorf("%s: got %s %s", proto, res.Proto, text)
		}
	}
}

func TestARequestToAnotherAppOnTheSameConnectionGoesThere(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("one", route("one", 1, backend(t, says("one"))))
	e.SetRoute("two", route("two", 1, backend(t, says("two"))))
	k := e.keepAlive()
	for _, host := range []string{"one", "two", "one"} {
		if body, _ := k.get(host + ".test"); body != host {
			t.Errorf("%s got %q", host, body)
		}
	}
	e.SetRoute("two", &platform.Route{App: "two", Release: 1, Hosts: []string{"two.test", "one.test"}, Backends: route("two", 1, backend(t, says("two"))).Backends})
	if body, _ := k.get("one.test"); body != "two" {
		t.Errorf("after the host had passed to another app got %q", body)
	}
	e.SetRoute("two", nil)
	if body, _ := k.get("one.test"); body != "one" {
		t.Errorf("after that app had gone got %q", body)
	}
}

func TestARefusedClientReadsWhy(t *testing.T) {
	e := serve(t, router.Options{})
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(hangs))
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
	_, _ = conn.Write(make([]byte, 256<<10)) // it was closed with these unread, and is not reset
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != 400 {
		t.Fatalf("got %v, %v", res, err)
	}
	if _, err := io.ReadAll(res.Body); err != nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

func TestAnIdleConnectionOfTLSHoldsNoBufferAndGoesOn(t *testing.T) {
	e := serve(t, router.Options{Quiet: 20 * time.Millisecond}) // so that the watch looks often
	addr := e.serveTLS()
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	e.SetRoute("blog", route("blog", 1, backend(t, tells)))
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: "blog.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(hangs))
	k := &keepAlive{conn, bufio.NewReader(conn), t}
	for range 3 {
		for e.Parked() == 0 {
			time.Sleep(time.Millisecond)
		}
		fmt.Fprint(k, "POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 50000\r\n\r\n")
		_, _ = k.Write(make([]byte, 50000))
		if body, closes := k.answer(); body != "50000 <nil>" || closes {
			t.Errorf("got %q, close %v", body, closes)
		}
	}
}

func TestLargeBodiesPassWholeHoweverTheyAreFramed(t *testing.T) {
	e := serve(t, router.Options{})
	text := make([]byte, 3<<20)
	for i := range text {
		text[i] = byte(i * i >> 5)
	}
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("the app got %d bytes, %v", len(got), err)
		}
		if r.URL.Path == "/sized" {
			w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		}
		_, _ = w.Write(got)
	})))
	http1 := client(t) // one connection
	for _, path := range []string{"/sized", "/chunked", "/sized"} {
		var body io.Reader = bytes.NewReader(text)
		if path == "/chunked" {
			body = io.MultiReader(body)
		}
		res, err := http1.Do(e.request("POST", "blog.test", path, body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: got %d bytes, %v", path, len(got), err)
		}
	}
}

func TestTrailersSayNothingThatOnlyTheRouterMay(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, speaks(t, func(conn net.Conn, rd *bufio.Reader) {
		var got []byte
		for !bytes.HasSuffix(got, []byte("0\r\nSum: 1\r\n\r\n")) {
			line, err := rd.ReadBytes('\n')
			if got = append(got, line...); err != nil {
				break
			}
		}
		if bytes.Contains(got, []byte("6.6.6.6")) {
			t.Errorf("the app got %s", got)
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	})))
	got := e.raw("POST / HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\nSum: 1\r\nx_real_ip: 6.6.6.6\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Errorf("got %q", got)
	}
}
