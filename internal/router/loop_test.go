package router_test

import (
	"os"
	"os/exec"
	"testing"
)

// TestEverythingHoldsByLoopsToo runs all tests once more, with routers that
// lead plain HTTP/1.1 by loops.
func TestEverythingHoldsByLoopsToo(t *testing.T) {
	if os.Getenv(loopsEnv) != "" {
		t.Skip("these are they")
	}
	args := []string{"-test.count=1"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	again := exec.CommandContext(t.Context(), os.Args[0], args...)
	again.Env = append(os.Environ(), loopsEnv+"=1")
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}
