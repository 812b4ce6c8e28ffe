package sandbox_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/leaktest"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sandbox.BeginVerb {
		os.Exit(sandbox.Begin(os.Args[2:]))
	}
	leaktest.Main(m)
}

const uid = 299_999

var environment = []string{"PATH=/usr/bin:/bin", "HOME=/app"}

// modes are the sandboxes this machine can be made to offer.
func modes(t *testing.T, check func(t *testing.T, s *sandbox.Sandbox)) {
	log := slog.New(slog.DiscardHandler)
	best := sandbox.Detect(t.Context(), log)
	for _, mode := range []struct {
		name  string
		offer sandbox.Offer
	}{{"best", best}, {"plain", best.Plain()}} {
		t.Run(mode.name, func(t *testing.T) { check(t, sandbox.With(log, mode.offer)) })
	}
}

// tree makes a folder with one file that belongs to uid, and a scratch folder.
func tree(t *testing.T) (mount sandbox.Mount) {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipway-sandbox-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	mount = sandbox.Mount{Source: filepath.Join(dir, "tree, with:signs"), Target: "/app", Scratch: filepath.Join(dir, "scratch")}
	for _, path := range []string{mount.Source, mount.Scratch} {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(mount.Source, "file")
	if err := os.WriteFile(file, []byte("original\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		for _, path := range []string{mount.Source, mount.Scratch, file} {
			if err := os.Chown(path, uid, uid); err != nil {
				t.Fatal(err)
			}
		}
	}
	return mount
}

func run(t *testing.T, s *sandbox.Sandbox, p sandbox.Process) (string, sandbox.Exit) {
	t.Helper()
	var out strings.Builder
	p.Name, p.UID = "test-"+strings.ToLower(filepath.Base(t.Name())), uid
	if p.Env == nil {
		p.Env = environment
	}
	exit, err := s.Run(t.Context(), p, sandbox.Streams{Stdout: &out, Stderr: &out})
	if err != nil {
		t.Fatalf("run: %v, printed %q", err, out.String())
	}
	return out.String(), exit
}

func shell(script string) []string { return []string{"sh", "-c", script} }

func TestChangesGoToScratchAndNotToTheSource(t *testing.T) {
	modes(t, func(t *testing.T, s *sandbox.Sandbox) {
		mount := tree(t)
		out, exit := run(t, s, sandbox.Process{
			Argv: shell(`cat file; echo changed > file; echo new > "$HOME/new"; cat file new`), Dir: "/app", Mounts: []sandbox.Mount{mount},
		})
		if out != "original\nchanged\nnew\n" || exit.Code != 0 {
			t.Errorf("printed %q, exit %+v", out, exit)
		}
		if text, _ := os.ReadFile(filepath.Join(mount.Source, "file")); string(text) != "original\n" {
			t.Errorf("the source holds %q", text)
		}
	})
}

func TestAWritableMountIsWrittenThroughAndAReadOnlyOneIsNot(t *testing.T) {
	modes(t, func(t *testing.T, s *sandbox.Sandbox) {
		mount := tree(t)
		mount.Scratch, mount.Writable = "", true
		if out, exit := run(t, s, sandbox.Process{Argv: []string{"cp", "/app/file", "/app/copy"}, Mounts: []sandbox.Mount{mount}}); exit.Code != 0 {
			t.Errorf("printed %q, exit %+v", out, exit)
		}
		if _, err := os.Stat(filepath.Join(mount.Source, "copy")); err != nil {
			t.Error(err)
		}
		if s.Offer().Isolation != platform.IsolationSandbox {
			t.Skip("without a mount namespace only the file's owner keeps it")
		}
		mount.Writable = false
		if _, exit := run(t, s, sandbox.Process{Argv: []string{"touch", "/app/file"}, Mounts: []sandbox.Mount{mount}}); exit.Code == 0 {
			t.Error("a read-only mount was written to")
		}
	})
}

func TestItHoldsNoPrivilegeAndNoDescriptorOfThePlatform(t *testing.T) {
	modes(t, func(t *testing.T, s *sandbox.Sandbox) {
		out, _ := run(t, s, sandbox.Process{Argv: shell(`grep -E '^(NoNewPrivs|CapEff|CapBnd|CapPrm|Groups)' /proc/self/status; id -u; ls /proc/self/fd | wc -l; ulimit -c`)})
		if os.Geteuid() != 0 {
			t.Skip("only root has privileges to lose")
		}
		lines := strings.Fields(out)
		for _, want := range []string{"299999", "4", "0"} { // ls itself has the fourth open
			if !slices.Contains(lines, want) {
				t.Errorf("%q lacks %s", out, want)
			}
		}
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "Cap") && strings.Trim(strings.Fields(line)[1], "0") != "" {
				t.Errorf("it has capabilities: %s", line)
			}
		}
	})
}

func TestTheMachineIsHiddenAndProgramsWork(t *testing.T) {
	s := sandbox.New(t.Context(), slog.New(slog.DiscardHandler))
	if s.Offer().Isolation != platform.IsolationSandbox {
		t.Skipf("no namespaces here: %v", s.Offer().Missing)
	}
	out, exit := run(t, s, sandbox.Process{Argv: shell(`ls -d /root /home /work /var/lib /sys; ls / | tr '\n' ' '; cat /etc/resolv.conf >/dev/null && echo dns; whoami; touch /tmp/x /dev/shm/x /var/tmp/y && echo temp; touch /usr/x /etc/x /x; grep -c . /proc/1/environ; perl -e 'print "perl\n"'`)})
	for _, bad := range []string{"/root\n", "/home\n", "/var/lib\n", "/sys\n"} {
		if strings.HasPrefix(out, bad) || strings.Contains(out, "\n"+bad) {
			t.Errorf("it sees %s: %q", bad, out)
		}
	}
	for _, want := range []string{"dns\n", "app\n", "temp\n", "perl\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q lacks %q, exit %+v", out, want, exit)
		}
	}
}

func TestWithoutANetworkEvenLoopbackIsClosed(t *testing.T) {
	s := sandbox.New(t.Context(), slog.New(slog.DiscardHandler))
	if s.Offer().Isolation != platform.IsolationSandbox {
		t.Skipf("no namespaces here: %v", s.Offer().Missing)
	}
	out, _ := run(t, s, sandbox.Process{Argv: shell("cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '"), OwnNetwork: true})
	if out != "lo\n" {
		t.Errorf("it has %q", out)
	}
}

func TestAnIdleProcessYieldsToEverybody(t *testing.T) {
	modes(t, func(t *testing.T, s *sandbox.Sandbox) {
		if out, _ := run(t, s, sandbox.Process{Argv: shell("nice; ionice"), Idle: true}); out != "19\nidle\n" {
			t.Errorf("its priorities are %q", out)
		}
	})
}

func TestItGoesBeforeThePlatformWhenMemoryIsFull(t *testing.T) {
	modes(t, func(t *testing.T, s *sandbox.Sandbox) {
		if out, _ := run(t, s, sandbox.Process{Argv: shell("cat /proc/self/oom_score_adj")}); out != "500\n" {
			t.Errorf("its score is %q", out)
		}
	})
}

func TestAFileStaysUnderItsBound(t *testing.T) {
	modes(t, func(t *testing.T, s *sandbox.Sandbox) {
		_, exit := run(t, s, sandbox.Process{
			Argv: []string{"head", "-c", "200000", "/dev/zero"}, MaxFileBytes: 1 << 20,
		})
		if exit.Code != 0 {
			t.Errorf("a pipe was bounded: %+v", exit)
		}
		mount := tree(t)
		out, exit := run(t, s, sandbox.Process{
			Argv: []string{"dd", "if=/dev/zero", "of=/app/big", "bs=64k", "count=64"}, MaxFileBytes: 1 << 20, Mounts: []sandbox.Mount{mount},
		})
		_ = out
		if exit.Code == 0 {
			t.Error("4 MiB were written against a bound of one")
		}
	})
}

func TestAMemoryLimitKillsAndIsTold(t *testing.T) {
	modes(t, func(t *testing.T, s *sandbox.Sandbox) {
		if s.Offer().Cgroup == sandbox.CgroupNone {
			t.Skipf("%v", s.Offer().Missing)
		}
		_, exit := run(t, s, sandbox.Process{
			Argv:   []string{"perl", "-e", `my @all; push @all, "x" x 1048576 while 1`},
			Limits: platform.Limits{MemoryBytes: 32 << 20},
		})
		if exit.Code != 137 || !exit.OutOfMemory {
			t.Errorf("it ended as %+v", exit)
		}
	})
}

func TestACancelledRunLeavesNothing(t *testing.T) {
	modes(t, func(t *testing.T, s *sandbox.Sandbox) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := s.Run(ctx, sandbox.Process{
			Name: "test-cancelled", UID: uid, Env: environment,
			Argv: shell(`trap '' TERM; (trap '' TERM; sleep 1000) & sleep 1000`),
		}, sandbox.Streams{})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		for _, dir := range []string{"/sys/fs/cgroup/pids/slipway/test-cancelled", "/sys/fs/cgroup/slipway/test-cancelled"} {
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s is left", dir)
			}
		}
	})
}

func TestAProcessThatIsNotRecordedNeverBegins(t *testing.T) {
	modes(t, func(t *testing.T, s *sandbox.Sandbox) {
		mount := tree(t)
		mount.Scratch, mount.Writable = "", true
		full := errors.New("disk full")
		_, err := s.Start(sandbox.Process{
			Name: "test-unrecorded", UID: uid, Env: environment, Argv: []string{"touch", "/app/ran"},
			Mounts: []sandbox.Mount{mount}, Status: filepath.Join(t.TempDir(), "status"),
		}, func(h sandbox.Handle) error {
			if h.Pid == 0 || h.Start == 0 || h.Boot == "" {
				t.Errorf("recorded %+v", h)
			}
			return full
		})
		if !errors.Is(err, full) {
			t.Errorf("Start: %v", err)
		}
		if _, err := os.Stat(filepath.Join(mount.Source, "ran")); err == nil {
			t.Error("it ran")
		}
	})
}

func TestAProcessIsAdoptedWithItsExitCode(t *testing.T) {
	modes(t, func(t *testing.T, s *sandbox.Sandbox) {
		status := filepath.Join(t.TempDir(), "status")
		ready, its, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer ready.Close()
		c, err := s.Start(sandbox.Process{
			Name: "test-adopted", UID: uid, Env: environment, Stdout: its, Status: status,
			Argv: shell("trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done"),
		}, nil)
		its.Close()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ready.Read(make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		c.Leave()
		again, _, err := s.Adopt(c.Handle())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		again.Terminate(ctx)
		if exit := again.Exit(); exit.Code != 9 {
			t.Errorf("it ended as %+v", exit)
		}
		if _, exit, err := s.Adopt(c.Handle()); !errors.Is(err, sandbox.ErrGone) || exit.Code != 9 {
			t.Errorf("adopted after its end: %+v, %v", exit, err)
		}
		stranger := c.Handle()
		stranger.Pid, stranger.Status = os.Getpid(), ""
		if _, exit, err := s.Adopt(stranger); !errors.Is(err, sandbox.ErrGone) || exit.Code != -1 {
			t.Errorf("another process with the same pid was adopted: %+v, %v", exit, err)
		}
	})
}

func TestABadDescriptionIsRefused(t *testing.T) {
	s := sandbox.New(t.Context(), slog.New(slog.DiscardHandler))
	good := sandbox.Process{Name: "test-bad", UID: uid, Argv: []string{"true"}, Status: filepath.Join(t.TempDir(), "status")}
	for what, spoil := range map[string]func(*sandbox.Process){
		"name":       func(p *sandbox.Process) { p.Name = "../up" },
		"no name":    func(p *sandbox.Process) { p.Name = "" },
		"no command": func(p *sandbox.Process) { p.Argv = nil },
		"zero byte":  func(p *sandbox.Process) { p.Env = []string{"A=\x00"} },
		"no status":  func(p *sandbox.Process) { p.Status = "" },
		"relative":   func(p *sandbox.Process) { p.Mounts = []sandbox.Mount{{Source: "x", Target: "/x"}} },
		"terminal":   func(p *sandbox.Process) { p.Terminal = true },
		"missing mount": func(p *sandbox.Process) {
			p.Mounts = []sandbox.Mount{{Source: "/no/such", Target: "/x", Scratch: t.TempDir()}}
		},
	} {
		p := good
		spoil(&p)
		if c, err := s.Start(p, nil); err == nil {
			c.Kill()
			t.Errorf("%s: started", what)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	s := sandbox.New(b.Context(), slog.New(slog.DiscardHandler))
	p := sandbox.Process{Name: "bench", UID: uid, Env: environment, Argv: []string{"sleep", "1000"}, Status: filepath.Join(b.TempDir(), "status")}
	for b.Loop() {
		c, err := s.Start(p, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		c.Kill()
		b.StartTimer()
	}
}
