package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

func startRuns(t *testing.T, m Machine) {
	h, _ := open(t, m)
	s := h.spec(`cat greeting; echo "color is $COLOR"; echo "home is $HOME"; echo "port is ${PORT:-none}"; touch new && echo may write; exec sleep 1000`)
	s.Spec.Env["COLOR"] = "green"
	before := time.Now()
	running := h.start(s)
	if running.Spec.ID != s.ID || running.Address != "" || running.Started.Before(before) || running.Isolation == "" {
		t.Errorf("Start returned %+v", running)
	}
	out := h.printed(running, "may write")
	for _, want := range []string{"hello from the image", "color is green", "home is ", "port is none"} {
		if !strings.Contains(out, want) {
			t.Errorf("it printed %q, want %q in it", out, want)
		}
	}
	h.noExit()
}

func environmentIsExact(t *testing.T, m Machine) {
	h, _ := open(t, m)
	const value = "first\nsecond \"quoted\" $HOME `x` \\ äöü 🚢\n\n"
	s := h.spec(`printf '<%s>' "$VALUE"`)
	s.Spec.Env["VALUE"] = value
	s.Spec.Env["EMPTY"] = ""
	if out, code := h.run(s); out != "<"+value+">" || code != 0 {
		t.Errorf("it printed %q and exited with %d", out, code)
	}
}

func outputIsMerged(t *testing.T, m Machine) {
	h, _ := open(t, m)
	running := h.start(h.spec(`echo one; echo two >&2; echo three; exit 0`))
	h.exit(running.Spec.ID)
	if out := h.printed(running, "three"); out != "one\ntwo\nthree\n" {
		t.Errorf("it printed %q", out)
	}
}

func longLine(t *testing.T, m Machine) {
	h, _ := open(t, m)
	running := h.start(h.spec(`head -c 1048576 /dev/zero | tr '\0' x; echo; echo end`))
	h.exit(running.Spec.ID)
	if out := h.printed(running, "end"); out != strings.Repeat("x", 1<<20)+"\nend\n" {
		t.Errorf("it printed %d bytes", len(out))
	}
}

func startConflicts(t *testing.T, m Machine) {
	h, _ := open(t, m)
	s := h.spec("exec sleep 1000")
	h.start(s)
	if _, err := h.r.Start(h.ctx, s); !errors.Is(err, platform.ErrConflict) {
		t.Errorf("a second Start: %v, want a conflict", err)
	}
	if _, err := h.r.Run(h.ctx, s, platform.IO{}); !errors.Is(err, platform.ErrConflict) {
		t.Errorf("a Run of the same id: %v, want a conflict", err)
	}
	h.noExit()
}

func restart(t *testing.T, m Machine) {
	h, _ := open(t, m)
	s := h.spec(`test -e left && echo not clean; test -e "$TMPDIR/left" && echo not clean; touch left "$TMPDIR/left"; echo "life of $$"; exit 3`)
	first := h.start(s)
	h.exit(s.ID)
	second := h.start(s)
	h.exit(s.ID)
	out := h.printed(second, "life of")
	if first.Output != second.Output || strings.Count(out, "life of") != 2 || strings.Count(out, "\n") != 2 {
		t.Errorf("%s and %s hold %q", first.Output, second.Output, out)
	}
}

func imageMissing(t *testing.T, m Machine) {
	h, _ := open(t, m)
	s := h.spec("true")
	repository, _, _ := strings.Cut(s.Spec.Image, "@")
	digest := "sha256:" + strings.Repeat("0", 64)
	s.Spec.Image = repository + "@" + digest
	if _, err := h.r.Start(h.ctx, s); err == nil || !strings.Contains(err.Error(), digest) {
		t.Errorf("Start of an image that is not there: %v", err)
	}
	s.Spec.Image = "no digest"
	if _, err := h.r.Start(h.ctx, s); !errors.Is(err, platform.ErrInvalid) {
		t.Errorf("Start of an image without a digest: %v", err)
	}
}

func commandMissing(t *testing.T, m Machine) {
	h, _ := open(t, m)
	running := h.start(h.spec("no-such-program --serve"))
	if exit := h.exit(running.Spec.ID); exit.Code != 127 || exit.Reason != "exited with code 127" {
		t.Errorf("it ended as %+v", exit)
	}
	h.printed(running, "no-such-program")
}

func stopIsGraceful(t *testing.T, m Machine) {
	h, _ := open(t, m)
	running := h.start(h.spec(`trap 'echo finishing; exit 7' TERM; echo ready; while :; do sleep 0.01; done`))
	h.printed(running, "ready")
	h.stop(running.Spec.ID, patience)
	if exit := h.exit(running.Spec.ID); exit.Code != 7 {
		t.Errorf("it ended as %+v, want its own exit code", exit)
	}
	h.printed(running, "finishing")
}

func stopWaitsForChildren(t *testing.T, m Machine) {
	h, _ := open(t, m)
	// Not exec: the shell between dies of the signal before its child is done.
	running := h.start(h.spec(`perl -e '$| = 1; $SIG{TERM} = sub { select(undef, undef, undef, 0.2); print "child finished\n"; exit }; print "ready\n"; sleep 1000' & wait`))
	h.printed(running, "ready")
	if running.Isolation == platform.IsolationNone || running.Isolation == platform.IsolationUser {
		t.Skip("without a pid namespace only the command itself is waited for")
	}
	h.stop(running.Spec.ID, patience)
	h.exit(running.Spec.ID)
	h.printed(running, "child finished")
}

func stopKills(t *testing.T, m Machine) {
	h, _ := open(t, m)
	marker := fmt.Sprintf("stubborn-%d", time.Now().UnixNano())
	running := h.start(h.spec(fmt.Sprintf(`trap '' TERM; (setsid sleep 1000 %[1]s 2>/dev/null || bash -c 'trap "" TERM; while :; do sleep 0.1; done' %[1]s) & bash -c 'trap "" TERM; echo ready; while :; do sleep 0.1; done' %[1]s`, marker)))
	h.printed(running, "ready")
	h.stop(running.Spec.ID, 50*time.Millisecond)
	if runs(marker) {
		t.Error("something of it still runs after Stop")
	}
	if exit := h.exit(running.Spec.ID); exit.Code != 137 && exit.Code != -1 {
		t.Errorf("it ended as %+v, want killed", exit)
	}
}

func stopHurries(t *testing.T, m Machine) {
	h, _ := open(t, m)
	running := h.start(h.spec(`trap '' TERM; echo ready; while :; do sleep 0.1; done`))
	h.printed(running, "ready")
	ctx, cancel := context.WithCancel(h.ctx)
	cancel()
	done := make(chan error, 1)
	go func() { done <- h.r.Stop(ctx, running.Spec.ID, time.Hour) }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Stop: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Stop waited although its context had ended")
	}
	h.exit(running.Spec.ID)
}

func stopUnknown(t *testing.T, m Machine) {
	h, _ := open(t, m)
	h.stop("nobody-web-1", time.Second)
	running := h.start(h.spec("exit 0"))
	h.exit(running.Spec.ID)
	h.stop(running.Spec.ID, time.Second)
	h.stop(running.Spec.ID, time.Second)
	h.noExit()
}

func exitIsWhole(t *testing.T, m Machine) {
	h, _ := open(t, m)
	marker := fmt.Sprintf("left-behind-%d", time.Now().UnixNano())
	running := h.start(h.spec(fmt.Sprintf(`bash -c 'while :; do sleep 0.1; done' %s & echo ready; exit 4`, marker)))
	if exit := h.exit(running.Spec.ID); exit.Code != 4 {
		t.Errorf("it ended as %+v", exit)
	}
	if runs(marker) {
		t.Error("its child still runs after its end was told")
	}
}

func exitsAreTold(t *testing.T, m Machine) {
	h, _ := open(t, m)
	for command, want := range map[string]runtime.Exit{
		"exit 0":   {Code: 0, Reason: "exited with code 0"},
		"exit 255": {Code: 255, Reason: "exited with code 255"},
		// Not by itself: the first process of a container gets no such signal.
		"bash -c 'kill -SEGV $$'; exit $?": {Code: 139, Reason: "ended by signal 11"},
	} {
		running := h.start(h.spec(command))
		got := h.exit(running.Spec.ID)
		if got.Code != want.Code || got.Reason != want.Reason || got.At.Before(running.Started.Add(-time.Second)) {
			t.Errorf("%q ended as %+v, want %+v", command, got, want)
		}
	}
	h.noExit()
}

func watchIsComplete(t *testing.T, m Machine) {
	r := m.Open(t)
	if _, err := r.Adopt(t.Context()); err != nil {
		t.Fatal(err)
	}
	image := m.Image(t, nil)
	var started []string
	for code := range 3 {
		s := spec("blog", image, fmt.Sprintf("exit %d", code))
		if _, err := r.Start(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := r.Stop(t.Context(), s.ID, patience); err != nil {
			t.Fatal(err)
		}
		started = append(started, s.ID)
	}
	// One watcher after the other, each leaving after its first exit.
	for _, id := range started {
		for exit := range r.Watch(t.Context()) {
			if exit.ID != id {
				t.Errorf("%s was told, want %s: in order, once", exit.ID, id)
			}
			break
		}
	}
}

// needsLimits skips when the runtime says that it keeps none here.
func (h *home) needsLimits() {
	if describer, ok := h.r.(runtime.Describer); ok {
		for _, missing := range describer.Describe().Missing {
			if strings.Contains(missing, "limit") {
				h.Skip(missing)
			}
		}
	}
}

func memoryLimit(t *testing.T, m Machine) {
	h, _ := open(t, m)
	h.needsLimits()
	s := h.spec(`exec perl -e 'my @all; while (1) { push @all, "x" x 1048576 }'`)
	s.Spec.Limits.MemoryBytes = 64 << 20
	running := h.start(s)
	exit := h.exit(running.Spec.ID)
	if exit.Reason != "killed for more than 64 MiB of memory" || exit.Code != 137 {
		t.Errorf("it ended as %+v", exit)
	}
}

func forkBomb(t *testing.T, m Machine) {
	h, _ := open(t, m)
	h.needsLimits()
	s := h.spec(`exec perl -e '$| = 1; for (1..200) { my $p = fork; if (!defined $p) { print "fork stopped at $_\n"; sleep 1000 } sleep 1000 if !$p } print "all forked\n"'`)
	s.Spec.Limits.Processes = 20
	running := h.start(s)
	if out := h.printed(running, "fork"); !strings.Contains(out, "stopped at") {
		t.Errorf("200 processes against a limit of 20: %q", out)
	}
	h.stop(running.Spec.ID, 0)
}

func forget(t *testing.T, m Machine) {
	h, _ := open(t, m)
	outputs, ok := h.r.(runtime.Outputs)
	if !ok {
		t.Skip("it keeps no outputs")
	}
	running := h.start(h.spec("echo hello; exec sleep 1000"))
	h.printed(running, "hello")
	if err := outputs.Forget(running.Spec.ID); !errors.Is(err, platform.ErrConflict) {
		t.Errorf("Forget of a running instance: %v", err)
	}
	h.stop(running.Spec.ID, 0)
	h.printed(running, "hello")
	for range 2 {
		if err := outputs.Forget(running.Spec.ID); err != nil {
			t.Errorf("Forget: %v", err)
		}
	}
	if _, err := os.Stat(running.Output); !os.IsNotExist(err) {
		t.Errorf("the output is still there: %v", err)
	}
}
