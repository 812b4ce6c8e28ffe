package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Group is a control group for a tree of processes of the platform's own that
// makes groups inside it, as a builder of containers does. All together keep
// its limits. Its name is unique on the machine.
type Group struct {
	name string
	in   cgroup
	host cgroupHost
}

// groupShare is the weight of a group against the machine's other work, whose
// own is 1024 (version 1) or 100 (version 2).
const groupShare = 64

// NewGroup makes the group; one of that name that a crash left is emptied
// first. Limits that cannot be kept here are not: see Offer.Missing.
func NewGroup(name string, limits platform.Limits) (*Group, error) {
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("control group %q: %w", name, ErrDescription)
	}
	host := findCgroups()
	old := FindGroup(name)
	old.Kill()
	old.Remove()
	in, err := host.make(name, limits)
	if err != nil {
		return nil, fmt.Errorf("control group of %s: %w", name, err)
	}
	g := &Group{name: name, in: in, host: host}
	if err := g.prepare(); err != nil {
		g.Remove()
		return nil, fmt.Errorf("control group of %s: %w", name, err)
	}
	return g, nil
}

// FindGroup returns the group of that name, as far as it is there: what an
// earlier process left.
func FindGroup(name string) *Group {
	g := &Group{name: name}
	for _, parent := range append(otherParents(), parents()...) {
		if dir := filepath.Join(parent, name); unix.Access(dir, unix.F_OK) == nil {
			g.in.dirs = append(g.in.dirs, dir)
		}
	}
	return g
}

func parents() []string {
	var list []string
	for _, parent := range findCgroups().parents {
		list = append(list, parent)
	}
	return list
}

// otherParents are the folders for our groups of the version 1 controllers that
// limit nothing of ours. What makes containers makes a group in each of them,
// below its own: without one of ours there, it would be strewn on the machine.
func otherParents() []string {
	mounts, err := cgroupMounts()
	if err != nil {
		return nil
	}
	own := ownCgroups()
	var list []string
	for controller, mount := range mounts {
		if !slices.Contains(containerControllers, controller) {
			continue
		}
		parent := filepath.Join(mount, own[controller])
		if _, err := os.Stat(parent); err != nil {
			parent = mount
		}
		list = append(list, filepath.Join(parent, groupParent))
	}
	return list
}

var containerControllers = []string{"blkio", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "misc", "name=systemd", "net_cls", "net_prio", "perf_event", "rdma"}

// prepare makes what groups inside need: in version 2 a place of their own
// for the processes of the group itself, in version 1 a group of every
// controller. Its weight is low.
func (g *Group) prepare() error {
	if g.host.version == CgroupV2 {
		dir := g.in.dirs[0]
		if err := os.Mkdir(filepath.Join(dir, "self"), 0o755); err != nil {
			return err
		}
		for _, controller := range []string{"memory", "cpu", "pids", "io"} {
			_ = writeGroup(dir, "cgroup.subtree_control", "+"+controller)
		}
		_ = writeGroup(dir, "cpu.weight", "6")
		_ = writeGroup(dir, "memory.oom.group", "0") // the step alone, if that helps
		return nil
	}
	for _, parent := range otherParents() {
		if slices.ContainsFunc(g.in.dirs, func(dir string) bool { return sameDir(filepath.Dir(dir), parent) }) || !makeGroup(parent) {
			continue
		}
		dir := filepath.Join(parent, g.name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		g.in.dirs = append(g.in.dirs, dir)
		inheritCpuset(parent)
		inheritCpuset(dir)
	}
	for _, dir := range g.in.dirs {
		_ = writeGroup(dir, "cpu.shares", strconv.Itoa(groupShare)) // of one controller
	}
	return nil
}

// inheritCpuset gives a new group of cpuset, which begins with no processor at
// all, its parent's.
func inheritCpuset(dir string) {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		if now, err := os.ReadFile(filepath.Join(dir, file)); err != nil || strings.TrimSpace(string(now)) != "" {
			continue
		}
		if text, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file)); err == nil {
			_ = writeGroup(dir, file, strings.TrimSpace(string(text)))
		}
	}
}

func sameDir(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// Add moves a process, and what it will start, into the group.
func (g *Group) Add(pid int) error {
	if g.host.version != CgroupV2 {
		return g.in.add(pid)
	}
	return writeGroup(filepath.Join(g.in.dirs[0], "self"), "cgroup.procs", strconv.Itoa(pid))
}

// Kill ends every process of the group and inside it, and returns when none is
// left. It may be called again.
func (g *Group) Kill() {
	if len(g.in.dirs) > 0 {
		g.in.kill()
	}
}

// Remove takes the empty group away, and those inside it.
func (g *Group) Remove() { g.in.remove() }

// OutOfMemory reports whether the memory limit can be why a process of the
// group was killed. Version 1 counts kills where the process was, and that is
// gone with its group; that all together hit the limit stays.
func (g *Group) OutOfMemory() bool {
	return g.in.outOfMemory() || slices.ContainsFunc(g.in.dirs, memoryFailed)
}

// nearLimit is how much below its limit a group stays when the kernel finds
// nothing more for it: it charges in batches, for each processor.
const nearLimit = 8 << 20

func memoryFailed(dir string) bool {
	most, limit := groupNumber(dir, "memory.max_usage_in_bytes"), groupNumber(dir, "memory.limit_in_bytes")
	return most > 0 && limit > 0 && most >= limit-nearLimit
}

func groupNumber(dir, file string) int64 {
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return -1
	}
	number, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return -1
	}
	return number
}

// GroupPath is what a runtime of containers calls a group named name beside
// this process, inside the Group this process is in (OCI runtime
// specification 1.2, linux.cgroupsPath): relative to the caller's own in
// version 1, absolute in version 2.
func GroupPath(name string) string {
	var mount unix.Statfs_t
	if unix.Statfs("/sys/fs/cgroup", &mount) != nil || mount.Type != unix.CGROUP2_SUPER_MAGIC {
		return name
	}
	return filepath.Join(filepath.Dir(ownCgroups()["2"]), name)
}
