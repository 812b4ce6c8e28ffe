package node_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/node"
)

// line is a connection to the edge that is kept.
type line struct {
	net.Conn
	rd *bufio.Reader
	w  *world
}

func (w *world) line() *line {
	w.Helper()
	conn, err := net.Dial("tcp", w.address)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	return &line{conn, bufio.NewReader(conn), w}
}

func (l *line) ask(app, path string) {
	fmt.Fprintf(l, "GET %s HTTP/1.1\r\nHost: %s.localhost\r\n\r\n", path, app)
}

func (l *line) answer() (body string, closes bool) {
	l.w.Helper()
	res, err := http.ReadResponse(l.rd, nil)
	if err != nil {
		l.w.Fatal(err)
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		l.w.Fatal(res.Status, string(all), err)
	}
	return string(all), res.Close
}

func TestConnectionsOutliveTheirNodes(t *testing.T) {
	for loops := range 2 {
		t.Run(fmt.Sprintf("%d loops", loops), func(t *testing.T) {
			w := newWorld(t)
			w.loops = loops
			p := w.node()
			w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
			var idle []*line
			for range 300 {
				l := w.line()
				l.ask("blog", "/")
				l.answer()
				idle = append(idle, l)
			}
			busy := w.line()
			for range 2 { // two upgrades, one right after the other
				busy.ask("blog", "/?ms=300")
				next := w.node()
				if body, closes := busy.answer(); closes || !strings.HasPrefix(body, "v1 ") {
					t.Errorf("the busy one got %q, close %v", body, closes)
				}
				<-p.ended
				if p.err != nil {
					t.Errorf("the old node ended with %v", p.err)
				}
				p = next
				w.deploy("blog", 2, w.spec("v2", "exec ./server"), 1)
				for _, l := range append(idle, busy) {
					l.ask("blog", "/")
					if body, closes := l.answer(); closes || !strings.HasPrefix(body, "v2 ") {
						t.Fatalf("got %q, close %v", body, closes)
					}
				}
				w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
			}
		})
	}
}

func TestTheNodeBeforeTheLastKeepsATrueTable(t *testing.T) {
	w := newWorld(t)
	first := w.node()
	v1 := w.spec("v1", "exec ./server")
	v1.Drain = patience
	w.deploy("blog", 1, v1, 1)
	slow, g := w.line(), w.gate()
	slow.ask("blog", g.path()) // keeps the first node alive
	under := w.arrived(g)
	later := make([]*line, 100)
	for i := range later {
		later[i] = w.line()
		fmt.Fprint(later[i], "GET /?ms=100 HTTP/1.1\r\nHost: blo")
	}
	w.mustGet("blog", "/") // so all have been read
	w.node()
	last := w.node()
	w.deploy("blog", 2, w.spec("v2", "exec ./server"), 1) // v1 ends, but not under the first node's request
	heard := false                                        // the first node is told after the last one, and not waited for
	for _, l := range later {
		fmt.Fprint(l, "g.localhost\r\n\r\n")
		body, _ := l.answer()
		if heard = strings.HasPrefix(body, "v2 "); heard {
			break
		}
	}
	for _, l := range later {
		l.Close() // those who have not asked keep the node, too
	}
	if !heard {
		t.Error("the requests that the first node leads go to v1 yet")
	}
	select {
	case <-first.ended:
		t.Fatal("the first node went while a request was under way")
	default:
	}
	open(under)
	if body, _ := slow.answer(); !strings.HasPrefix(body, "v1 ") {
		t.Errorf("the request that was under way got %q", body)
	}
	<-first.ended
	w.says("blog", "v2")
	last.kill()
}

func TestASuccessorThatDiesInOfficeIsFollowedAtOnce(t *testing.T) {
	w := newWorld(t)
	old := w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	slow, g := w.line(), w.gate()
	slow.ask("blog", g.path())
	under := w.arrived(g)
	w.node().kill()
	w.node() // waits for nobody
	select {
	case <-old.ended:
		t.Error("the first node went while a request was under way")
	default:
	}
	w.says("blog", "v1")
	open(under)
	if body, _ := slow.answer(); !strings.HasPrefix(body, "v1 ") {
		t.Errorf("the request that was under way got %q", body)
	}
	<-old.ended
}

func TestAnOldNodeThatIsKilledTakesItsOwnConnectionsAlone(t *testing.T) {
	w := newWorld(t)
	w.loops = 1
	old := w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	idle, slow := w.line(), w.line()
	idle.ask("blog", "/")
	idle.answer()
	g := w.gate()
	slow.ask("blog", g.path())
	w.arrived(g)
	w.node()
	for passed := false; !passed; time.Sleep(10 * time.Millisecond) { // the test's patience ends it
		metrics, err := node.Metrics(t.Context(), w.path("node/node.sock"))
		if err != nil {
			t.Fatal(err)
		}
		passed = strings.Contains(metrics, "slipway_connections_open{door=\"http\"} 1\n")
	}
	stop := w.load("blog", 20)
	old.kill()
	w.deploy("blog", 2, w.spec("v2", "exec ./server"), 1)
	idle.ask("blog", "/")
	if body, _ := idle.answer(); !strings.HasPrefix(body, "v2 ") {
		t.Errorf("got %q", body)
	}
	if _, err := slow.rd.ReadByte(); err == nil {
		t.Error("a connection of the killed node goes on")
	}
	if sent, failed := stop(); len(failed) > 0 {
		t.Errorf("%d of %d requests failed: %.20q", len(failed), sent, failed)
	}
}

func TestASuccessorThatHangsIsGivenUp(t *testing.T) {
	if testing.Short() {
		t.Skip("waits thirty seconds for the one that hangs")
	}
	w := newWorld(t)
	w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	conn, err := net.Dial("unix", w.path("node/node.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /handover HTTP/1.1\r\nHost: node\r\n\r\n")
	stop := w.load("blog", 100)
	if _, err := io.Copy(io.Discard, conn); err != nil { // it takes all and says nothing
		t.Fatal(err)
	}
	if sent, failed := stop(); len(failed) > 0 {
		t.Errorf("%d of %d requests failed: %.20q", len(failed), sent, failed)
	}
	w.deploy("blog", 2, w.spec("v2", "exec ./server"), 1)
	w.says("blog", "v2")
}
