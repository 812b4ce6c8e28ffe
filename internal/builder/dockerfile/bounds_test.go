package dockerfile_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/slipway-paas/slipway/internal/builder/dockerfile"
	"github.com/slipway-paas/slipway/internal/platform"
)

// nothingLeft fails when a build left a process with that word in its command
// line, a control group, an interface or a rule.
func nothingLeft(t *testing.T, s *shop, word string) {
	t.Helper()
	if pid := find(word); pid != 0 {
		t.Errorf("process %d is left", pid)
	}
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/*slipway/dockerfile-" + dockerfile.ID(s.dir) + "-*")
	below, _ := filepath.Glob("/sys/fs/cgroup/*/*/slipway/dockerfile-" + dockerfile.ID(s.dir) + "-*")
	deeper, _ := filepath.Glob("/sys/fs/cgroup/*/*/*/slipway/dockerfile-" + dockerfile.ID(s.dir) + "-*")
	if left := append(append(groups, below...), deeper...); len(left) > 0 {
		t.Errorf("groups are left: %q", left)
	}
	links, err := platform.Uninterrupted(netlink.LinkList)
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if strings.Contains(link.Attrs().Name, dockerfile.ID(s.dir)) {
			t.Errorf("interface %s is left", link.Attrs().Name)
		}
	}
	for _, table := range []string{"nat", "filter"} {
		rules, err := exec.CommandContext(t.Context(), "iptables", "-w", "-t", table, "-S").Output()
		if err != nil || strings.Contains(string(rules), dockerfile.ID(s.dir)) {
			t.Errorf("%v, rules are left:\n%s", err, rules)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), s.dir) {
		t.Errorf("%v, mounts are left:\n%s", err, mounts)
	}
}

// find is the pid of a process with that word in its command line, or 0.
func find(word string) int {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if line, err := os.ReadFile("/proc/" + entry.Name() + "/cmdline"); err == nil && strings.Contains(string(line), word) {
			return pid
		}
	}
	return 0
}

// parent is the pid of the parent of a process.
func parent(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	number, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func wants(t *testing.T, err error, kind error, words ...string) {
	t.Helper()
	var user *platform.UserError
	if !errors.As(err, &user) || !errors.Is(user.Kind, kind) || user.Cure == "" {
		t.Errorf("%v is no error of the user with a cure", err)
		return
	}
	for _, word := range words {
		if !strings.Contains(user.Message+"\n"+user.Cure, word) {
			t.Errorf("%q lacks %q", user.Message+"\n"+user.Cure, word)
		}
	}
}

func TestADockerfileThatRunsForEverEndsAfterTheTimeout(t *testing.T) {
	s := open(t, func(o *dockerfile.Options) { o.Timeout = 5 * time.Second })
	_, out, err := s.build(t, "blog", map[string]string{"Dockerfile": "FROM debian:bookworm\nRUN (sleep 7654321 & true); echo begun; tail -f /dev/null\n"}, nil)
	wants(t, err, platform.ErrInvalid, "it took longer than 5s", "Make the build do less")
	if !strings.Contains(out, "Build pod exited with code 1, stopping build.") {
		t.Error("it does not say that it stopped")
	}
	nothingLeft(t, s, "7654321")
}

func TestADockerfileThatSaysNothingEndsAfterTheSilence(t *testing.T) {
	s := open(t, func(o *dockerfile.Options) { o.Silence = 3 * time.Second })
	_, _, err := s.build(t, "blog", map[string]string{"Dockerfile": "FROM debian:bookworm\nRUN sleep 7654322\n"}, nil)
	wants(t, err, platform.ErrInvalid, "printed nothing for 3s")
	nothingLeft(t, s, "7654322")
}

func TestACancelledBuildLeavesNothing(t *testing.T) {
	s := open(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	out := &lines{t: t, see: func(text string) {
		if strings.Contains(text, "begun 1") {
			cancel()
		}
	}}
	_, err := s.Build(ctx, tree(t, map[string]string{"Dockerfile": "FROM debian:bookworm\nRUN echo begun $((0+1)); sleep 7654323\n"}), request("blog", nil, out))
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	nothingLeft(t, s, "7654323")
}

func TestADockerfileThatFillsTheDiskIsStopped(t *testing.T) {
	for name, step := range map[string]string{
		"one file":   "dd if=/dev/zero of=/large bs=1M count=3000",
		"many files": "i=0; while :; do dd if=/dev/zero of=/large$i bs=1M count=100 2>/dev/null; i=$((i+1)); done",
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, func(o *dockerfile.Options) { o.DiskBytes = 1 << 30 })
			_, _, err := s.build(t, "blog", map[string]string{"Dockerfile": "FROM debian:bookworm\nRUN " + step + "\n"}, nil)
			wants(t, err, platform.ErrInvalid, "stopped", "of disk", "are allowed")
			nothingLeft(t, s, "of=/large")
		})
	}
}

func TestADockerfileThatTakesTooMuchMemoryIsStopped(t *testing.T) {
	s := open(t, func(o *dockerfile.Options) { o.MemoryBytes = 300 << 20 })
	_, _, err := s.build(t, "blog", map[string]string{"Dockerfile": "FROM debian:bookworm\nRUN exec perl -e 'my $x = \"x\" x 1_000_000_000; print length $x'\n"}, nil)
	wants(t, err, platform.ErrInvalid, "it used more than 300.0M of memory")
	nothingLeft(t, s, "1_000_000_000")
}

func TestAForkBombStaysInItsStep(t *testing.T) {
	s := open(t, func(o *dockerfile.Options) { o.Processes = 100 })
	_, out, err := s.build(t, "blog", map[string]string{"Dockerfile": "FROM debian:bookworm\nRUN for i in $(seq 200); do sleep 7654324 & done\n"}, nil)
	wants(t, err, platform.ErrInvalid, "did not complete successfully")
	if !strings.Contains(out, "Cannot fork") {
		t.Error("it could start them all")
	}
	nothingLeft(t, s, "7654324")
}

func TestAKilledBuildKitFailsItsBuildAndTheNextGoesOnFromTheCache(t *testing.T) {
	s := open(t, nil)
	step := "FROM debian:bookworm\nRUN echo first > /first\n"
	killed := false // once: then the step is a child of another, or of nobody
	out := &lines{t: t, see: func(text string) {
		if pid := find("7654325"); !killed && pid != 0 && strings.Contains(text, "begun 1") {
			// step, runc, buildkitd
			killed = syscall.Kill(parent(t, parent(t, pid)), syscall.SIGKILL) == nil
		}
	}}
	_, err := s.Build(t.Context(), tree(t, map[string]string{"Dockerfile": step + "RUN exec sh -c 'echo begun $((0+1)); sleep 7654325'\n"}), request("blog", nil, out))
	wants(t, err, platform.ErrUnavailable, "BuildKit ended in the middle of it", "Push again")
	nothingLeft(t, s, "7654325")
	_, text, err := s.build(t, "blog", map[string]string{"Dockerfile": step + "RUN echo second > /second\n"}, nil)
	if err != nil || !strings.Contains(text, "CACHED") {
		t.Errorf("%v, %s", err, text)
	}
}

func TestAStartTakesAwayWhatAKilledPlatformLeftAndNotWhatOneUses(t *testing.T) {
	s := open(t, nil)
	const dead, alive = "slipway-build-dead0001", "slipway-build-a11fe001"
	rule := func(what, of string) error {
		return exec.Command("iptables", "-w", "-t", "filter", what, "FORWARD", "-s", "192.0.2.0/24", "-m", "comment", "--comment", of, "-j", "ACCEPT").Run()
	}
	mark, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: "@" + alive})
	if err != nil {
		t.Fatal(err)
	}
	defer mark.Close()
	for _, of := range []string{dead, alive} {
		if err := rule("-A", of); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rule("-D", of) }()
	}
	if _, err := dockerfile.New(slog.New(slog.DiscardHandler), dockerfile.Options{
		Dir: t.TempDir(), Command: []string{"true"}, RegistryAddr: s.address, RegistryUser: user, RegistryPassword: password,
	}); err != nil {
		t.Fatal(err)
	}
	if rule("-C", dead) == nil {
		t.Error("the rule of one that is gone is left")
	}
	if err := rule("-C", alive); err != nil {
		t.Errorf("the rule of one that builds is gone: %v", err)
	}
}

func TestTheCachesOfAllAppsTogetherAreBounded(t *testing.T) {
	s := open(t, func(o *dockerfile.Options) { o.CacheBytes = 250 << 20 }) // one of debian fits
	for _, app := range []string{"one", "two"} {
		if _, _, err := s.build(t, app, map[string]string{"Dockerfile": "FROM debian:bookworm\nRUN echo " + app + " > /x\n"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "two" {
		t.Errorf("%v, %v", entries, err)
	}
	if err := s.Forget("two"); err != nil {
		t.Fatal(err)
	}
	if entries, err = os.ReadDir(s.dir); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
}
