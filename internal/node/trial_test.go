package node_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/node"
)

// comers are clients that come again and again, each for one request.
type comers struct {
	cancel  context.CancelFunc
	clients sync.WaitGroup

	more            chan struct{} // a token for each that is answered, while somebody counts
	mu              sync.Mutex
	refused, broken []string
}

const comersAtOnce = 4

func (w *world) comers(app string) *comers {
	ctx, cancel := context.WithCancel(context.Background())
	c := &comers{cancel: cancel, more: make(chan struct{})}
	address := w.address
	for range comersAtOnce {
		c.clients.Go(func() {
			for ctx.Err() == nil {
				c.come(address, app)
			}
		})
	}
	return c
}

func (c *comers) come(address, app string) {
	conn, refused := net.Dial("tcp", address)
	var broken error
	if refused == nil {
		defer conn.Close()
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s.localhost\r\nConnection: close\r\n\r\n", app)
		var said []byte
		said, broken = io.ReadAll(conn)
		if broken == nil && !strings.HasPrefix(string(said), "HTTP/1.1 200 OK\r\n") {
			broken = fmt.Errorf("it was answered %.100q", said)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case refused != nil:
		c.refused = append(c.refused, refused.Error())
	case broken != nil:
		c.broken = append(c.broken, broken.Error())
	default:
		select {
		case c.more <- struct{}{}:
		default:
		}
	}
}

// served waits until so many more were answered.
func (c *comers) served(t *testing.T, more int) {
	t.Helper()
	late := time.After(patience)
	for range more {
		select {
		case <-c.more:
		case <-late:
			t.Fatal("nobody is served any more")
		}
	}
}

// end reports who was refused, and whether more were broken off than could have
// been in the hands of so many nodes that died.
func (c *comers) end(t *testing.T, dead int) {
	t.Helper()
	c.cancel()
	c.clients.Wait()
	if len(c.refused) > 0 {
		t.Errorf("%d were refused: %.10q", len(c.refused), c.refused)
	}
	if len(c.broken) > dead*comersAtOnce {
		t.Errorf("%d were broken off, of %d at a time, by %d dead nodes: %.20q", len(c.broken), comersAtOnce, dead, c.broken)
	}
}

// substitutes waits until a node serves in place of one that died.
func (w *world) substitutes(p *nodeProcess) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	for {
		info, err := node.Status(ctx, w.path("node/node.sock"))
		if err == nil && info.Pid == p.Process.Pid && info.Substitute {
			return
		}
		select {
		case <-p.ended:
			w.Fatalf("the node ended: %v", p.err)
		case <-ctx.Done():
			w.Fatal("nobody serves in place of the dead one")
		default:
		}
	}
}

func TestANodeThatIsKilledOnTrialRefusesNobody(t *testing.T) {
	for loops := range 2 {
		t.Run(fmt.Sprintf("%d loops", loops), func(t *testing.T) {
			w := newWorld(t)
			w.loops, w.trial = loops, patience
			first := w.node()
			w.deploy("blog", 1, w.spec("v1", "exec ./server"), 2)
			kept := w.line()
			kept.ask("blog", "/")
			kept.answer()
			comers := w.comers("blog")
			const deaths = 3
			for range deaths {
				w.node().kill()
				comers.served(t, 20)
				w.substitutes(first)
			}
			kept.ask("blog", "/") // nobody who was there before has noticed
			if _, closes := kept.answer(); closes {
				t.Error("a connection of before is closed")
			}
			w.trial = 1 // the next one's; the first one's goes on until that hands over
			w.node()
			w.deploy("blog", 2, w.spec("v2", "exec ./server"), 2)
			comers.served(t, 20)
			w.node()
			<-first.ended
			if first.err != nil {
				t.Errorf("the first node ended with %v", first.err)
			}
			w.deploy("blog", 3, w.spec("v3", "exec ./server"), 1)
			comers.end(t, deaths)
			w.says("blog", "v3")
		})
	}
}

func TestASubstituteServesWhatTheDeadOneHadBegun(t *testing.T) {
	w := newWorld(t)
	w.trial = patience
	first := w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	second := w.node()
	w.deploy("blog", 2, w.spec("v2", "exec ./server"), 1)
	second.kill()
	w.substitutes(first)
	w.says("blog", "v2")
	id := w.mustGet("blog", "/id")
	w.node()
	if again := w.mustGet("blog", "/id"); again != id {
		t.Error("another instance answers")
	}
}

func TestANodeThatDiesOnTrialWithTheOneBeforeIsFollowed(t *testing.T) {
	w := newWorld(t)
	w.trial = patience
	first := w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	second := w.node()
	comers := w.comers("blog")
	first.kill() // takes what it has, which is nothing
	comers.served(t, 20)
	comers.end(t, 0)
	second.kill()
	w.node()
	w.deploy("blog", 2, w.spec("v2", "exec ./server"), 1)
	w.says("blog", "v2")
}

// hasty is a successor that is told to take over, and ends with that.
const hasty = `my $s = IO::Socket::UNIX->new($ARGV[0]) or die $!; $| = 1; my $said = "";
print $s "POST /handover HTTP/1.1\r\nHost: node\r\n\r\n"; $s->flush;
while ($said !~ /"listeners"/) { sysread($s, $said, 4096, length $said) or die }
print "asked\n"; <STDIN>; print $s qq({"take":true,"tried":true}\n)`

func TestASuccessorThatEndsBeforeItIsHeardHasDied(t *testing.T) {
	w := newWorld(t)
	w.trial = patience
	first := w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	next := exec.Command("perl", "-MIO::Socket::UNIX", "-e", hasty, w.path("node/node.sock"))
	tell, err := next.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	asked, err := next.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(asked, make([]byte, len("asked\n"))); err != nil {
		t.Fatal(err)
	}
	_ = first.Process.Signal(syscall.SIGSTOP)
	tell.Close()
	if err := next.Wait(); err != nil { // nothing of it is left
		t.Fatal(err)
	}
	_ = first.Process.Signal(syscall.SIGCONT)
	w.substitutes(first)
	w.says("blog", "v1")
	w.node()
	w.deploy("blog", 2, w.spec("v2", "exec ./server"), 1)
	w.says("blog", "v2")
}

func TestAnUpgradeOnTrialEndsTheTrialBefore(t *testing.T) {
	w := newWorld(t)
	w.trial = patience
	first := w.node()
	w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
	second := w.node()
	comers := w.comers("blog")
	third := w.node()
	<-first.ended // nobody waits for it
	third.kill()
	w.substitutes(second)
	comers.served(t, 20)
	comers.end(t, 1)
}

func TestANodeThatLeavesOnTrialIsNotReplaced(t *testing.T) {
	for _, instances := range []bool{false, true} {
		w := newWorld(t)
		w.trial = patience
		first := w.node()
		w.deploy("blog", 1, w.spec("v1", "exec ./server"), 1)
		second := w.node()
		if err := w.tryStop(instances); err != nil {
			t.Fatal(err)
		}
		<-second.ended
		<-first.ended
		if first.err != nil || second.err != nil {
			t.Errorf("they ended with %v, %v", first.err, second.err)
		}
		if left := len(w.instancePids()); (left == 0) != instances {
			t.Errorf("%d processes of instances are left", left)
		}
		if status, err := http.Get("http://" + w.address); err == nil {
			status.Body.Close()
			t.Error("somebody accepts")
		}
	}
}
