package containerd

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// unified reports control groups of version 2 alone.
func unified() bool {
	_, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers"))
	return err == nil
}

// hasSwapLimit: version 1 has it where the kernel counts swap.
func hasSwapLimit() bool {
	if unified() {
		return true
	}
	_, err := os.Stat(filepath.Join(cgroupRoot, "memory", "memory.memsw.limit_in_bytes"))
	return err == nil
}

// groupDirs are the folders of a control group, one or one a controller.
func groupDirs(group string) []string {
	dirs, _ := filepath.Glob(filepath.Join(cgroupRoot, "*", group))
	if dir := filepath.Join(cgroupRoot, group); unix.Access(dir, unix.F_OK) == nil {
		dirs = append(dirs, dir)
	}
	return dirs
}

// members are the processes of a group.
func members(group string) []int {
	var pids []int
	for _, dir := range groupDirs(group) {
		list, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		for field := range strings.FieldsSeq(string(list)) {
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 && !slices.Contains(pids, pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// subgroups are the names of the groups in a group.
func subgroups(group string) (names []string) {
	for _, dir := range groupDirs(group) {
		entries, _ := os.ReadDir(dir)
		for _, entry := range entries {
			if entry.IsDir() && !slices.Contains(names, entry.Name()) {
				names = append(names, entry.Name())
			}
		}
	}
	return names
}

// outOfMemory reports whether the kernel killed a process of the group for
// its memory limit.
func outOfMemory(group string) bool {
	for _, dir := range groupDirs(group) {
		for _, file := range []string{"memory.oom_control", "memory.events"} {
			text, _ := os.ReadFile(filepath.Join(dir, file))
			for line := range strings.Lines(string(text)) {
				if count, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok && count != "0" {
					return true
				}
			}
		}
	}
	return false
}

// removeGroup takes an empty group away, and those below it.
func removeGroup(group string) {
	for _, dir := range groupDirs(group) {
		entries, _ := os.ReadDir(dir)
		for _, entry := range entries {
			if entry.IsDir() {
				_ = unix.Rmdir(filepath.Join(dir, entry.Name()))
			}
		}
		_ = unix.Rmdir(dir)
	}
}

// heeds says what a process does with a signal.
type heeds int

const (
	byDefault heeds = iota
	catches
	ignores
)

// disposition reads proc(5), status.
func disposition(pid int, signal unix.Signal) heeds {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return catches // it is gone
	}
	for line := range strings.Lines(string(text)) {
		name, mask, _ := strings.Cut(line, ":")
		if name != "SigCgt" && name != "SigIgn" {
			continue
		}
		bits, _ := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
		if bits&(1<<(signal-1)) != 0 {
			return map[string]heeds{"SigCgt": catches, "SigIgn": ignores}[name]
		}
	}
	return byDefault
}
