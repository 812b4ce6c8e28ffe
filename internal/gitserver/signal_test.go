package gitserver_test

import (
	"os/exec"
	"syscall"
)

// interrupt is Ctrl-C in the user's terminal: everything in the foreground
// gets it. SIGTERM is for where a shell has begun the tests in the background:
// SIGINT is ignored there.
func interrupt(cmd *exec.Cmd) {
	syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
	syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	cmd.Wait()
}

// freeze is Ctrl-Z in the user's terminal, and thaw is fg.
func freeze(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGSTOP) }
func thaw(cmd *exec.Cmd)   { syscall.Kill(-cmd.Process.Pid, syscall.SIGCONT) }
