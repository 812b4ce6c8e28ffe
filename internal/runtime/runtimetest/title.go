package runtimetest

import (
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

// execAfterTitle: programs such as Redis write a title over their environment.
func execAfterTitle(t *testing.T, m Machine) {
	h, _ := open(t, m)
	s := h.spec(`exec perl -e '$| = 1; $0 = "x" x 20000; print "ready\n"; sleep 1000'`)
	s.Spec.Env["COLOR"] = "green"
	h.printed(h.start(s), "ready")
	var out output
	code, err := h.r.Exec(h.ctx, s.ID, []string{"sh", "-c", `echo "$COLOR at $HOME"`}, platform.IO{Stdout: &out, Stderr: &out})
	if code != 0 || err != nil || len(out.String()) < len("green at /") || out.String()[:9] != "green at " {
		t.Errorf("Exec: %d, %v, %q", code, err, out.String())
	}
}
