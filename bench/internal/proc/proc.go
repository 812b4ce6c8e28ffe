// Package proc reads what processes use of the machine: proc(5).
package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// CPU is for how long the processes ran.
func CPU(pids ...int) (ran time.Duration) {
	for _, pid := range pids {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, file := range files {
			text, _ := os.ReadFile(file)
			if words := strings.Fields(string(text)); len(words) > 0 {
				ns, _ := strconv.ParseInt(words[0], 10, 64)
				ran += time.Duration(ns)
			}
		}
	}
	return ran
}

// PSS is the processes' share of memory in KiB: proc(5), smaps_rollup.
func PSS(pids ...int) (kib int) {
	for _, pid := range pids {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				var n int
				_, _ = fmt.Sscan(rest, &n)
				kib += n
			}
		}
	}
	return kib
}
