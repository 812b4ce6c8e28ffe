package sandbox

import (
	"fmt"
	"os"
	"strconv"
	"time"
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
		// Only a program with one thread may enter a user namespace.
		nsenter := []string{
			"nsenter", "--target", strconv.Itoa(c.pid), "--user", "--preserve-credentials", "--mount",
			"--pid", "--ipc", "--uts", "--net", "--wd=" + p.Dir, "--",
		}
		return h.fork("/bin/sh", append(append(argv, nsenter...), p.Argv...), p.Env, "/", files, p.Terminal)
	}
	p = real(p, c.handle.Mounts)
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
