package router_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// keepAlive is one HTTP/1.1 connection.
type keepAlive struct {
	net.Conn
	rd *bufio.Reader
	t  testing.TB
}

func (e *edge) keepAlive() *keepAlive {
	e.t.Helper()
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(hangs))
	return &keepAlive{conn, bufio.NewReader(conn), e.t}
}

func (k *keepAlive) get(host string) (body string, closes bool) {
	k.t.Helper()
	fmt.Fprintf(k, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host)
	return k.answer()
}

func (k *keepAlive) answer() (body string, closes bool) {
	k.t.Helper()
	res, err := http.ReadResponse(k.rd, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	if err != nil {
		k.t.Fatal(err)
	}
	return string(all), res.Close
}

// Another router may accept from the same socket, as at an upgrade: in one that
// blocks it would hang, with all that it serves, until the next client comes.
func TestASocketThatIsServedNeverBlocks(t *testing.T) {
	ln := listen(t)
	defer ln.Close()
	file := another(t, ln)
	defer file.Close()
	watched, end := make(chan bool), make(chan struct{})
	go func() {
		blocked := false
		for {
			select {
			case <-end:
				watched <- blocked
				return
			default:
				blocked = blocked || blocks(file)
			}
		}
	}()
	e := serve(t, router.Options{})
	e.SetRoute("blog", route("blog", 1, backend(t, says("ok"))))
	e.addr = ln.Addr().String()
	for range 100 {
		same, err := net.FileListener(file)
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- e.Serve(same) }()
		e.keepAlive().get("blog.localhost")
		e.StopAccepting()
		if err := <-served; err != nil {
			t.Fatal(err)
		}
	}
	close(end)
	if <-watched {
		t.Error("the socket blocked")
	}
}

// another is the same socket, as another process has it.
func another(t *testing.T, ln net.Listener) *os.File {
	t.Helper()
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var same int
	if gone := raw.Control(func(fd uintptr) { same, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); gone != nil || err != nil {
		t.Fatal(gone, err)
	}
	return os.NewFile(uintptr(same), "listener")
}

func blocks(file *os.File) bool {
	flags, err := unix.FcntlInt(file.Fd(), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_NONBLOCK == 0
}

// lastMoment is a listener that takes one connection, and says so when it may.
type lastMoment struct {
	net.Listener
	took, may chan struct{}
}

func (l *lastMoment) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		close(l.took)
	}
	<-l.may
	return conn, err
}

func TestAConnectionThatWasJustTakenWhenTheRouterLeavesIsServed(t *testing.T) {
	e := serve(t, router.Options{Quiet: time.Millisecond})
	e.SetRoute("blog", route("blog", 1, backend(t, says("ok"))))
	ln := &lastMoment{listen(t), make(chan struct{}), make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- e.Serve(ln) }()
	e.addr = ln.Addr().String()
	k := e.keepAlive()
	fmt.Fprint(k, "GET / HTTP/1.1\r\nHost: blog.test\r\n\r\n")
	<-ln.took
	drained := make(chan error, 1)
	go func() { drained <- e.Drained(t.Context()) }()
	select {
	case err := <-drained:
		t.Errorf("it left, with %v, before all of its listeners had", err)
		close(ln.may)
	case <-time.After(100 * time.Millisecond): // it would have by now
		close(ln.may)
		if body, closes := k.answer(); body != "ok" || !closes {
			t.Errorf("got %q, close %v", body, closes)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestADrainingRouterAnswersWhatComesAndAsksToReconnect(t *testing.T) {
	e := serve(t, router.Options{Quiet: 100 * time.Millisecond})
	e.SetRoute("blog", route("blog", 1, backend(t, says("ok"))))
	first, second, silent := e.keepAlive(), e.keepAlive(), e.keepAlive()
	for _, k := range []*keepAlive{first, second, silent} {
		if body, closes := k.get("blog.test"); body != "ok" || closes {
			t.Fatalf("got %q, close %v", body, closes)
		}
	}
	began := time.Now()
	e.StartDraining()
	e.StartDraining()
	if conn, err := net.Dial("tcp", e.addr); err == nil {
		conn.Close()
		t.Error("a new connection was accepted")
	}
	if body, closes := first.get("blog.test"); body != "ok" || !closes {
		t.Errorf("got %q, close %v", body, closes)
	}
	if body, closes := second.get("nobody.test"); body == "" || !closes {
		t.Errorf("got %q, close %v", body, closes)
	}
	drained := make(chan error, 1)
	go func() { drained <- e.Drained(t.Context()) }() // from now on who is quiet is closed
	if _, err := silent.rd.ReadByte(); err != io.EOF {
		t.Errorf("the silent connection ended with %v", err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("silent connections were closed after %v", took)
	}
}

func TestARouterWithoutConnectionsDrainsAtOnce(t *testing.T) {
	e := serve(t, router.Options{Quiet: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	if err := e.Drained(ctx); err != nil {
		t.Error(err)
	}
}

func TestADrainingRouterWaitsForOpenRequestsAndTunnels(t *testing.T) {
	e := serve(t, router.Options{Quiet: time.Millisecond})
	held := make(chan struct{})
	arrived := make(chan struct{}, 1)
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-held
		_, _ = io.WriteString(w, "late")
	})))
	e.SetRoute("chat", route("chat", 1, backend(t, tunnel(func(_ net.Conn, rw *bufio.ReadWriter) { _, _ = rw.ReadByte() }))))
	slow := e.keepAlive()
	fmt.Fprint(slow, "GET / HTTP/1.1\r\nHost: blog.test\r\n\r\n")
	<-arrived
	conn, _ := e.openTunnel("chat.test")
	drained := make(chan error, 1)
	go func() { drained <- e.Drained(t.Context()) }()
	select {
	case err := <-drained:
		t.Fatalf("drained too early: %v", err)
	case <-time.After(30 * time.Millisecond):
	}
	close(held)
	if body, closes := slow.answer(); body != "late" || !closes {
		t.Errorf("got %q, close %v", body, closes)
	}
	conn.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestWhatIsLeftWhenTheTimeToDrainEndsIsCutOff(t *testing.T) {
	e := serve(t, router.Options{Quiet: time.Millisecond})
	e.SetRoute("chat", route("chat", 1, backend(t, tunnel(func(_ net.Conn, rw *bufio.ReadWriter) { _, _ = rw.ReadByte() }))))
	_, rd := e.openTunnel("chat.test")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := e.Drained(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Drained: %v", err)
	}
	if _, err := rd.ReadByte(); err == nil {
		t.Error("the tunnel is still open")
	}
}

func TestHTTP2ClientsAreSentAwayWithoutALoss(t *testing.T) {
	e := serve(t, router.Options{Quiet: 50 * time.Millisecond})
	held := make(chan struct{})
	arrived := make(chan struct{}, 1)
	e.SetRoute("blog", route("blog", 1, backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-held
		}
		_, _ = io.WriteString(w, "ok")
	})))
	http2 := h2c(t)
	fetch := func(path string) (string, error) {
		res, err := http2.Do(e.request("GET", "blog.test", path, nil))
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		all, err := io.ReadAll(res.Body)
		return string(all), err
	}
	slow := make(chan error, 1)
	go func() {
		body, err := fetch("/slow")
		if err == nil && body != "ok" {
			err = errors.New(body)
		}
		slow <- err
	}()
	<-arrived
	e.StartDraining()
	drained := make(chan error, 1)
	go func() { drained <- e.Drained(t.Context()) }()
	for { // until it has heard that it is to go, and finds nobody else
		body, err := fetch("/quick")
		if err != nil && strings.Contains(err.Error(), "connection refused") {
			break
		}
		if body != "ok" || err != nil {
			t.Fatalf("got %q, %v", body, err)
		}
	}
	close(held)
	if err := <-slow; err != nil {
		t.Error(err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestServingAfterTheEndClosesTheListener(t *testing.T) {
	e := serve(t, router.Options{})
	e.Close()
	ln := listen(t)
	if err := e.Serve(ln); err != nil {
		t.Error(err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}
}

func TestADrainingRouterRefusesNoRequestWhileATunnelIsOpen(t *testing.T) {
	e := serve(t, router.Options{Quiet: 20 * time.Millisecond})
	e.SetRoute("blog", route("blog", 1, backend(t, says("ok"))))
	addr := e.serveTLS()
	e.SetEdge(platform.EdgeState{Certificates: []platform.EdgeCertificate{selfSigned(t, "blog.test")}})
	e.SetRoute("chat", route("chat", 1, backend(t, tunnel(func(_ net.Conn, rw *bufio.ReadWriter) { _, _ = rw.ReadByte() }))))
	e.openTunnel("chat.test")
	conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "blog.test", InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(hangs))
	k := &keepAlive{conn, bufio.NewReader(conn), t}
	k.get("blog.test")
	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan error, 1)
	go func() { drained <- e.Drained(ctx) }()
	if _, err := k.rd.ReadByte(); !errors.Is(err, io.EOF) { // what is quiet is closed, though the tunnel goes on
		t.Errorf("it ended with %v", err)
	}
	select {
	case err := <-drained:
		t.Fatalf("drained with a tunnel open: %v", err)
	default:
	}
	cancel()
	<-drained
}
