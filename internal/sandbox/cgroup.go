package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
)

// cgroupHost is where groups can be made. In version 1 each controller has
// its own tree; in version 2 all share one folder, under the key "".
type cgroupHost struct {
	version CgroupVersion
	parents map[string]string
	lacking []string // controllers that are wanted and not there
}

var wantedControllers = []string{"memory", "cpu", "pids"}

// defaultProcesses bounds a process with no limit of its own, so that a fork
// bomb hurts only itself. No honest app comes near it.
const defaultProcesses = 4096

// groupParent holds all our groups.
const groupParent = "slipway"

// overheadProcesses are the sandbox's own two, which live in the same group.
const overheadProcesses = 2

// findCgroups makes the folder that will hold our groups. Version 1 nests
// below the platform's own group, so that a bound the operator set holds;
// version 2 forbids that (no processes beside groups) and goes to the top.
func findCgroups() cgroupHost {
	mounts, err := cgroupMounts()
	if err != nil {
		return cgroupHost{lacking: wantedControllers}
	}
	own := ownCgroups()
	host := cgroupHost{version: CgroupV1, parents: map[string]string{}}
	for _, controller := range wantedControllers {
		mount, ok := mounts[controller]
		if !ok {
			host.lacking = append(host.lacking, controller)
			continue
		}
		parent := filepath.Join(mount, own[controller])
		if _, err := os.Stat(parent); err != nil {
			parent = mount
		}
		if parent = filepath.Join(parent, groupParent); !makeGroup(parent) {
			host.lacking = append(host.lacking, controller)
			continue
		}
		_ = unix.Rmdir(parent)
		host.parents[controller] = parent
	}
	if len(host.parents) > 0 {
		return host
	}
	return findCgroup2(mounts["2"], own["2"])
}

func findCgroup2(mount, own string) cgroupHost {
	none := cgroupHost{lacking: wantedControllers}
	if mount == "" {
		return none
	}
	for _, top := range []string{mount, filepath.Join(mount, own)} {
		parent := filepath.Join(top, groupParent)
		if !makeGroup(parent) {
			continue
		}
		host := cgroupHost{version: CgroupV2, parents: map[string]string{"": parent}}
		for _, controller := range wantedControllers {
			for _, dir := range []string{top, parent} {
				_ = writeGroup(dir, "cgroup.subtree_control", "+"+controller)
			}
			enabled, _ := os.ReadFile(filepath.Join(parent, "cgroup.subtree_control"))
			if !slices.Contains(strings.Fields(string(enabled)), controller) {
				host.lacking = append(host.lacking, controller)
			}
		}
		if len(host.lacking) < len(wantedControllers) {
			return host
		}
		_ = unix.Rmdir(parent)
	}
	return none
}

// makeGroup makes the folder and reports whether groups can be made in it.
func makeGroup(dir string) bool {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return false
	}
	return unix.Access(dir, unix.W_OK) == nil
}

// missing says what limits are not kept here.
func (h cgroupHost) missing() string {
	switch {
	case len(h.lacking) == 0:
		return ""
	case len(h.lacking) == len(wantedControllers):
		return "control groups cannot be made here, limits of memory, cpu and processes are not kept: run as root with /sys/fs/cgroup writable"
	}
	return fmt.Sprintf("control groups lack %s, its limit is not kept: enable the controller on the kernel command line", strings.Join(h.lacking, " and "))
}

// cgroup is the group of one process: one folder, or one a controller.
type cgroup struct{ dirs []string }

// make makes the group of a process with its limits. A group of that name
// left by a crash is emptied first.
func (h cgroupHost) make(name string, limits platform.Limits) (cgroup, error) {
	processes := limits.Processes
	if processes == 0 {
		processes = defaultProcesses
	}
	settings := map[string]map[string]string{
		"pids": {"pids.max": strconv.FormatInt(processes+overheadProcesses, 10)},
	}
	if h.version == CgroupV2 {
		settings[""] = cgroup2Settings(limits, settings["pids"]["pids.max"])
	} else {
		addCgroup1Settings(settings, limits)
	}
	var group cgroup
	for controller, parent := range h.parents {
		if settings[controller] == nil {
			continue
		}
		dir := filepath.Join(parent, name)
		err := h.mkdir(parent, dir)
		if errors.Is(err, fs.ErrExist) {
			cgroup{dirs: []string{dir}}.kill()
		} else if err != nil {
			group.remove()
			return cgroup{}, err
		}
		group.dirs = append(group.dirs, dir)
		for _, file := range slices.Sorted(maps.Keys(settings[controller])) {
			err := writeGroup(dir, file, settings[controller][file])
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !wider(file, err) {
				group.remove()
				return cgroup{}, err
			}
		}
	}
	slices.Sort(group.dirs)
	return group, nil
}

// wider reports whether a limit was refused for being more than the operator
// gave the whole platform, which version 1 does of cpu alone: that bound holds.
func wider(file string, err error) bool {
	return file == "cpu.cfs_quota_us" && errors.Is(err, unix.EINVAL)
}

// find returns the group of that name, as far as it is there.
func (h cgroupHost) find(name string) cgroup {
	var found cgroup
	for _, parent := range h.parents {
		if dir := filepath.Join(parent, name); unix.Access(dir, unix.F_OK) == nil {
			found.dirs = append(found.dirs, dir)
		}
	}
	return found
}

// mkdir makes a group. In version 1 its parent goes with the last group in it,
// maybe just now, so that nothing of us is left on a machine we left.
func (h cgroupHost) mkdir(parent, dir string) error {
	for range 100 {
		err := os.Mkdir(dir, 0o755)
		if h.version != CgroupV1 || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if !makeGroup(parent) {
			return err
		}
	}
	return fmt.Errorf("make %s: its parent does not stay", dir)
}

const cpuPeriodMicros = 100_000

func addCgroup1Settings(settings map[string]map[string]string, limits platform.Limits) {
	if limits.MemoryBytes > 0 {
		bytes := strconv.FormatInt(limits.MemoryBytes, 10)
		// In this order: memory and swap together may not be under memory alone.
		settings["memory"] = map[string]string{"memory.limit_in_bytes": bytes, "memory.memsw.limit_in_bytes": bytes}
	}
	if limits.MilliCPU > 0 {
		settings["cpu"] = map[string]string{"cpu.cfs_quota_us": strconv.FormatInt(max(1000, limits.MilliCPU*cpuPeriodMicros/1000), 10)}
	}
}

func cgroup2Settings(limits platform.Limits, pids string) map[string]string {
	settings := map[string]string{"pids.max": pids}
	if limits.MemoryBytes > 0 {
		settings["memory.max"] = strconv.FormatInt(limits.MemoryBytes, 10)
		settings["memory.swap.max"] = "0"
		settings["memory.oom.group"] = "1"
	}
	if limits.MilliCPU > 0 {
		settings["cpu.max"] = fmt.Sprintf("%d %d", max(1000, limits.MilliCPU*cpuPeriodMicros/1000), cpuPeriodMicros)
	}
	return settings
}

// child makes a group inside this one, bounded by it.
func (g cgroup) child(name string) (cgroup, error) {
	var made cgroup
	for _, dir := range g.dirs {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			made.remove()
			return cgroup{}, err
		}
		made.dirs = append(made.dirs, filepath.Join(dir, name))
	}
	return made, nil
}

// add moves a process into the group.
func (g cgroup) add(pid int) error {
	for _, dir := range g.dirs {
		if err := writeGroup(dir, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			return err
		}
	}
	return nil
}

// pids lists the processes of the group and of those inside it.
func (g cgroup) pids() []int {
	var pids []int
	for _, dir := range g.dirs {
		_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.IsDir() {
				return nil
			}
			list, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
			for field := range strings.FieldsSeq(string(list)) {
				if pid, err := strconv.Atoi(field); err == nil && pid > 0 && !slices.Contains(pids, pid) {
					pids = append(pids, pid)
				}
			}
			return nil
		})
	}
	return pids
}

// killPatience bounds the wait for killed processes to be gone. Only a process
// stuck in the kernel, on a dead disk, needs longer than milliseconds.
const killPatience = 10 * time.Second

// kill kills every process of the group and returns when none is left or
// patience ran out.
func (g cgroup) kill() {
	for _, dir := range g.dirs {
		_ = writeGroup(dir, "pids.max", "0") // nobody forks away
		_ = writeGroup(dir, "cgroup.kill", "1")
	}
	for deadline := time.Now().Add(killPatience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		pids := g.pids()
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// remove takes the empty group away.
func (g cgroup) remove() {
	for _, dir := range g.dirs {
		inside, _ := os.ReadDir(dir)
		for _, entry := range inside {
			if entry.IsDir() {
				cgroup{dirs: []string{filepath.Join(dir, entry.Name())}}.remove()
			}
		}
		// The kernel counts a dying process a little longer than it shows it.
		for range 100 {
			if err := unix.Rmdir(dir); !errors.Is(err, unix.EBUSY) {
				break
			}
			time.Sleep(time.Millisecond)
		}
		parent := filepath.Dir(dir)
		if _, err := os.Stat(filepath.Join(parent, "cgroup.subtree_control")); filepath.Base(parent) == groupParent && errors.Is(err, fs.ErrNotExist) {
			_ = unix.Rmdir(parent) // version 1, and only if it was the last
		}
	}
}

// outOfMemory reports whether the kernel killed a process of the group for
// its memory limit.
func (g cgroup) outOfMemory() bool {
	for _, dir := range g.dirs {
		for _, file := range []string{"memory.oom_control", "memory.events"} {
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(text)) {
				if count, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok && count != "0" {
					return true
				}
			}
		}
	}
	return false
}

// writeGroup writes one value, in one write as the kernel wants it, into a
// file that must exist already.
func writeGroup(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(value); err != nil {
		return fmt.Errorf("set %s to %s: %w", file, value, err)
	}
	return nil
}

// cgroupMounts maps each version 1 controller, and "2", to its mount point:
// proc(5), mountinfo.
func cgroupMounts() (map[string]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	mounts := make(map[string]string)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		where, what := strings.Fields(before), strings.Fields(after)
		if !ok || len(where) < 5 || len(what) < 3 {
			continue
		}
		switch what[0] {
		case "cgroup":
			for option := range strings.SplitSeq(what[2], ",") {
				mounts[option] = where[4]
			}
		case "cgroup2":
			mounts["2"] = where[4]
		}
	}
	return mounts, nil
}

// ownCgroups maps each controller, and "2", to this process's group.
func ownCgroups() map[string]string {
	own := make(map[string]string)
	text, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		if parts[1] == "" {
			own["2"] = parts[2]
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			own[controller] = parts[2]
		}
	}
	return own
}
