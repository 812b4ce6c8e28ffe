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
