package sandbox_test

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// root makes a root file system of a few of the machine's programs.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipway-root-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	var files []string
	for _, name := range []string{"sh", "cat", "touch", "ls", "id", "sleep", "grep", "tr"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
		// ldd exits with 1 for a static program.
		libraries, _ := exec.CommandContext(t.Context(), "ldd", path).Output()
		for word := range strings.FieldsSeq(string(libraries)) {
			if strings.HasPrefix(word, "/") {
				files = append(files, word)
			}
		}
	}
	if self, err := exec.CommandContext(t.Context(), "ldd", os.Args[0]).Output(); err == nil { // the test itself, where it was built with cgo
		for word := range strings.FieldsSeq(string(self)) {
			if strings.HasPrefix(word, "/") {
				files = append(files, word)
			}
		}
	}
	for _, path := range files {
		put(t, filepath.Join(dir, path), read(t, path), 0o755)
	}
	put(t, dir+"/etc/passwd", "root:x:0:0::/:\ncnb:x:299999:299999::/home:\n", 0o644)
	put(t, dir+"/only-here", "of the image\n", 0o644)
	put(t, dir+"/run/hidden", "", 0o644)
	if err := os.Symlink("only-here", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := sandbox.FurnishRoot(dir, "/deep/er"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// spaces is a sandbox with namespaces.
func spaces(t *testing.T) *sandbox.Sandbox {
	t.Helper()
	s := sandbox.New(t.Context(), slog.New(slog.DiscardHandler))
	if s.Offer().Isolation != platform.IsolationSandbox {
		t.Skipf("no namespaces here: %v", s.Offer().Missing)
	}
	return s
}

func TestARootStandsInForTheMachine(t *testing.T) {
	s, dir, mount := spaces(t), root(t), tree(t)
	mount.Scratch, mount.Writable, mount.Target = "", true, "/workspace"
	deep := mount
	deep.Target, deep.Writable = "/deep/er", false
	out, exit := run(t, s, sandbox.Process{
		Root: dir, Dir: "/workspace", Mounts: []sandbox.Mount{mount, deep},
		Argv: shell(`cat /link /deep/er/file; grep cnb /etc/passwd; ls / | tr '\n' ' '; ls /run; cat /etc/resolv.conf > /dev/null && touch new /tmp/x && echo wrote
for path in /only-here /etc/passwd /deep/er/file /x; do touch $path 2>/dev/null && echo "$path is writable"; done; cat /etc/hosts`),
	})
	want := "of the image\noriginal\ncnb:x:299999:299999::/home:\n"
	if !strings.HasPrefix(out, want) || !strings.HasSuffix(out, "wrote\n"+read(t, "/etc/hosts")) || exit.Code != 0 {
		t.Errorf("exit %+v, printed %q", exit, out)
	}
	for _, bad := range []string{"home", "root ", "hidden", "is writable"} {
		if strings.Contains(strings.TrimPrefix(out, want), bad) {
			t.Errorf("%q tells of %s", out, bad)
		}
	}
	if _, err := os.Stat(filepath.Join(mount.Source, "new")); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir + "/workspace"); err == nil {
		t.Error("the root has what was mounted")
	}
}

func TestInARootNothingIsPrivilegedAndTheEnvironmentArrives(t *testing.T) {
	s, dir := spaces(t), root(t)
	env := []string{"PATH=/usr/bin:/bin", "TEXT= two\nlines $PATH", "EMPTY=", "LD_PRELOAD=/nowhere/planted.so"}
	out, exit := run(t, s, sandbox.Process{
		Root: dir, Env: env,
		Argv: shell(`echo; tr '\0' '|' < /proc/self/environ; echo; ls /proc/self/fd | tr '\n' ' '; grep -E '^(NoNewPrivs|Cap...|Groups|Uid|Gid):' /proc/self/status`),
	})
	if exit.Code != 0 || !strings.Contains(out, strings.Join(env, "|")+"|") || !strings.Contains(out, "\n0 1 2 3 ") || strings.Contains(out, " 4 ") {
		t.Errorf("exit %+v, printed %q", exit, out)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root has privileges to lose")
	}
	for _, want := range []string{"NoNewPrivs:\t1\n", "Groups:\t \n", "Uid:\t299999\t299999\t299999\t299999\n", "Gid:\t299999\t299999\t299999\t299999\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q lacks %q", out, want)
		}
	}
	if n := strings.Count(out, ":\t0000000000000000\n"); n != 5 {
		t.Errorf("%d of 5 sets of capabilities are empty: %q", n, out)
	}
}

func TestAProgramTheRootLacksIsTold(t *testing.T) {
	if out, exit := run(t, spaces(t), sandbox.Process{Root: root(t), Argv: []string{"perl"}}); exit.Code != 127 || !strings.Contains(out, "perl") {
		t.Errorf("exit %+v, printed %q", exit, out)
	}
}

func TestARootLeadsNoMountAstray(t *testing.T) {
	s, dir := spaces(t), root(t)
	outside := t.TempDir()
	for _, name := range []string{"/workspace", "/deep/link"} {
		if err := os.Symlink(outside, dir+name); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	put(t, file, "", 0o644)
	for _, c := range []struct{ root, target, want string }{
		{dir, "/workspace", "/workspace of the root is a link"},
		{dir, "/deep/link/x", "/deep/link of the root is a link"},
		{dir, "/deep/none", "the root has no /deep/none"},
		{dir, "/", "mounts"},
		{dir, sandbox.Self, "mounts"},
		{file, "/x", "is no directory"},
		{"relative", "/x", "root"},
	} {
		_, err := s.Start(sandbox.Process{
			Name: "test-astray", UID: uid, Argv: []string{"true"}, Status: filepath.Join(t.TempDir(), "status"),
			Root: c.root, Mounts: []sandbox.Mount{{Source: outside, Target: c.target}},
		}, nil)
		if !errors.Is(err, sandbox.ErrDescription) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s at %s: %v, want %q", c.root, c.target, err, c.want)
		}
	}
	if err := sandbox.FurnishRoot(dir, "/workspace/x"); err == nil {
		t.Error("a root was furnished through a link")
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("outside: %v %v", left, err)
	}
}

func TestWithoutNamespacesThereIsNoRoot(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	s := sandbox.With(log, sandbox.Detect(t.Context(), log).Plain())
	_, err := s.Start(sandbox.Process{Name: "test-plain", UID: uid, Argv: []string{"true"}, Status: filepath.Join(t.TempDir(), "status"), Root: root(t)}, nil)
	if !errors.Is(err, sandbox.ErrDescription) || !strings.Contains(err.Error(), "namespaces") {
		t.Error(err)
	}
}

// A platform that dies keeps the handle; the next one ends what it finds.
func TestARootedProcessIsFoundAgainAndLeavesNothing(t *testing.T) {
	s, dir := spaces(t), root(t)
	c, err := s.Start(sandbox.Process{
		Name: "test-rooted", UID: uid, Root: dir, Env: environment, Status: filepath.Join(t.TempDir(), "status"),
		Argv: shell("(sleep 1000) & sleep 1000"), Limits: platform.Limits{MemoryBytes: 64 << 20},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Enter(c, sandbox.Process{Name: "test-guest", Argv: []string{"id"}}); !errors.Is(err, sandbox.ErrDescription) {
		t.Errorf("entered: %v", err)
	}
	c.Leave()
	again, _, err := s.Adopt(c.Handle())
	if err != nil {
		t.Fatal(err)
	}
	again.Kill()
	if err := unix.Kill(c.Pid(), 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("%d: %v", c.Pid(), err)
	}
	for _, group := range c.Handle().Cgroups {
		if _, err := os.Stat(group); err == nil {
			t.Errorf("%s is left", group)
		}
	}
	if mounts := strings.Split(read(t, "/proc/self/mountinfo"), "\n"); slices.ContainsFunc(mounts, func(line string) bool { return strings.Contains(line, dir) }) {
		t.Errorf("something of %s is mounted", dir)
	}
}
