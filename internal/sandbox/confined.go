package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Confined is a process that was started and is watched. Safe for concurrent
// use. Its goroutine ends with the process, or with Leave.
type Confined struct {
	log    *slog.Logger
	handle Handle
	group  cgroup
	outer  *pidfd // what Start forked
	first  *pidfd // the first process inside: its death is everybody's; may equal outer
	pid    int    // of first
	inside bool   // started by Enter: shares its first process with others

	// grace, once stored, bounds what the others may do after the command's end.
	grace atomic.Pointer[context.Context]

	done chan struct{}
	left chan struct{} // closed when the watching goroutine is gone
	exit Exit          // valid once done is closed
}

// watch begins to watch a process; outerFD is taken over.
func watch(log *slog.Logger, handle Handle, group cgroup, outerFD, first int) *Confined {
	c := &Confined{log: log, handle: handle, group: group, outer: newPidfd(outerFD), pid: first, done: make(chan struct{}), left: make(chan struct{})}
	c.first = c.outer
	if first != handle.Pid {
		// On an error it ended already, and the outer one is about to.
		if fd, err := openPidfd(first); err == nil {
			c.first = fd
		}
	}
	go c.watch()
	return c
}

// watchInside begins to watch a command started by Enter.
func watchInside(log *slog.Logger, handle Handle, group cgroup, fd int) *Confined {
	c := &Confined{log: log, handle: handle, group: group, outer: newPidfd(fd), pid: handle.Pid, inside: true, done: make(chan struct{}), left: make(chan struct{})}
	c.first = c.outer
	go c.watch()
	return c
}

// Handle is what Adopt takes.
func (c *Confined) Handle() Handle { return c.handle }

// Pid is the process that was forked, as the machine counts.
func (c *Confined) Pid() int { return c.handle.Pid }

// Done is closed when the process and everything it started are gone, and its
// control groups with them.
func (c *Confined) Done() <-chan struct{} { return c.done }

// Left is closed when it is no longer watched: after Done, or by Leave.
func (c *Confined) Left() <-chan struct{} { return c.left }

// Whole reports whether nothing of it can have escaped its end: everything it
// started lived in its pid namespace, or in its control group.
func (c *Confined) Whole() bool { return c.first != c.outer || len(c.group.dirs) > 0 }

// Exit is how it ended; only after Done.
func (c *Confined) Exit() Exit { return c.exit }

// Wait blocks until the end and returns it. When ctx ends first, all of it is
// killed and ctx's error returned.
func (c *Confined) Wait(ctx context.Context) (Exit, error) {
	select {
	case <-c.done:
		return c.exit, nil
	case <-ctx.Done():
		c.Kill()
		return c.exit, ctx.Err()
	}
}

// Leave stops watching and lets the process run. Done is never closed then.
func (c *Confined) Leave() {
	c.outer.close()
	<-c.left
	if c.first != c.outer {
		c.first.close()
	}
}

// Signal sends sig to every process of the command's session, as a process
// manager would. It waits for a command that is just about to begin, at most
// until ctx ends. A process that ended is no error.
func (c *Confined) Signal(ctx context.Context, sig syscall.Signal) {
	for !c.signalSession(sig) {
		select {
		case <-c.done:
			return
		case <-ctx.Done():
			return
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// Terminate sends SIGTERM and lets every process of it finish; those that
// still run when ctx ends are killed. It returns when nothing of it runs.
func (c *Confined) Terminate(ctx context.Context) {
	c.grace.Store(&ctx)
	c.Signal(ctx, syscall.SIGTERM)
	select {
	case <-c.done:
	case <-ctx.Done():
		c.Kill()
	}
}

// Environ returns the environment the command's first process was started
// with, or nil when that cannot be seen yet, or was rewritten for want of a
// mount namespace.
func (c *Confined) Environ() []string {
	pid := eldest(processes(), c.pid).pid
	if pid == 0 || c.first == c.outer {
		return nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || len(text) == 0 {
		return nil
	}
	environ := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	if !unsealed(environ) {
		return nil
	}
	return environ
}

func (c *Confined) signalSession(sig syscall.Signal) bool {
	all := processes()
	session, sent := c.session(all), false
	for _, process := range all {
		if process.session != session || (process.pid == c.pid && !c.inside) {
			continue
		}
		sent = unix.Kill(process.pid, sig) == nil || sent
	}
	return sent
}

// session is the session of the command: the first process's own, or with a
// terminal the one its oldest child leads.
func (c *Confined) session(all []procStat) int {
	if !c.handle.Terminal || c.first == c.outer {
		return c.pid
	}
	return eldest(all, c.pid).pid
}

// eldest is the first child of a process, or the zero value.
func eldest(all []procStat, parent int) procStat {
	var oldest procStat
	for _, process := range all {
		if process.parent == parent && (oldest.pid == 0 || process.start < oldest.start || process.start == oldest.start && process.pid < oldest.pid) {
			oldest = process
		}
	}
	return oldest
}

// Kill kills all of it and returns when nothing of it runs. Idempotent.
func (c *Confined) Kill() {
	if c.first != c.outer {
		c.first.kill() // the kernel kills the rest of its pid namespace first
	} else {
		c.killPlain()
	}
	select {
	case <-c.done:
	case <-c.left:
	}
}

// killPlain kills what has no pid namespace: by control group, else by
// session. The supervisor goes last and only if it must: it notes the exit code.
func (c *Confined) killPlain() {
	for deadline := time.Now().Add(killPatience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		any := false
		for _, process := range processes() {
			if process.session == c.handle.Pid && process.pid != c.handle.Pid {
				any = unix.Kill(process.pid, unix.SIGKILL) == nil || any
			}
		}
		if !any {
			break
		}
	}
	if c.inside || !c.outer.endedWithin(100*time.Millisecond) {
		c.outer.kill()
	}
}

// watch waits for the end, makes it everybody's, and tells.
func (c *Confined) watch() {
	defer close(c.left)
	if !c.outer.wait() {
		return // Leave
	}
	code := reap(c.handle.Pid)
	if c.first != c.outer {
		c.lastWords()
		c.first.kill()
		if !c.first.endedWithin(killPatience) {
			c.log.Error("killed process does not end", "instance", c.handle.Name)
		}
		c.first.close()
	}
	c.finish(code)
	c.outer.close()
	close(c.done)
}

// lastWords lets what the command started finish, when it was told to.
func (c *Confined) lastWords() {
	grace := c.grace.Load()
	if grace == nil {
		return
	}
	empty := make(chan struct{})
	go func() {
		defer close(empty)
		c.first.wait()
	}()
	select {
	case <-empty:
	case <-(*grace).Done():
		c.first.kill()
		<-empty
	}
}

// finish takes away what is left and fills the exit in.
func (c *Confined) finish(reaped int) {
	if c.first == c.outer {
		c.killPlain()
	}
	c.group.kill()
	c.exit = Exit{At: time.Now(), Code: reaped, OutOfMemory: c.group.outOfMemory()}
	if status := readStatus(c.handle.Status); status.code != nil {
		c.exit.Code = *status.code
	}
	c.group.remove()
}

// reap takes a child's exit code, 128+n for a signal, or -1 when the process
// is not our child.
func reap(pid int) int {
	var status syscall.WaitStatus
	for {
		got, err := syscall.Wait4(pid, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil || got != pid:
			return -1
		case status.Signaled():
			return 128 + int(status.Signal())
		}
		return status.ExitStatus()
	}
}

// status is what the sandbox left in its status file.
type status struct {
	first int  // pid of the first process inside; 0: none was made
	code  *int // nil: it did not end, or nobody was there to write it down
	at    time.Time
}

func readStatus(path string) status {
	var read status
	f, err := os.Open(path)
	if err != nil {
		return read
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		read.at = info.ModTime()
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var said struct {
			Child *int `json:"child-pid"`
			Code  *int `json:"exit-code"`
		}
		if json.Unmarshal(lines.Bytes(), &said) != nil {
			continue
		}
		if said.Child != nil {
			read.first = *said.Child
		}
		if said.Code != nil {
			read.code = said.Code
		}
	}
	return read
}

// HoldsSocket reports whether a process of it has the socket with that inode.
func (c *Confined) HoldsSocket(inode uint64) bool {
	socket := fmt.Sprintf("socket:[%d]", inode)
	for _, pid := range c.members() {
		dir := fmt.Sprintf("/proc/%d/fd/", pid)
		links, _ := os.ReadDir(dir)
		for _, link := range links {
			if target, err := os.Readlink(dir + link.Name()); err == nil && target == socket {
				return true
			}
		}
	}
	return false
}

// members lists its processes: by control group, else by pid namespace, else
// by session.
func (c *Confined) members() []int {
	if len(c.group.dirs) > 0 {
		return c.group.pids()
	}
	space, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", c.pid))
	var members []int
	for _, process := range processes() {
		if c.first == c.outer {
			if process.session == c.handle.Pid {
				members = append(members, process.pid)
			}
		} else if own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", process.pid)); err == nil && own == space {
			members = append(members, process.pid)
		}
	}
	return members
}
