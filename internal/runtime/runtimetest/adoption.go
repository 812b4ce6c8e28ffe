package runtimetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

func adopt(t *testing.T, m Machine) {
	image := m.Image(t, nil)
	stays := spec("blog", image, `echo began; trap 'echo finishing; exit 5' TERM; while :; do sleep 0.05; done`)
	stays.Spec.Port = true
	stays.Spec.Env["SECRET"] = "kept\nover"
	leaves := spec("blog", image, `while test ! -e "$TMPDIR/go"; do sleep 0.01; done; exit 9`)
	m.StartAndDie(t, stays, leaves)

	h, adopted := open(t, m)
	for _, running := range adopted {
		h.stopAtEnd(running.Spec.ID)
	}
	find := func(id string) runtime.Running {
		i := slices.IndexFunc(adopted, func(r runtime.Running) bool { return r.Spec.ID == id })
		if i < 0 {
			t.Fatalf("%s was not adopted: %+v", id, adopted)
		}
		return adopted[i]
	}
	kept := find(stays.ID)
	find(leaves.ID)
	if kept.Spec.Spec.Env["SECRET"] != "kept\nover" || kept.Address == "" || kept.Started.IsZero() || kept.Output == "" {
		t.Errorf("adopted as %+v", kept)
	}
	h.printed(kept, "began")
	if _, err := h.r.Start(h.ctx, stays); err == nil {
		t.Error("an adopted instance was started again")
	}
	var out output
	// Its own exit code is 0, or 137 when the instance was quicker to leave.
	if _, err := h.r.Exec(h.ctx, leaves.ID, []string{"bash", "-c", `touch "$TMPDIR/go"`}, platform.IO{Stdout: &out, Stderr: &out}); err != nil {
		t.Fatalf("Exec after adoption: %v, %q", err, out.String())
	}
	if exit := h.exit(leaves.ID); exit.Code != 9 {
		t.Errorf("it ended as %+v, want its exit code", exit)
	}
	h.stop(stays.ID, patience)
	if exit := h.exit(stays.ID); exit.Code != 5 {
		t.Errorf("it ended as %+v, want its exit code", exit)
	}
	if text := h.printed(kept, "finishing"); !strings.HasPrefix(text, "began") {
		t.Errorf("the output is %q", text)
	}
}

func adoptEnded(t *testing.T, m Machine) {
	image := m.Image(t, nil)
	s := spec("blog", image, `echo last words; exit 6`)
	m.StartAndDie(t, s)
	// It may take a moment more to end; then its end is told like any other.
	h, _ := open(t, m)
	if exit := h.exit(s.ID); exit.Code != 6 {
		t.Errorf("it ended as %+v, want its exit code", exit)
	}
	h.leave() // an end is told until its watcher has come back for more
	next, adopted := open(t, m)
	if len(adopted) != 0 {
		t.Errorf("%v was adopted although it ended", adopted)
	}
	next.noExit()
	running := next.start(s)
	next.exit(s.ID)
	if out := next.printed(running, "last words\nlast words"); out == "" {
		t.Error("the output of the life before is gone")
	}
}
