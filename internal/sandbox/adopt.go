package sandbox

import (
	"time"

	"golang.org/x/sys/unix"
)

// Adopt takes a process of an earlier Sandbox over. When it has ended it
// returns how, and ErrGone, having killed and removed what was left of it.
func (s *Sandbox) Adopt(h Handle) (*Confined, Exit, error) {
	said := readStatus(h.Status)
	group := cgroup{dirs: h.Cgroups}
	first := said.first
	if first == 0 {
		first = h.Pid
	}
	if h.Boot == bootID() {
		if fd, err := unix.PidfdOpen(h.Pid, 0); err == nil {
			// Look at the start time after the descriptor is held: no reuse can slip in between.
			if stat, err := readStat(h.Pid); err == nil && stat.start == h.Start && stat.state != "Z" {
				return watch(s.log, h, group, fd, first), Exit{}, nil
			}
			unix.Close(fd)
		}
		sweep(h, said.first)
	}
	group.kill()
	exit := Exit{At: said.at, Code: -1, OutOfMemory: group.outOfMemory()}
	if said.code != nil {
		exit.Code = *said.code
	}
	if exit.At.IsZero() {
		exit.At = time.Now()
	}
	group.remove()
	return nil, exit, ErrGone
}

// sweep kills what the command left behind when it ended unwatched.
func sweep(h Handle, first int) {
	if first == 0 {
		for _, process := range processes() {
			if process.session == h.Pid && process.start >= h.Start {
				_ = unix.Kill(process.pid, unix.SIGKILL)
			}
		}
		return
	}
	p, err := openPidfd(first)
	if err != nil {
		return
	}
	defer p.close()
	if titled(first, h.Name) {
		p.kill()
		p.endedWithin(killPatience)
	}
}
