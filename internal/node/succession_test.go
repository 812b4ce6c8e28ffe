package node_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/node"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestNewNodesTakeOverUnderLoadWithoutAFailure(t *testing.T) {
	w := newWorld(t)
	p := w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 2)
	id := w.mustGet("blog", "/id")
	_ = id
	address := w.address
	stop := w.load("blog", 100)
	for release := 2; release < 5; release++ {
		next := w.node()
		// The table changes while the old node's last connections are led by it.
		w.deploy("blog", release, w.spec(fmt.Sprintf("v%d", release), "exec ./server"), 2)
		<-p.ended
		if p.err != nil {
			t.Errorf("the old node ended with %v", p.err)
		}
		p = next
	}
	sent, failed := stop()
	if w.address != address {
		t.Errorf("the address changed from %s to %s", address, w.address)
	}
	if len(failed) > 0 {
		t.Errorf("%d of %d requests failed: %.20q", len(failed), sent, failed)
	}
	w.says("blog", "v4")
}

func TestARequestInTheOldNodeKeepsItsInstance(t *testing.T) {
	w := newWorld(t)
	old := w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	answered := make(chan string)
	conn, err := net.Dial("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	g := w.gate()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: blog.localhost\r\nConnection: close\r\n\r\n", g.path())
	under := w.arrived(g)
	go func() {
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		answered <- string(body)
	}()
	w.node()
	w.deploy("blog", 2, w.spec("v2", "exec ./server"), 1) // the first instance is to go
	open(under)
	if body := <-answered; !strings.HasPrefix(body, "v1 ") {
		t.Errorf("the request that was under way got %q", body)
	}
	<-old.ended
}

func TestACommandInTheOldNodeGoesOn(t *testing.T) {
	w := newWorld(t)
	old := w.node()
	w.apply("blog", w.worker(1, "exec sleep 1000", nil))
	id := w.up("blog", 1, 1)[0].ID
	run, exec := w.gate(), w.gate()
	ended := make(chan string, 2)
	tell := func(exit int, out *bytes.Buffer, err error) { ended <- fmt.Sprintf("%d %s%v", exit, out, err) }
	go func() {
		var out bytes.Buffer
		spec := w.worker(1, run.wait+" && echo $go; exit 5", nil).Spec
		exit, err := w.fleet.Run(t.Context(), platform.InstanceSpec{ID: "blog-run-abcde", App: "blog", Process: "run", Spec: spec}, platform.IO{Stdout: &out})
		tell(exit, &out, err)
	}()
	go func() {
		var out bytes.Buffer
		command := []string{"bash", "-c", exec.wait + " && echo $go; exit 5"}
		exit, err := w.fleet.Exec(t.Context(), "blog", id, command, platform.IO{Stdout: &out})
		tell(exit, &out, err)
	}()
	inRun, inExec := w.arrived(run), w.arrived(exec)
	w.node()
	open(inRun)
	open(inExec)
	for range 2 {
		if got := <-ended; got != "5 go\n<nil>" {
			t.Errorf("it ended with %q", got)
		}
	}
	<-old.ended
}

func TestASuccessorThatDiesLeavesTheOldNodeInOffice(t *testing.T) {
	w := newWorld(t)
	old := w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	// A successor as far as the old node can tell, which dies with what it got.
	conn, err := net.Dial("unix", w.path("node/node.sock"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "POST /handover HTTP/1.1\r\nHost: node\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 12)); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	w.deploy("blog", 2, w.spec("v2", "exec ./server"), 1)
	w.says("blog", "v2")
	next := w.node() // and can still hand over
	<-old.ended
	w.says("blog", "v2")
	next.kill()
}

func TestASuccessorThatWakesUpTooLateLeavesTheOldNodeInOffice(t *testing.T) {
	if testing.Short() {
		t.Skip("waits half a minute for the old one's patience to end")
	}
	w := newWorld(t)
	old := w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	stop := w.load("blog", 100)
	w.late = w.path("late")
	hung := w.launch()
	for waits := false; !waits; time.Sleep(10 * time.Millisecond) {
		select {
		case <-hung.ended:
			t.Fatal("it ended before it was handed anything: ", hung.err)
		default:
		}
		_, err := os.Stat(w.late + waiting)
		waits = err == nil
	}
	w.deploy("blog", 2, w.spec("v2", "exec ./server"), 1) // as soon as the old one is in office again
	if err := os.WriteFile(w.late, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	<-hung.ended
	if hung.err == nil || hung.ProcessState.ExitCode() != 1 {
		t.Errorf("the late one ended with %v", hung.err)
	}
	w.deploy("blog", 3, w.spec("v3", "exec ./server"), 1)
	if info, err := node.Status(t.Context(), w.path("node/node.sock")); err != nil || info.Pid != old.Process.Pid {
		t.Errorf("%d is in office, %v", info.Pid, err)
	}
	w.late = ""
	w.node()
	w.deploy("blog", 4, w.spec("v4", "exec ./server"), 1)
	if sent, failed := stop(); len(failed) > 0 {
		t.Errorf("%d of %d requests failed: %.20q", len(failed), sent, failed)
	}
	<-old.ended
}

func TestANodeThatTakesLongToFreezeSaysThatItIsWell(t *testing.T) {
	w := newWorld(t)
	w.slow = w.path("slow")
	w.node()
	w.apply("blog", w.worker(1, "exec sleep 1000", nil))
	await(t.Context(), w.slow+waiting)
	conn, err := net.Dial("unix", w.path("node/node.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(conn, "POST /handover HTTP/1.1\r\nHost: node\r\n\r\n")
	head := make([]byte, len("HTTP/1.1 101"))
	if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 101" { // who hears nothing kills it
		t.Errorf("it said %q, %v", head, err)
	}
	conn.Close()
	if err := os.WriteFile(w.slow, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.up("blog", 1, 1)
}

func TestANodeThatIsStartedWhileOneLeavesCanBeAsked(t *testing.T) {
	w := newWorld(t)
	old := w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	slow, g := w.line(), w.gate()
	slow.ask("blog", g.path()) // keeps the first node until it is answered
	under := w.arrived(g)
	_ = old.Process.Signal(syscall.SIGTERM)
	for leaves := false; !leaves; time.Sleep(10 * time.Millisecond) { // the test's patience ends it
		conn, err := net.Dial("tcp", w.address)
		if leaves = err != nil; !leaves {
			conn.Close()
		}
	}
	next := w.node()
	open(under)
	slow.answer()
	<-old.ended
	if info, err := node.Status(t.Context(), w.path("node/node.sock")); err != nil || info.Pid != next.Process.Pid {
		t.Errorf("%d answers, %v", info.Pid, err)
	}
	w.node() // and it can hand over
	<-next.ended
}

func TestKilledSuccessorsAtAnyMomentLeaveOneNode(t *testing.T) {
	w := newWorld(t)
	w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	for n := range 8 {
		doomed := w.launch()
		select {
		case <-time.After(time.Duration(n) * 25 * time.Millisecond):
		case <-doomed.serving:
		}
		doomed.kill()
	}
	w.node()
	w.deploy("blog", 2, w.spec("v2", "exec ./server"), 1)
	w.says("blog", "v2")
}

func TestAHangingNodeIsReplaced(t *testing.T) {
	if testing.Short() {
		t.Skip("waits five seconds for the one that hangs")
	}
	w := newWorld(t)
	old := w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	id := w.mustGet("blog", "/id")
	_ = old.Process.Signal(syscall.SIGSTOP)
	w.node()
	<-old.ended
	if again := w.mustGet("blog", "/id"); again != id {
		t.Error("another instance answers")
	}
}

func TestAStaleSocketIsNoObstacle(t *testing.T) {
	w := newWorld(t)
	w.node().kill() // leaves its socket behind
	if _, err := os.Lstat(w.path("node/node.sock")); err != nil {
		t.Fatal(err)
	}
	w.node()
}

func TestADirectoryOfANewerNodeIsRefused(t *testing.T) {
	w := newWorld(t)
	if err := os.MkdirAll(w.path("node"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.path("node/state.json"), []byte(`{"format": 99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := w.launch()
	<-p.ended
	if p.err == nil {
		t.Error("the node ran on it")
	}
}
