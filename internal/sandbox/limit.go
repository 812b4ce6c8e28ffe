package sandbox

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openFiles bounds the descriptors of a process. Above a million some
// programs spend seconds closing descriptors they never had.
const openFiles = 65536

// oomScore makes the kernel, when the machine's memory is full, end what runs
// in sandboxes before the platform: proc(5), oom_score_adj.
const oomScore = "500"

// limit sets what a held process's children inherit: resource limits, to be
// the first to go when memory is full and, for an idle one, the lowest
// priorities.
func limit(pid int, p Process) error {
	// A kernel that does not take it is no reason to stop.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(oomScore), 0)
	var now unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &now); err != nil {
		return fmt.Errorf("limit open files: %w", err)
	}
	files := min(now.Max, openFiles)
	limits := map[int]unix.Rlimit{
		unix.RLIMIT_NOFILE: {Cur: files, Max: files},
		unix.RLIMIT_CORE:   {},
	}
	if p.MaxFileBytes > 0 {
		limits[unix.RLIMIT_FSIZE] = unix.Rlimit{Cur: uint64(p.MaxFileBytes), Max: uint64(p.MaxFileBytes)}
	}
	for resource, value := range limits {
		if err := unix.Prlimit(pid, resource, &value, nil); err != nil {
			return fmt.Errorf("limit resource %d: %w", resource, err)
		}
	}
	if !p.Idle {
		return nil
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, pid, 19); err != nil {
		return fmt.Errorf("lower priority: %w", err)
	}
	// ioprio_set(2): IOPRIO_WHO_PROCESS, class idle. A kernel without it is no reason to stop.
	const whoProcess, classIdle = 1, 3 << 13
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, whoProcess, uintptr(pid), classIdle)
	return nil
}
