package sandbox

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// waitAtGate is a shell that becomes the command once it may.
const waitAtGate = `IFS= read -r go <&4 || exit 125
exec 4<&- 3<&-
exec "$@"`

// Enter starts another command inside a running process's sandbox, as its
// user and under its limits. Of p it heeds Name, Argv, Env, Dir, Terminal and
// the files. The command ends with the sandbox, and is not found again after
// a restart of the platform.
func (s *Sandbox) Enter(c *Confined, p Process) (*Confined, error) {
	p.UID, p.Status, p.Mounts = c.handle.UID, c.handle.Status, nil
	if err := s.check(p); err != nil {
		return nil, err
	}
	if c.handle.Rooted {
		// What waits at the gate would be a program of the root, with privileges.
		return nil, fmt.Errorf("%w: %s has a root of its own", ErrDescription, c.handle.Name)
	}
	if !c.settled() {
		return nil, fmt.Errorf("enter %s: %w", c.handle.Name, ErrGone)
	}
	group, err := c.group.child(p.Name)
	if err != nil {
		return nil, fmt.Errorf("control group of %s: %w", p.Name, err)
	}
	entered, err := s.enterIn(c, group, p)
	if err != nil {
		group.kill()
		group.remove()
		return nil, fmt.Errorf("enter %s: %w", c.handle.Name, err)
	}
	return entered, nil
}

func (s *Sandbox) enterIn(c *Confined, group cgroup, p Process) (*Confined, error) {
	gateIn, gateOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer gateIn.Close()
	h := &held{pidfd: -1, gate: gateOut, letGo: []byte("go\n")}
	defer h.close()
	if err := s.forkInside(c, h, p, []*os.File{p.Stdin, p.Stdout, p.Stderr, nil, gateIn}); err != nil {
		return nil, err
	}
	handle := Handle{Name: p.Name, Pid: h.pid, Boot: bootID(), UID: p.UID, Mode: c.handle.Mode, Cgroups: group.dirs}
	if err := s.bound(h.pid, group, p, &handle); err != nil {
		return nil, h.abort(err)
	}
	if _, err := h.release(); err != nil {
		return nil, h.abort(err)
	}
	return watchInside(s.log, handle, group, h.takePidfd()), nil
}

// forkInside forks a shell at its gate in the namespaces of c.
func (s *Sandbox) forkInside(c *Confined, h *held, p Process, files []*os.File) error {
	if p.Dir == "" {
		p.Dir = "/"
	}
	argv := []string{title(p.Name), "-c", waitAtGate, title(p.Name)}
	if mode(c.handle.Mode) == modePlain {
		p = real(p, c.handle.Mounts)
	}
	p = sealed(p)
	switch mode(c.handle.Mode) {
	case modeRoot:
		argv = append(append(argv, setpriv(p.UID)...), p.Argv...)
		return onOwnThread(func() error {
			if err := enter(c.first); err != nil {
				return err
			}
			return h.fork("/bin/sh", argv, p.Env, p.Dir, files, p.Terminal)
		})
	case modeUser:
		owner, err := c.owner()
		if err != nil {
			return err
		}
		defer owner.Close()
		argv = append(append(argv, nsenter(c.pid, p.Dir)...), p.Argv...)
		return h.fork("/bin/sh", argv, p.Env, "/", append(files, owner), p.Terminal)
	case modePlain: // nothing to enter
	}
	if s.offer.Root {
		argv = append(argv, setpriv(p.UID)...)
	}
	return h.fork("/bin/sh", append(argv, p.Argv...), p.Env, p.Dir, files, p.Terminal)
}

// settled waits until the sandbox stands: before, its namespaces still show
// the machine. It does when the command exists.
func (c *Confined) settled() bool {
	if c.first == c.outer {
		return true
	}
	for {
		if eldest(processes(), c.pid).pid != 0 {
			return true
		}
		select {
		case <-c.done:
			return false
		case <-time.After(time.Millisecond):
		}
	}
}

const ownerFD = 5

// owner opens the user namespace that the other namespaces belong to: the
// parent of the one the command is in, which may not enter them.
func (c *Confined) owner() (*os.File, error) {
	space, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", c.pid))
	if err != nil {
		return nil, err
	}
	defer space.Close()
	fd, err := unix.IoctlRetInt(int(space.Fd()), unix.NS_GET_USERNS)
	if err != nil {
		return nil, fmt.Errorf("owner of the namespaces: %w", err)
	}
	return os.NewFile(uintptr(fd), "owner"), nil
}

// nsenter is the command line that enters the namespaces of a first process,
// all but the user's, as their owner, and then, seen from inside, the user's.
// Only a program with one thread may enter a user namespace.
func nsenter(first int, dir string) []string {
	argv := []string{"nsenter", fmt.Sprintf("--user=/proc/self/fd/%d", ownerFD), "--preserve-credentials"}
	for _, space := range []struct{ option, file string }{{"mount", "mnt"}, {"pid", "pid"}, {"ipc", "ipc"}, {"uts", "uts"}, {"net", "net"}} {
		file := fmt.Sprintf("/proc/%d/ns/%s", first, space.file)
		theirs, _ := os.Readlink(file)
		if ours, _ := os.Readlink("/proc/self/ns/" + space.file); theirs != ours {
			argv = append(argv, fmt.Sprintf("--%s=%s", space.option, file))
		}
	}
	return append(argv, "--", "nsenter", "--target", "1", "--user", "--preserve-credentials", "--",
		"/bin/sh", "-c", fmt.Sprintf(`exec %d<&-; cd "$0" && exec "$@"`, ownerFD), dir)
}
