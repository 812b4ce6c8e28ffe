package buildpack_test

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// hook commits a tree whose pre-compile hook is a script.
func hook(t *testing.T, script string) string {
	t.Helper()
	return commit(t, map[string]string{"Procfile": "web: true\n", "bin/pre-compile": "#!/bin/bash\n" + script + "\n"})
}

func TestABrokenProcfileStopsTheBuildBeforeItBegins(t *testing.T) {
	user, out := open(t, nil).fail(t, commit(t, map[string]string{"Procfile": "web: true\nworker python x.py\n", "go.mod": "module x\n"}), nil)
	contains(t, user.Error(), `procfile blog/Procfile is malformed (line 2: "worker python x.py" has no colon after a process type)`, "Write one `type: command` a line")
	if out != "Starting build... but first, coffee!\n" {
		t.Errorf("printed %s", out)
	}
}

func TestATreeThatStartsNothingNamesTheCure(t *testing.T) {
	user, _ := open(t, nil).fail(t, commit(t, map[string]string{"requirements.txt": ""}), nil)
	contains(t, user.Error(), "nothing to run", "Add a file named Procfile")
}

func TestAFailingStepStopsTheBuildWithItsExitCode(t *testing.T) {
	user, out := open(t, nil).fail(t, hook(t, "echo broken; exit 7"), nil)
	contains(t, out, "       broken\n")
	contains(t, user.Error(), "bin/pre-compile failed with exit code 7.")
}

func TestABuildThatTakesTooLongIsStopped(t *testing.T) {
	s := open(t, func(o *options) { o.Timeout = 500 * time.Millisecond })
	user, _ := s.fail(t, hook(t, "(trap '' TERM; sleep 100) & trap '' TERM; while :; do echo x; sleep 0.1; done"), nil)
	contains(t, user.Error(), "it took longer than 500ms")
}

func TestASilentBuildShowsThatItLivesAndIsStopped(t *testing.T) {
	for silence := 5 * time.Second; ; silence *= 2 {
		s := open(t, func(o *options) { o.Heartbeat, o.Silence = 100*time.Millisecond, silence })
		user, out := s.fail(t, hook(t, "echo asking; sleep 1000"), nil)
		contains(t, user.Error(), "it printed nothing for "+silence.String())
		if !strings.Contains(out, "asking") && silence < 5*time.Minute {
			continue // on a busy machine it takes as long to begin
		}
		contains(t, out, "       asking\n...\n...\n")
		return
	}
}

func TestAForkBombHurtsOnlyItsBuild(t *testing.T) {
	s := open(t, func(o *options) { o.Processes = 64; o.Timeout = 3 * time.Second })
	s.fail(t, hook(t, "bomb() { bomb | bomb & }; bomb; sleep 1; exit 1"), nil)
}

func TestABuildThatFillsTheDiskIsStopped(t *testing.T) {
	s := open(t, func(o *options) { o.DiskBytes = 64 << 20 })
	for _, where := range []string{"$PWD", "$HOME", "/tmp", "/tmp/cache"} {
		user, _ := s.fail(t, hook(t, "cd "+where+"; for i in {1..10000}; do head -c 4M /dev/zero >filler-$i; echo $i; sleep 0.01; done"), map[string]string{"SLIPWAY_DISABLE_CACHE": "1"})
		contains(t, user.Error(), "of disk with its cache, 64.0M are allowed", "Make the build write less")
	}
	s = open(t, func(o *options) { o.MinFreeBytes = 1 << 60 })
	user, _ := s.fail(t, hook(t, "sleep 1000"), nil)
	contains(t, user.Error(), "the platform's disk has", "slipway doctor")
}

func TestASlugOfHolesIsRefused(t *testing.T) {
	s := open(t, func(o *options) { o.DiskBytes = 64 << 20 })
	user, _ := s.fail(t, hook(t, "truncate -s 60M hole1 hole2"), nil)
	contains(t, user.Error(), "the slug is too large: app/hole2", ".slugignore")
}

func TestABuildThatEatsMemoryIsStopped(t *testing.T) {
	s := open(t, func(o *options) { o.MemoryBytes = 64 << 20 })
	user, _ := s.fail(t, hook(t, "x=0123456789abcdef; for i in {1..28}; do x=$x$x; done; echo ${#x}"), nil)
	t.Log(user)
	if !strings.Contains(user.Error(), "64.0M of memory") && !strings.Contains(user.Error(), "failed with exit code") {
		t.Error(user)
	}
}

func TestACancelledBuildIsKilledWhole(t *testing.T) {
	s := open(t, nil)
	r, _ := ask(t, hook(t, "sleep 1000 & echo begun; wait"), nil)
	read, write := io.Pipe()
	r.Output = write
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := s.Build(ctx, r)
		_ = write.Close()
		ended <- err
	}()
	buffer := make([]byte, 4096)
	for seen := ""; !strings.Contains(seen, "begun"); {
		n, err := read.Read(buffer)
		if err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
		seen += string(buffer[:n])
	}
	go func() { _, _ = io.Copy(io.Discard, read) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	s.clean(t)
}

func TestABuildSeesNothingOfThePlatform(t *testing.T) {
	t.Setenv("SLIPWAY_DATABASE_PASSWORD", "do-not-show")
	s := open(t, nil)
	state := filepath.Join(s.dir, "state")
	if err := os.WriteFile(state, []byte("do-not-show"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, out := s.build(t, hook(t, `
id -u; env
cat `+state+` 2>&1
grep -l do-not-show /proc/*/environ 2>/dev/null
ls /root /home /var/lib 2>&1
ls -d /proc/[0-9]* | wc -l
exit 0
`), nil)
	if strings.Contains(out, "do-not-show") || strings.Contains(out, password) {
		t.Errorf("a secret is told:\n%s", out)
	}
	if os.Geteuid() == 0 {
		contains(t, out, "       64873\n")
	}
}

func TestATreesLinksLeadTheBuilderNowhere(t *testing.T) {
	s := open(t, nil)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("web: do-not-show\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	user, _ := s.fail(t, hook(t, "rm Procfile; ln -s "+secret+" Procfile"), nil)
	contains(t, user.Error(), "procfile blog/Procfile is malformed")
	user, _ = s.fail(t, hook(t, "rm Procfile; mkfifo Procfile"), nil)
	contains(t, user.Error(), "it is not a regular file")
	user, _ = s.fail(t, hook(t, "ln -s "+secret+" .slugignore"), nil)
	contains(t, user.Error(), ".slugignore cannot be read inside the tree")

	result, _ := s.build(t, hook(t, "ln -s "+secret+" link; mkfifo pipe; chmod 000 Procfile; mkdir closed; chmod 000 closed; chmod u+s bin/pre-compile"), nil)
	files := s.files(t, result.Image)
	if files["app/link"] != secret || files["app/pipe"] != "" {
		t.Errorf("%v", files)
	}
}

func TestSlugignoreKeepsFilesOutOfTheSlug(t *testing.T) {
	s := open(t, nil)
	result, _ := s.build(t, commit(t, map[string]string{
		"Procfile": "web: true\n", ".slugignore": "# comment\n*.psd\n/docs\ntest/\n",
		"a.psd": "x", "deep/b.psd": "x", "docs/x": "x", "deep/docs/x": "x", "test/x": "x", "deep/test/x": "x", "kept": "x",
	}), nil)
	files := s.files(t, result.Image)
	for _, gone := range []string{"a.psd", "deep/b.psd", "docs/x", "test/x", "deep/test/x"} {
		if _, ok := files["app/"+gone]; ok {
			t.Errorf("%s is in the slug", gone)
		}
	}
	for _, kept := range []string{"kept", "deep/docs/x", "Procfile"} {
		if _, ok := files["app/"+kept]; !ok {
			t.Errorf("%s is not in the slug", kept)
		}
	}
}

func TestMuchOutputIsBounded(t *testing.T) {
	_, out := open(t, nil).build(t, hook(t, `head -c 1000000 /dev/zero | tr '\0' x; echo; printf 'a\rb\033[2J\033[31mred\033[0m\n'`), nil)
	if len(out) > 20_000 {
		t.Errorf("%d bytes", len(out))
	}
	contains(t, out, "xxx …\n", "       b[2J\x1b[31mred\x1b[0m\n")
}

func TestAUserErrorIsOfAKindTheDoorsKnow(t *testing.T) {
	user, _ := open(t, nil).fail(t, commit(t, map[string]string{"x": ""}), nil)
	if !errors.Is(user, platform.ErrInvalid) {
		t.Errorf("%v", user.Kind)
	}
}

// TestBuildAndDie is the process TestANewProcessEndsTheBuildsOfADeadOne kills.
func TestBuildAndDie(t *testing.T) {
	dir := os.Getenv("TEST_BUILD_AND_DIE")
	if dir == "" {
		t.Skip("runs as a child only")
	}
	s := open(t, func(o *options) { o.Dir = dir })
	r, _ := ask(t, hook(t, "echo begun; sleep 1000"), nil)
	r.Output = os.Stderr
	_, _ = s.Build(t.Context(), r)
}

func TestANewProcessEndsTheBuildsOfADeadOne(t *testing.T) {
	dir := filepath.Join(publicDir(t), "buildpacks")
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBuildAndDie$")
	child.Env = append(os.Environ(), "TEST_BUILD_AND_DIE="+dir, "TMPDIR="+publicDir(t))
	said, err := child.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	seen := make([]byte, 0, 4096)
	for !strings.Contains(string(seen), "begun") {
		n, err := said.Read(seen[len(seen):cap(seen)])
		if seen = seen[:len(seen)+n]; err != nil {
			t.Fatalf("%v after %s", err, seen)
		}
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	if os.Geteuid() == 0 && len(buildProcesses(t)) == 0 {
		t.Fatal("the build died with its platform: nothing to test")
	}
	s := open(t, func(o *options) { o.Dir = dir })
	if pids := buildProcesses(t); len(pids) > 0 {
		t.Errorf("still running: %v", pids)
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "work")); err != nil || len(entries) > 0 {
		t.Errorf("left: %v %v", entries, err)
	}
	s.build(t, hook(t, "true"), nil)
}
