package node_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// instancePids lists the processes whose environment says that they are of
// this world's instances.
func (w *world) instancePids() []int {
	var pids []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		ours := bytes.Contains(line, []byte(w.dir+"/rt")) || bytes.Contains(environ, []byte("WORLD="+w.dir+"\x00"))
		if ours && pid != os.Getpid() && !strings.Contains(string(environ), nodeEnv+"=") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// killInstances is what a power cut does to them.
func (w *world) killInstances() {
	for {
		pids := w.instancePids()
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
