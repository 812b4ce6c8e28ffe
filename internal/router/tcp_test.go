package router_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// tcpEdge is a router with a port of the edge, which routes know as 30001.
func tcpEdge(t *testing.T, opt router.Options) *edge {
	t.Helper()
	e := serve(t, opt)
	ln := listen(t)
	done := make(chan error, 1)
	go func() { done <- e.ServeTCP(ln, 30001) }()
	t.Cleanup(func() {
		e.Close()
		if err := <-done; err != nil {
			t.Errorf("ServeTCP: %v", err)
		}
	})
	e.addr = ln.Addr().String()
	return e
}

// echoes is an instance that says its name, then what it is told in capitals,
// and after the end of that "bye".
func echoes(t *testing.T, name string) string {
	t.Helper()
	ln := listen(t)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = fmt.Fprintln(conn, name)
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					_, _ = fmt.Fprintln(conn, strings.ToUpper(lines.Text()))
				}
				_, _ = fmt.Fprintln(conn, "bye")
			}()
		}
	}()
	return ln.Addr().String()
}

// tcpRoute leads port 30001 to port 9000 of the worker.
func tcpRoute(release int, instances ...string) *platform.Route {
	rt := &platform.Route{App: "blog", Release: release, TCP: []platform.TCPRoute{{Listen: 30001, Process: "worker", Port: 9000}}}
	for _, id := range instances {
		rt.Backends = append(rt.Backends, platform.Backend{Instance: id, Process: "worker"})
	}
	return rt
}

func (e *edge) setPort(id, address string) {
	e.SetPorts(id, "", map[int]string{9000: address}, true)
}

// line is a client that speaks in lines.
type line struct {
	*net.TCPConn
	t testing.TB
	r *bufio.Reader
}

func (e *edge) dial() *line {
	e.t.Helper()
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(hangs))
	return &line{conn.(*net.TCPConn), e.t, bufio.NewReader(conn)}
}

func (l *line) hears(want string) {
	l.t.Helper()
	if got, err := l.r.ReadString('\n'); err != nil || got != want+"\n" {
		l.t.Errorf("it said %q, %v, want %q", got, err, want)
	}
}

func (l *line) ends() {
	l.t.Helper()
	if rest, err := io.ReadAll(l.r); len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		l.t.Errorf("it said %q, %v, want its end", rest, err)
	}
}

// endsAfter is ends of one that may have said some of that before.
func (l *line) endsAfter(most string) {
	l.t.Helper()
	if all, err := io.ReadAll(l.r); !strings.HasPrefix(most, string(all)) || errors.Is(err, os.ErrDeadlineExceeded) {
		l.t.Errorf("it said %q, %v, want %q at most, and its end", all, err, most)
	}
}

func TestAConnectionIsLedToAPortOfAnInstanceAndEachEndCloses(t *testing.T) {
	e := tcpEdge(t, router.Options{})
	e.setPort("one", echoes(t, "one"))
	e.SetRoute("blog", tcpRoute(1, "one"))
	l := e.dial()
	l.hears("one")
	_, _ = fmt.Fprintln(l, "hello")
	l.hears("HELLO")
	if err := l.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	l.hears("bye") // what the other end says after ours has ended
	l.ends()
}

func TestConnectionsGoToWhoHasTheFewest(t *testing.T) {
	e := tcpEdge(t, router.Options{})
	e.setPort("one", echoes(t, "it"))
	e.setPort("two", echoes(t, "it"))
	e.SetRoute("blog", tcpRoute(1, "one", "two"))
	for range 6 {
		e.dial().hears("it")
	}
	if one, two := e.InFlight("one"), e.InFlight("two"); one != 3 || two != 3 {
		t.Errorf("%d and %d are open", one, two)
	}
}

func TestAConnectionOutlivesItsRouteUntilItsInstanceIsDrained(t *testing.T) {
	e := tcpEdge(t, router.Options{})
	e.setPort("one", echoes(t, "one"))
	e.setPort("two", echoes(t, "two"))
	e.SetRoute("blog", tcpRoute(1, "one"))
	old := e.dial()
	old.hears("one")
	e.SetRoute("blog", tcpRoute(2, "two"))
	e.dial().hears("two")
	drained := make(chan error, 1)
	go func() { drained <- e.Drain(t.Context(), "one", 0) }()
	_, _ = fmt.Fprintln(old, "still here")
	old.hears("STILL HERE")
	select {
	case err := <-drained:
		t.Fatalf("drained while a connection is open: %v", err)
	default:
	}
	old.Close()
	if err := <-drained; err != nil {
		t.Errorf("Drain: %v", err)
	}
}

func TestConnectionsWaitWhileTheRouteHolds(t *testing.T) {
	e := tcpEdge(t, router.Options{})
	rt := tcpRoute(1)
	rt.Hold = true
	e.SetRoute("blog", rt)
	l := e.dial()
	e.waiting(1)
	rt = tcpRoute(1, "one")
	rt.Hold = true
	e.SetRoute("blog", rt)
	e.waiting(1)
	e.setPort("one", echoes(t, "one"))
	l.hears("one")
}

func TestAPortThatLeadsNowhereIsClosedAtOnce(t *testing.T) {
	e := tcpEdge(t, router.Options{TCPConnections: 1})
	e.dial().ends() // no route names it
	e.SetRoute("blog", tcpRoute(1))
	e.dial().ends() // nobody is up
	e.setPort("one", echoes(t, "one"))
	e.SetRoute("blog", tcpRoute(1, "one"))
	first := e.dial()
	first.hears("one")
	e.dial().ends() // there are as many as may be
	stranger := tcpRoute(1, "one")
	stranger.Allow = []string{"192.0.2.1"}
	e.SetRoute("blog", stranger)
	e.dial().ends()
	denied := tcpRoute(1, "one")
	denied.Edge.Deny = []string{"127.0.0.0/8"}
	e.SetRoute("blog", denied)
	e.dial().ends()
	resting := tcpRoute(1, "one")
	resting.Maintenance = true
	e.SetRoute("blog", resting)
	e.dial().ends()
	e.SetRoute("blog", nil)
	e.dial().ends()
	_, _ = fmt.Fprintln(first, "hello") // goes on
	first.hears("HELLO")
}

func TestAnInstanceThatCannotBeReachedIsPassedOver(t *testing.T) {
	e := tcpEdge(t, router.Options{})
	e.setPort("gone", nobody(t))
	e.setPort("here", echoes(t, "here"))
	e.SetRoute("blog", tcpRoute(1, "gone", "here"))
	for range 5 {
		e.dial().hears("here")
	}
}

func TestAConnectionThatCarriesNothingEnds(t *testing.T) {
	e := tcpEdge(t, router.Options{TCPIdle: 50 * time.Millisecond})
	e.setPort("one", echoes(t, "one"))
	e.SetRoute("blog", tcpRoute(1, "one"))
	e.dial().endsAfter("one\n")
	if err := e.Drain(t.Context(), "one", 0); err != nil {
		t.Error(err)
	}
}

func TestAnAppSetsHowLongAConnectionMayCarryNothing(t *testing.T) {
	e := tcpEdge(t, router.Options{TCPIdle: time.Hour})
	e.setPort("one", echoes(t, "one"))
	rt := tcpRoute(1, "one")
	rt.Edge.Timeouts.TCP = 50 * time.Millisecond
	e.SetRoute("blog", rt)
	e.dial().endsAfter("one\n")
}

func TestMuchPassesBothWaysWhole(t *testing.T) {
	e := tcpEdge(t, router.Options{})
	ln := listen(t)
	t.Cleanup(func() { ln.Close() })
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			_, _ = io.Copy(conn, conn)
			conn.Close()
		}
	}()
	e.setPort("one", ln.Addr().String())
	e.SetRoute("blog", tcpRoute(1, "one"))
	l := e.dial()
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go func() { _, _ = l.Write(sent); _ = l.CloseWrite() }()
	if got, err := io.ReadAll(l.r); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes of %d came back, %v", len(got), len(sent), err)
	}
}

func TestThePROXYProtocolSaysWhoTheClientIs(t *testing.T) {
	for version, want := range map[int]func(client, edge *net.TCPAddr) string{
		1: func(client, edge *net.TCPAddr) string {
			return fmt.Sprintf("PROXY TCP4 127.0.0.1 127.0.0.1 %d %d\r\n", client.Port, edge.Port)
		},
		2: func(client, edge *net.TCPAddr) string {
			return "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01" +
				string([]byte{byte(client.Port >> 8), byte(client.Port), byte(edge.Port >> 8), byte(edge.Port)})
		},
	} {
		e := tcpEdge(t, router.Options{})
		ln := listen(t)
		t.Cleanup(func() { ln.Close() })
		got := make(chan string, 1)
		go func() {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			text, _ := io.ReadAll(conn)
			got <- string(text)
		}()
		e.setPort("one", ln.Addr().String())
		rt := tcpRoute(1, "one")
		rt.TCP[0].Proxy = version
		e.SetRoute("blog", rt)
		l := e.dial()
		_, _ = io.WriteString(l, "hello")
		_ = l.CloseWrite()
		client, edge := l.LocalAddr().(*net.TCPAddr), l.RemoteAddr().(*net.TCPAddr)
		if text := <-got; text != want(client, edge)+"hello" {
			t.Errorf("version %d: it got %q", version, text)
		}
	}
}

func TestAPortOfTheEdgePassesFromOneAppToAnother(t *testing.T) {
	e := tcpEdge(t, router.Options{})
	e.setPort("one", echoes(t, "one"))
	e.setPort("two", echoes(t, "two"))
	e.SetRoute("blog", tcpRoute(1, "one"))
	other := tcpRoute(1, "two")
	other.App = "diary"
	e.SetRoute("diary", other)
	e.dial().hears("two")
	e.SetRoute("blog", nil) // its own has gone already
	e.dial().hears("two")
	if ports := e.TCPPorts(); len(ports) != 1 || ports[0] != 30001 {
		t.Errorf("the ports are %v", ports)
	}
	e.SetRoute("diary", nil)
	if ports := e.TCPPorts(); len(ports) != 0 {
		t.Errorf("the ports are %v", ports)
	}
}
