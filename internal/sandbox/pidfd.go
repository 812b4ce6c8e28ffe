package sandbox

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// pidfd is a process that cannot be mistaken for another, waited for without
// a thread: its descriptor becomes readable when the process ends.
type pidfd struct{ file *os.File }

func openPidfd(pid int) (*pidfd, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	return newPidfd(fd), nil
}

// newPidfd takes fd over.
func newPidfd(fd int) *pidfd {
	_ = unix.SetNonblock(fd, true) // os.NewFile asks the poller only then
	return &pidfd{os.NewFile(uintptr(fd), "pidfd")}
}

// wait blocks until the process has ended, or close was called: then false.
func (p *pidfd) wait() bool {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Read(func(fd uintptr) bool { return ended(fd, 0) })
	if err == nil {
		return true
	}
	return !errors.Is(err, os.ErrClosed) && p.ended()
}

// ended reports whether the process has ended, zombies included.
func (p *pidfd) ended() bool {
	gone := false
	raw, err := p.file.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) { gone = ended(fd, 0) })
	return gone
}

// endedWithin waits on the calling thread: only for what was just killed.
func (p *pidfd) endedWithin(patience time.Duration) bool {
	gone := false
	if raw, err := p.file.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { gone = ended(fd, patience) })
	}
	return gone
}

func ended(fd uintptr, patience time.Duration) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	deadline := time.Now().Add(patience)
	for {
		n, err := unix.Poll(fds, int(max(0, time.Until(deadline).Milliseconds())))
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n > 0
		}
	}
}

func (p *pidfd) kill() {
	if raw, err := p.file.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) })
	}
}

func (p *pidfd) close() { _ = p.file.Close() }
