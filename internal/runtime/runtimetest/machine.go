package runtimetest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

// Machine is an empty machine with one state directory, on which runtimes are
// opened one after the other, as nodes would.
type Machine struct {
	// Open opens a runtime on the machine's state. The one before, if any, is
	// left as it is and not used any more.
	Open func(t *testing.T) runtime.Runtime
	// StartAndDie opens a runtime in another process, starts the specs there,
	// and returns after that process was killed with SIGKILL. It comes before Open.
	StartAndDie func(t *testing.T, specs ...platform.InstanceSpec)
	// Image makes an image whose working directory holds these files, with
	// mode 0755, and returns its reference.
	Image func(t *testing.T, files map[string]string) string
	// Hidden is a file of the platform's state which no instance may read.
	Hidden string
}

// patience bounds everything that a test waits for; no machine is so slow that
// what shall come takes as long.
const patience = 2 * time.Minute

// home is a machine with an open runtime and the exits it reported.
type home struct {
	*testing.T
	Machine
	r     runtime.Runtime
	ctx   context.Context
	exits chan runtime.Exit
	image string
	leave func() // stops watching, as a node that ends does; once or more
}

// open opens a runtime, adopts, and begins to watch.
func open(t *testing.T, m Machine) (*home, []runtime.Running) {
	h := &home{T: t, Machine: m, r: m.Open(t), ctx: t.Context(), exits: make(chan runtime.Exit, 100)}
	adopted, err := h.r.Adopt(h.ctx)
	if err != nil {
		t.Fatalf("Adopt: %v", err)
	}
	watching, stop := context.WithCancel(h.ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for exit := range h.r.Watch(watching) {
			h.exits <- exit
		}
	})
	h.leave = func() { stop(); watcher.Wait() }
	t.Cleanup(h.leave)
	return h, adopted
}

var names struct {
	sync.Mutex
	count int
}

// spec is an instance of app that runs one shell command line; its id is new.
func spec(app, image, command string) platform.InstanceSpec {
	names.Lock()
	defer names.Unlock()
	names.count++
	id := fmt.Sprintf("%s-web-%010d-%05d", app, names.count, os.Getpid()%100000)
	return platform.InstanceSpec{
		ID: id, App: app, Process: "web", Release: 1,
		Spec: platform.Spec{Image: image, Args: []string{command}, Env: map[string]string{}, Grace: time.Second},
	}
}

// spec makes the image on first use.
func (h *home) spec(command string) platform.InstanceSpec {
	if h.image == "" {
		h.image = h.Image(h.T, map[string]string{"greeting": "hello from the image\n"})
	}
	return spec("blog", h.image, command)
}

// start starts an instance that is stopped with the test.
func (h *home) start(s platform.InstanceSpec) runtime.Running {
	h.Helper()
	running, err := h.r.Start(h.ctx, s)
	if err != nil {
		h.Fatalf("Start %s: %v", s.ID, err)
	}
	h.stopAtEnd(s.ID)
	return running
}

func (h *home) stopAtEnd(id string) {
	h.Cleanup(func() {
		if err := h.r.Stop(context.Background(), id, 0); err != nil {
			h.Errorf("Stop %s: %v", id, err)
		}
	})
}

func (h *home) stop(id string, grace time.Duration) {
	h.Helper()
	if err := h.r.Stop(h.ctx, id, grace); err != nil {
		h.Fatalf("Stop %s: %v", id, err)
	}
}

// exit waits for the next exit, which must be of id.
func (h *home) exit(id string) runtime.Exit {
	h.Helper()
	select {
	case exit := <-h.exits:
		if exit.ID != id {
			h.Fatalf("%s ended (%s), want %s", exit.ID, exit.Reason, id)
		}
		return exit
	case <-time.After(patience):
		h.Fatalf("the end of %s was not told", id)
		return runtime.Exit{}
	}
}

// noExit fails when an exit was told that nobody asked about.
func (h *home) noExit() {
	h.Helper()
	select {
	case exit := <-h.exits:
		h.Fatalf("an end was told that was none: %+v", exit)
	default:
	}
}

// printed waits until the instance has printed text and returns all of it.
func (h *home) printed(r runtime.Running, text string) string {
	h.Helper()
	var out []byte
	h.eventually(func() bool {
		out, _ = os.ReadFile(r.Output)
		return strings.Contains(string(out), text)
	}, func() string { return fmt.Sprintf("%s printed %q, want %q in it", r.Spec.ID, out, text) })
	return string(out)
}

// eventually waits for what another process does.
func (h *home) eventually(holds func() bool, complaint func() string) {
	h.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.Fatal(complaint())
		}
	}
}

// output is what a run printed; safe to read while it goes on.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// run runs a command line to its end and returns what it printed.
func (h *home) run(s platform.InstanceSpec) (string, int) {
	h.Helper()
	var out output
	code, err := h.r.Run(h.ctx, s, platform.IO{Stdout: &out, Stderr: &out})
	if err != nil {
		h.Fatalf("Run %s: %v (printed %q)", s.ID, err, out.String())
	}
	return out.String(), code
}

// runs reports whether any process of the machine has marker in its command
// line.
func runs(marker string) bool {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		line, err := os.ReadFile("/proc/" + entry.Name() + "/cmdline")
		if err == nil && bytes.Contains(line, []byte(marker)) {
			return true
		}
	}
	return false
}
