package node_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/logs"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestNoLineIsLostOrDoubledWhenEitherSideRestarts(t *testing.T) {
	w := newWorld(t)
	p := w.node()
	spec := w.spec("one", `for i in $(seq 1 3000); do echo "line $i"; test $((i % 20)) = 0 && sleep 0.01; done; echo last; exec sleep 1000`)
	spec.Port = false
	w.apply("blog", platform.Group{Release: 1, Process: "worker", Quantity: 1, Spec: spec})
	for n := range 4 {
		w.said("blog", func(line string) bool { return strings.HasPrefix(line, fmt.Sprintf("line %d", 1+n*500)) })
		switch n {
		case 0:
			w.crash()
			w.begin()
		case 1:
			p.kill()
			p = w.node()
		case 2:
			p = w.node() // hand-over
		case 3:
			w.crash()
			p.kill()
			w.begin()
			p = w.node()
		}
	}
	w.said("blog", func(line string) bool { return line == "last" })
	next := 1
	for _, line := range w.logs.Tail("blog", logs.Filter{Lines: 10000}) {
		if line.Text == "last" {
			break
		}
		if want := fmt.Sprintf("line %d", next); line.Text != want {
			t.Fatalf("the log has %q where %q should be", line.Text, want)
		}
		next++
	}
	if next != 3001 {
		t.Errorf("%d lines were logged, want 3000", next-1)
	}
}

func TestTheLastWordsOfARemovedInstanceAreLogged(t *testing.T) {
	w := newWorld(t)
	p := w.node()
	w.deploy("blog", 1, w.spec("one", "exec ./server"), 1)
	w.said("blog", func(line string) bool { return line == "listening" })
	w.crash() // nobody takes the lines
	if err := w.tryStop(true); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	w.begin()
	if _, err := w.fleet.SetInstances("blog", nil); err != nil { // it does not come back
		t.Fatal(err)
	}
	w.node()
	w.said("blog", func(line string) bool { return line == "terminating" })
}

func TestStoredOutputIsGivenBackToTheDisk(t *testing.T) {
	w := newWorld(t)
	w.node()
	spec := w.spec("one", `yes "$(printf '%01000d' 7)" | head -n 8000; echo; echo done; exec sleep 1000`)
	spec.Port = false
	w.apply("blog", platform.Group{Release: 1, Process: "worker", Quantity: 1, Spec: spec})
	w.said("blog", func(line string) bool { return line == "done" })
	outputs, _ := filepath.Glob(w.path("rt/instances/blog-*/output"))
	if len(outputs) != 1 {
		t.Fatalf("outputs: %v", outputs)
	}
	deadline := time.Now().Add(patience)
	for {
		used, err := exec.Command("du", "-k", outputs[0]).Output()
		if err != nil {
			t.Fatal(err)
		}
		var kib int
		_, _ = fmt.Sscan(string(used), &kib)
		if kib < 1024 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("8 MB of stored output still take %d KiB", kib)
		}
	}
}

func TestAFullDiskKeepsTheLastStateAndServesOn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small disk")
	}
	w := newWorld(t)
	if err := os.MkdirAll(w.path("node"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "slipway-test", w.path("node")).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a small disk: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", w.path("node")).Run() })
	p := w.node()
	t.Cleanup(func() { p.kill(); w.killInstances() }) // before the disk goes
	w.deploy("blog", 1, w.spec("one", "exec ./server"), 1)
	w.said("blog", func(line string) bool { return line == "listening" })
	w.settled() // what it writes later leaves room, where it takes the place of something
	if err := os.WriteFile(w.path("node/fill"), make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	w.deploy("blog", 2, w.spec("two", "exec ./server"), 1)
	w.says("blog", "two")
	problems := func() string { return strings.Join(w.fleet.Nodes()[0].Problems, "; ") }
	if !strings.Contains(problems(), "no space left") {
		t.Errorf("its problems are %q", problems())
	}
	if err := os.Remove(w.path("node/fill")); err != nil {
		t.Fatal(err)
	}
	w.deploy("blog", 3, w.spec("three", "exec ./server"), 1)
	if problems() != "" {
		t.Errorf("its problems are still %q", problems())
	}
}
