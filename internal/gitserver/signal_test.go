package gitserver_test

import (
	"os/exec"
	"syscall"
)

// interrupt is Ctrl-C in the user's terminal: everything in the foreground
// gets it.
func interrupt(cmd *exec.Cmd) {
	syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
	cmd.Wait()
}

// freeze is Ctrl-Z in the user's terminal, and thaw is fg.
func freeze(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGSTOP) }
func thaw(cmd *exec.Cmd)   { syscall.Kill(-cmd.Process.Pid, syscall.SIGCONT) }
