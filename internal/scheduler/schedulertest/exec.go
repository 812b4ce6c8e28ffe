package schedulertest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

// one starts a single instance of blog and returns its id.
func (a *at) one(command string) string {
	a.Helper()
	group := a.group(1, "worker", 1)
	group.Spec = a.spec(command)
	group.Spec.Env["COLOR"] = "green"
	a.apply("blog", group)
	return a.await("blog", "worker.v1")[0].ID
}

func (a *at) mustExec(instance, command string, stream platform.IO) int {
	a.Helper()
	exit, err := a.Scheduler.Exec(a.Context(), "blog", instance, []string{"sh", "-c", command}, stream)
	if err != nil {
		a.Fatalf("Exec: %v", err)
	}
	return exit
}

func executing(a *at) {
	id := a.one("echo made there > made; exec sleep 1000")
	a.mustExec(id, "while ! test -s made; do sleep 0.01; done", platform.IO{})
	var out, errs bytes.Buffer
	exit := a.mustExec(id, "cat made; echo $COLOR; cat; echo oops >&2; exit 7", platform.IO{
		Stdin: strings.NewReader("in and out"), Stdout: &out, Stderr: &errs,
	})
	if exit != 7 || out.String() != "made there\ngreen\nin and out" || errs.String() != "oops\n" {
		a.Errorf("it exited with %d and said %q and %q", exit, out.String(), errs.String())
	}
	if exit := a.mustExec(id, "kill -TERM $$; sleep 10", platform.IO{}); exit != 128+15 {
		a.Errorf("one that SIGTERM ended exited with %d", exit)
	}
	if exit, err := a.Scheduler.Exec(a.Context(), "blog", id, []string{"no-such-program"}, platform.IO{}); exit != 127 || err != nil {
		a.Errorf("a program that is not there: %d, %v", exit, err)
	}
	if all := a.instances("blog"); len(all) != 1 || all[0].ID != id || all[0].Restarts != 0 {
		a.Errorf("the instance became %+v", all)
	}
}

func executingAtATerminal(a *at) {
	id := a.one("exec sleep 1000")
	resize, signals := make(chan platform.WindowSize, 1), make(chan string, 1)
	var out bytes.Buffer
	said := writerFunc(func(p []byte) (int, error) {
		out.Write(p)
		switch text := out.String(); {
		case strings.HasSuffix(text, "ready\r\n"):
			resize <- platform.WindowSize{Rows: 50, Cols: 132}
		case strings.HasSuffix(text, "50 132\r\n"):
			signals <- "USR1"
		}
		return len(p), nil
	})
	exit := a.mustExec(id, `stty size; trap 'stty size' WINCH; trap 'echo "at $TERM"; exit 9' USR1; echo ready; while :; do sleep 0.01; done`, platform.IO{
		Stdout: said, Signals: signals,
		Terminal: &platform.Terminal{Term: "vt100", Size: platform.WindowSize{Rows: 30, Cols: 90}, Resize: resize},
	})
	got := out.String() // a shell may say besides what the signal did to sleep
	if exit != 9 || !strings.HasPrefix(got, "30 90\r\nready\r\n50 132\r\n") || !strings.HasSuffix(got, "at vt100\r\n") {
		a.Errorf("it exited with %d and said %q", exit, got)
	}
}

func executingUntil(a *at) {
	id := a.one("exec sleep 1000")
	ctx, cancel := context.WithCancel(a.Context())
	defer cancel()
	began := writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
	command := []string{"sh", "-c", "echo $$ > pid; trap '' TERM HUP; echo began; while :; do sleep 0.1; done"}
	if _, err := a.Scheduler.Exec(ctx, "blog", id, command, platform.IO{Stdout: began}); !isOver(err) {
		a.Errorf("Exec = %v", err)
	}
	// What was inside is gone; the instance it was in is not.
	if exit := a.mustExec(id, "while kill -0 $(cat pid); do sleep 0.01; done", platform.IO{}); exit != 0 {
		a.Errorf("looking for it exited with %d", exit)
	}
}

func executingToTheEnd(a *at) {
	id := a.one("exec sleep 1000")
	began := writerFunc(func(p []byte) (int, error) {
		a.apply("blog")
		return len(p), nil
	})
	exit, err := a.Scheduler.Exec(a.Context(), "blog", id, []string{"sh", "-c", "echo began; exec sleep 1000"}, platform.IO{Stdout: began})
	if exit <= 128 || err != nil {
		a.Errorf("in an instance that was taken away: %d, %v", exit, err)
	}
	a.await("blog")
}

func executingNowhere(a *at) {
	id := a.one("exec sleep 1000")
	for name, where := range map[string][2]string{
		"an unknown instance":        {"blog", "blog-worker-0000000000-nobod"},
		"an unknown app":             {"nobody", id},
		"an instance of another app": {"shop", id},
	} {
		a.Run(name, func(t *testing.T) {
			_, err := a.Scheduler.Exec(t.Context(), where[0], where[1], []string{"true"}, platform.IO{})
			if missing, ok := errors.AsType[*platform.NotFoundError](err); !ok || missing.Kind != "Instance" {
				t.Errorf("Exec = %v", err)
			}
		})
	}
	if _, err := a.Scheduler.Exec(a.Context(), "blog", id, nil, platform.IO{}); !errors.Is(err, platform.ErrInvalid) {
		a.Errorf("Exec of nothing = %v", err)
	}
	broken := a.group(2, "worker", 1)
	repository, _, _ := strings.Cut(a.Image, "@")
	broken.Spec.Image = repository + "@sha256:" + strings.Repeat("0", 64)
	a.apply("blog", broken)
	id = a.hears(func(i platform.Instance) bool { return i.State == platform.InstanceError })
	_, err := a.Scheduler.Exec(a.Context(), "blog", id, []string{"true"}, platform.IO{})
	if !errors.Is(err, platform.ErrConflict) || !strings.Contains(err.Error(), "not running") {
		a.Errorf("Exec in an instance that cannot be started = %v", err)
	}
}

// hears waits until an instance of blog is so and returns its id.
func (a *at) hears(so func(platform.Instance) bool) string {
	a.Helper()
	ctx, cancel := context.WithTimeout(a.Context(), patience)
	defer cancel()
	id := ""
	look := func() bool {
		for _, i := range a.instances("blog") {
			if so(i) {
				id = i.ID
			}
		}
		return id != ""
	}
	changes := a.Scheduler.Watch(ctx)
	if look() {
		return id
	}
	for range changes {
		if look() {
			return id
		}
	}
	a.Fatalf("there are %+v", a.instances("blog"))
	return ""
}
