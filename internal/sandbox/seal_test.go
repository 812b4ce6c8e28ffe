package sandbox_test

import (
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/sandbox"
)

// A program that is started with it says so once on its standard error.
const preload = "LD_PRELOAD=/nowhere/planted.so"

func TestOnlyTheCommandSeesItsEnvironment(t *testing.T) {
	modes(t, func(t *testing.T, s *sandbox.Sandbox) {
		out, exit := run(t, s, sandbox.Process{Argv: []string{"true"}, Env: append(slices.Clone(environment), preload)})
		if n := strings.Count(out, "planted.so"); n != 1 || exit.Code != 0 {
			t.Errorf("%d programs loaded what the app named, not the command alone; exit %d, printed %q", n, exit.Code, out)
		}
	})
}

func TestOnlyAnEnteredCommandSeesItsEnvironment(t *testing.T) {
	modes(t, func(t *testing.T, s *sandbox.Sandbox) {
		c, err := s.Start(sandbox.Process{
			Name: "test-host", Argv: []string{"sleep", "600"}, Env: environment, UID: uid, Status: filepath.Join(t.TempDir(), "status"),
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Kill()
		var out strings.Builder
		var pipes sandbox.Pipes
		defer pipes.Close()
		p := sandbox.Process{Name: "test-guest", Argv: []string{"true"}, Env: append(slices.Clone(environment), preload)}
		if err := pipes.Connect(&p, sandbox.Streams{Stdout: &out, Stderr: &out}); err != nil {
			t.Fatal(err)
		}
		entered, err := s.Enter(c, p)
		pipes.Started()
		if err != nil {
			t.Fatal(err)
		}
		exit, err := entered.Wait(t.Context())
		pipes.Drain()
		if n := strings.Count(out.String(), "planted.so"); n != 1 || exit.Code != 0 || err != nil {
			t.Errorf("%d programs loaded what the app named, not the command alone; exit %+v, %v, printed %q", n, exit, err, out.String())
		}
	})
}

func TestAnEnvironmentArrivesAsItWasGiven(t *testing.T) {
	modes(t, func(t *testing.T, s *sandbox.Sandbox) {
		env := []string{"PATH=/usr/bin:/bin", "EMPTY=", "TEXT= two\nlines \"$PATH\" ${PATH} '\\t # ", "odd.name-x=1", "OPTIND=x", "BASH_FUNC_echo%%=() { :; }", "LONG=" + strings.Repeat("x", 100_000)}
		out, exit := run(t, s, sandbox.Process{Argv: []string{"env", "--null"}, Env: env})
		got := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
		slices.Sort(got)
		slices.Sort(env)
		if !slices.Equal(got, env) || exit.Code != 0 {
			t.Errorf("got %.400q, want %.400q, exit %d", got, env, exit.Code)
		}
	})
}

func TestACommandMayHaveAnEqualsSignInItsName(t *testing.T) {
	modes(t, func(t *testing.T, s *sandbox.Sandbox) {
		_, exit := run(t, s, sandbox.Process{Argv: []string{"/no/such=program"}})
		if exit.Code != 127 {
			t.Errorf("exit %d, want 127", exit.Code)
		}
	})
}

func TestTheEnvironmentOfARunningCommandIsItsOwn(t *testing.T) {
	s := sandbox.New(t.Context(), slog.New(slog.DiscardHandler))
	c, err := s.Start(sandbox.Process{
		Name: "test-environ", Argv: []string{"sleep", "600"}, Env: environment, UID: uid, Status: filepath.Join(t.TempDir(), "status"),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Kill()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if seen := c.Environ(); seen != nil {
			if !slices.Equal(seen, environment) {
				t.Errorf("got %q, want %q", seen, environment)
			}
			return
		}
	}
	t.Skip("it cannot be seen here")
}
