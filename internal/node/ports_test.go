package node_test

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/porttest"
)

// echo says its version, then what it is told, in capitals.
const echo = `exec perl -MIO::Socket::INET -e '$SIG{CHLD} = "IGNORE"; my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $ENV{PORT_9000}, Listen => 50, ReuseAddr => 1) or die "cannot listen: $!\n"; while (my $c = $s->accept) { next if fork; $c->autoflush(1); print $c "$ENV{VERSION}\n"; while (<$c>) { print $c uc } exit }'`

// tcp leads a port of the edge to port 9000 of the app's workers.
func (w *world) tcp(app string, release, listen int, instances ...string) {
	w.Helper()
	route := &platform.Route{App: app, Release: release, TCP: []platform.TCPRoute{{Listen: listen, Process: "worker", Port: 9000}}}
	for _, id := range instances {
		route.Backends = append(route.Backends, platform.Backend{Instance: id, Process: "worker"})
	}
	version, err := w.fleet.SetRoute(app, route)
	if err != nil {
		w.Fatal(err)
	}
	w.acked(version)
}

func (w *world) echoing(release int) platform.Group {
	spec := w.spec(fmt.Sprintf("v%d", release), echo)
	spec.Port, spec.Ports, spec.Drain = false, []int{9000}, patience // until they hang up
	return platform.Group{Release: release, Process: "worker", Quantity: 1, Spec: spec}
}

// talk is an open connection to a port of the edge.
func (w *world) talk(port int) (say func(string) string, hangUp func()) {
	w.Helper()
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(conn)
	return func(text string) string {
		w.Helper()
		if text != "" {
			_, _ = fmt.Fprintln(conn, text)
		}
		got, err := r.ReadString('\n')
		if err != nil {
			w.Fatalf("after %q: %q, %v", text, got, err)
		}
		return strings.TrimSpace(got)
	}, func() { conn.Close() }
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := porttest.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestATCPRouteOutlivesCutoversAndNodes(t *testing.T) {
	w := newWorld(t)
	p := w.node()
	port := freePort(t)
	w.apply("blog", w.echoing(1))
	w.tcp("blog", 1, port, w.up("blog", 1, 1)[0].ID)
	first, hangUp := w.talk(port)
	if got := first(""); got != "v1" {
		t.Errorf("it is %q", got)
	}

	// A cutover drops nobody who is connected: the old one is there until they leave.
	w.apply("blog", w.echoing(1), w.echoing(2))
	w.tcp("blog", 2, port, w.up("blog", 2, 1)[0].ID)
	w.apply("blog", w.echoing(2))
	second, _ := w.talk(port)
	if got := second(""); got != "v2" {
		t.Errorf("it is %q", got)
	}
	if got := first("still here"); got != "STILL HERE" {
		t.Errorf("it said %q", got)
	}
	hangUp()
	w.await("blog", "the old one to go", func(all []platform.Instance) []platform.Instance {
		if len(all) == 1 {
			return all
		}
		return nil
	})

	// The next node has the same socket; the connections end with the one before.
	w.node()
	third, _ := w.talk(port)
	if got := third(""); got != "v2" {
		t.Errorf("it is %q", got)
	}
	if got := second("and still here"); got != "AND STILL HERE" {
		t.Errorf("it said %q", got)
	}
	select {
	case <-p.ended:
		t.Error("the old node went while a connection was open")
	default:
	}

	// A port that no route names is closed.
	w.tcp("shop", 1, freePort(t))
	version, err := w.fleet.SetRoute("blog", nil)
	if err != nil {
		t.Fatal(err)
	}
	w.acked(version)
	// The node before may have it for a moment more.
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("somebody listens at the port yet")
		}
	}
}
