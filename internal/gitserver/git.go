package gitserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// killAfter is how long a git program may take to clean up behind itself once
// it was asked to end.
const killAfter = 5 * time.Second

// git runs the git program with our settings and nobody else's: neither the
// machine's nor the user's configuration nor our environment reaches it.
type git struct {
	program  string
	home     string
	hooks    string
	maxInput int64
}

// settings go to every git command, as -c options do.
func (g git) settings() []string {
	return []string{
		"core.hooksPath=" + g.hooks,
		"core.bigFileThreshold=32m", // larger files are streamed, not held in memory
		"core.fsync=committed,loose-object",
		"core.fsyncMethod=batch", // one flush a push, not one an object
		"gc.auto=0",              // upkeep is ours: see upkeep.go
		"maintenance.auto=false",
		"pack.threads=1",
		"pack.windowMemory=64m",
		"receive.autogc=false",
		"receive.denyCurrentBranch=ignore",
		"receive.denyDeleteCurrent=ignore",
		"receive.keepAlive=5",
		fmt.Sprintf("receive.maxInputSize=%d", g.maxInput),
		"receive.shallowUpdate=true", // build machines push from shallow clones
		"safe.directory=*",
		"uploadpack.allowFilter=true",
	}
}

// command prepares git in a repository, in a process group of its own that is
// asked to end when ctx does.
func (g git) command(ctx context.Context, repo string, args ...string) *exec.Cmd {
	var all []string
	for _, setting := range g.settings() {
		all = append(all, "-c", setting)
	}
	cmd := exec.CommandContext(ctx, g.program, append(all, args...)...)
	cmd.Dir = repo
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + g.home,
		"LC_ALL=C.UTF-8",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_NO_REPLACE_OBJECTS=1", // a pushed refs/replace must not change what a commit is
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = killAfter
	return cmd
}

var protocolVersion = regexp.MustCompile(`^[a-z0-9=:.-]{1,100}$`)

// speak tells the command which protocol version the client asked for, unless
// that is nonsense.
func speak(cmd *exec.Cmd, protocol string) {
	if protocolVersion.MatchString(protocol) {
		cmd.Env = append(cmd.Env, "GIT_PROTOCOL="+protocol)
	}
}

// exitCode is what a shell would say: git's own code, and 128 when it was
// killed or could not be run.
func exitCode(cmd *exec.Cmd) int {
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() < 0 {
		return 128
	}
	return cmd.ProcessState.ExitCode()
}

// zeroHash reports whether a hash stands for "no object".
func zeroHash(hash string) bool { return strings.Trim(hash, "0") == "" }
