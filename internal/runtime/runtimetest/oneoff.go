package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

func runIsAttached(t *testing.T, m Machine) {
	h, _ := open(t, m)
	var stdout, stderr output
	code, err := h.r.Run(h.ctx, h.spec(`cat greeting; echo oops >&2; exit 42`), platform.IO{Stdout: &stdout, Stderr: &stderr})
	if code != 42 || err != nil || stdout.String() != "hello from the image\n" || stderr.String() != "oops\n" {
		t.Errorf("Run: %d, %v, %q, %q", code, err, stdout.String(), stderr.String())
	}
	if code, err := h.r.Run(h.ctx, h.spec("bash -c 'kill -9 $$'; exit $?"), platform.IO{}); code != 137 || err != nil {
		t.Errorf("Run of what kills itself: %d, %v", code, err)
	}
	h.noExit()
}

func runReads(t *testing.T, m Machine) {
	h, _ := open(t, m)
	var out output
	text := strings.Repeat("line\n", 100_000)
	code, err := h.r.Run(h.ctx, h.spec("wc -l; exit 3"), platform.IO{Stdin: strings.NewReader(text), Stdout: &out, Stderr: &out})
	if code != 3 || err != nil || strings.TrimSpace(out.String()) != "100000" {
		t.Errorf("Run: %d, %v, %q", code, err, out.String())
	}
	// A reader that never ends does not hold a run that has ended.
	endless, _ := io.Pipe()
	if code, err := h.r.Run(h.ctx, h.spec("exit 4"), platform.IO{Stdin: endless}); code != 4 || err != nil {
		t.Errorf("Run: %d, %v", code, err)
	}
}

// when calls f once text was printed.
func (h *home) when(out *output, text string, f func()) {
	go func() {
		for h.ctx.Err() == nil && !strings.Contains(out.String(), text) {
			time.Sleep(2 * time.Millisecond)
		}
		f()
	}()
}

func runGetsSignals(t *testing.T, m Machine) {
	h, _ := open(t, m)
	var out output
	signals := make(chan string, 1)
	h.when(&out, "ready", func() { signals <- "INT" })
	s := h.spec(`trap 'echo interrupted; exit 11' INT; echo ready; while :; do sleep 0.01; done`)
	code, err := h.r.Run(h.ctx, s, platform.IO{Stdout: &out, Stderr: &out, Signals: signals})
	if code != 11 || err != nil || !strings.Contains(out.String(), "interrupted") {
		t.Errorf("Run: %d, %v, %q", code, err, out.String())
	}
}

func runIsCancelled(t *testing.T, m Machine) {
	h, _ := open(t, m)
	marker := fmt.Sprintf("cancelled-%d", time.Now().UnixNano())
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	var out output
	h.when(&out, "ready", cancel)
	s := h.spec(fmt.Sprintf(`trap '' TERM INT; bash -c 'trap "" TERM; echo ready; while :; do sleep 0.1; done' %s & wait; wait`, marker))
	if _, err := h.r.Run(ctx, s, platform.IO{Stdout: &out, Stderr: &out}); !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
	if runs(marker) {
		t.Error("something of it still runs")
	}
	h.noExit()
}

func runTerminal(t *testing.T, m Machine) {
	h, _ := open(t, m)
	var out output
	resize := make(chan platform.WindowSize, 1)
	h.when(&out, "ready", func() { resize <- platform.WindowSize{Rows: 50, Cols: 132} })
	s := h.spec(`test -t 0 && test -t 1 && test -t 2 && echo "a terminal of type $TERM"; stty size < /dev/tty; trap 'stty size; exit 12' WINCH; echo ready; while :; do sleep 0.01; done`)
	code, err := h.r.Run(h.ctx, s, platform.IO{Stdout: &out, Terminal: &platform.Terminal{
		Term: "vt100", Size: platform.WindowSize{Rows: 30, Cols: 90}, Resize: resize,
	}})
	if code != 12 || err != nil {
		t.Errorf("Run: %d, %v", code, err)
	}
	for _, want := range []string{"a terminal of type vt100\r\n", "30 90\r\n", "50 132\r\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it printed %q, want %q in it", out.String(), want)
		}
	}
}

func runInterrupt(t *testing.T, m Machine) {
	h, _ := open(t, m)
	var out output
	keys, typed := io.Pipe()
	h.when(&out, "ready", func() { _, _ = typed.Write([]byte{3}) })
	s := h.spec(`bash -c 'trap "echo child interrupted; exit 3" INT; echo ready; while :; do sleep 0.01; done'; echo "survived with $?"; read line; echo "read $line"; exit 13`)
	h.when(&out, "survived", func() { _, _ = typed.Write([]byte("words\r")) })
	code, err := h.r.Run(h.ctx, s, platform.IO{Stdin: keys, Stdout: &out, Terminal: &platform.Terminal{Term: "xterm"}})
	if code != 13 || err != nil || !strings.Contains(out.String(), "child interrupted") || !strings.Contains(out.String(), "survived with 3\r\n") || !strings.Contains(out.String(), "read words\r\n") {
		t.Errorf("Run: %d, %v, %q", code, err, out.String())
	}
}

func exec(t *testing.T, m Machine) {
	h, _ := open(t, m)
	s := h.spec(`echo made here > "$HOME/made"; id -u > "$TMPDIR/user"; echo ready; exec sleep 1000`)
	s.Spec.Env["COLOR"] = "green"
	running := h.start(s)
	h.printed(running, "ready")
	var stdout, stderr output
	code, err := h.r.Exec(h.ctx, s.ID, []string{"bash", "-c", `cat made; test "$(id -u)" = "$(cat "$TMPDIR/user")" && echo same user; echo $COLOR; read line; echo "read $line"; echo oops >&2; exit 21`},
		platform.IO{Stdin: strings.NewReader("words\n"), Stdout: &stdout, Stderr: &stderr})
	if code != 21 || err != nil || stdout.String() != "made here\nsame user\ngreen\nread words\n" || stderr.String() != "oops\n" {
		t.Errorf("Exec: %d, %v, %q, %q", code, err, stdout.String(), stderr.String())
	}
	if code, err := h.r.Exec(h.ctx, s.ID, []string{"no-such-program"}, platform.IO{}); code != 127 || err != nil {
		t.Errorf("Exec of what is not there: %d, %v", code, err)
	}
	if _, err := h.r.Exec(h.ctx, "nobody-web-1", []string{"true"}, platform.IO{}); !errors.Is(err, platform.ErrNotFound) {
		t.Errorf("Exec in an unknown instance: %v", err)
	}
	h.noExit()
}

func shell(t *testing.T, m Machine) {
	h, _ := open(t, m)
	s := h.spec(`id -u > "$TMPDIR/user"; echo "$HOME and $PATH" > settings; echo ready; exec sleep 1000`)
	s.Spec.Env["COLOR"] = "green"
	running := h.start(s)
	var early output // the instance may be about to begin
	if code, err := h.r.Shell(h.ctx, s.ID, `cat greeting && echo "$COLOR"; exit 23`, platform.IO{Stdout: &early, Stderr: &early}); code != 23 || err != nil || early.String() != "hello from the image\ngreen\n" {
		t.Errorf("Shell at once: %d, %v, %q", code, err, early.String())
	}
	h.printed(running, "ready")
	const line = `test "$(id -u)" = "$(cat "$TMPDIR/user")" && test "$HOME and $PATH" = "$(cat settings)" && read word && echo "read $word"`
	var out output
	if code, err := h.r.Shell(h.ctx, s.ID, line, platform.IO{Stdin: strings.NewReader("words\n"), Stdout: &out, Stderr: &out}); code != 0 || err != nil || out.String() != "read words\n" {
		t.Errorf("Shell: %d, %v, %q", code, err, out.String())
	}
	h.stop(s.ID, 0)
	h.exit(s.ID)
	if _, err := h.r.Shell(h.ctx, s.ID, "true", platform.IO{}); !errors.Is(err, platform.ErrNotFound) {
		t.Errorf("Shell beside an instance that ended: %v", err)
	}
}

func execTerminal(t *testing.T, m Machine) {
	h, _ := open(t, m)
	running := h.start(h.spec("echo ready; exec sleep 1000"))
	h.printed(running, "ready")
	var out output
	code, err := h.r.Exec(h.ctx, running.Spec.ID, []string{"bash", "-c", "stty size; stty size < /dev/tty; echo $TERM; exit 22"},
		platform.IO{Stdout: &out, Terminal: &platform.Terminal{Term: "vt220", Size: platform.WindowSize{Rows: 31, Cols: 91}}})
	if code != 22 || err != nil || out.String() != "31 91\r\n31 91\r\nvt220\r\n" {
		t.Errorf("Exec: %d, %v, %q", code, err, out.String())
	}
}

func execIsCancelled(t *testing.T, m Machine) {
	h, _ := open(t, m)
	running := h.start(h.spec("echo ready; exec sleep 1000"))
	h.printed(running, "ready")
	marker := fmt.Sprintf("exec-%d", time.Now().UnixNano())
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	var out output
	h.when(&out, "inside", cancel)
	_, err := h.r.Exec(ctx, running.Spec.ID, []string{"bash", "-c", `trap "" TERM; echo inside; while :; do sleep 0.1; done`, marker}, platform.IO{Stdout: &out, Stderr: &out})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Exec: %v", err)
	}
	if runs(marker) {
		t.Error("something of it still runs")
	}
	if code, err := h.r.Exec(h.ctx, running.Spec.ID, []string{"true"}, platform.IO{}); code != 0 || err != nil {
		t.Errorf("the instance is not well afterwards: %d, %v", code, err)
	}
	h.noExit()
}

func execEndsWithInstance(t *testing.T, m Machine) {
	h, _ := open(t, m)
	running := h.start(h.spec("echo ready; exec sleep 1000"))
	h.printed(running, "ready")
	var out output
	h.when(&out, "inside", func() { _ = h.r.Stop(h.ctx, running.Spec.ID, 0) })
	code, err := h.r.Exec(h.ctx, running.Spec.ID, []string{"bash", "-c", "echo inside; sleep 1000"}, platform.IO{Stdout: &out})
	if code <= 128 || err != nil {
		t.Errorf("Exec in an instance that was stopped: %d, %v", code, err)
	}
	h.exit(running.Spec.ID)
}
