package sandbox

import (
	"time"

	"golang.org/x/sys/unix"
)

// Adopt takes a process of an earlier Sandbox over. When it has ended it
// returns how, and ErrGone, having killed and removed what was left of it.
func (s *Sandbox) Adopt(h Handle) (*Confined, Exit, error) {
	if h.Boot == bootID() {
		if fd, err := unix.PidfdOpen(h.Pid, 0); err == nil {
			// Look at the start time after the descriptor is held: no reuse can slip in between.
			if h.alive() {
				if first := h.first(); first != 0 {
					return watch(s.log, h, cgroup{dirs: h.Cgroups}, fd, first), Exit{}, nil
				}
			}
			unix.Close(fd)
		}
		sweep(h, readStatus(h.Status).first)
	}
	return nil, h.ended(), ErrGone
}

// Clear takes away what a platform that died before its record was written
// left of the process of that name. Nothing of that name may be wanted.
func (s *Sandbox) Clear(name string) {
	if validName.MatchString(name) {
		group := s.offer.cgroups.find(name)
		group.kill()
		group.remove()
	}
}

// alive reports whether the very process that was started still runs.
func (h Handle) alive() bool {
	stat, err := readStat(h.Pid)
	return err == nil && stat.start == h.Start && stat.state != "Z" && stat.state != "X"
}

// first is the pid of the first process inside, or 0 when the sandbox has
// ended. Bubblewrap writes it down a moment after it has made it.
func (h Handle) first() int {
	if mode(h.Mode) == modePlain {
		return h.Pid
	}
	for h.alive() {
		if first := readStatus(h.Status).first; first != 0 {
			return first
		}
		time.Sleep(time.Millisecond)
	}
	return 0
}

// ended is how a process that is gone ended, as far as it was written down.
func (h Handle) ended() Exit {
	group, said := cgroup{dirs: h.Cgroups}, readStatus(h.Status)
	group.kill()
	exit := Exit{At: said.at, Code: -1, OutOfMemory: group.outOfMemory()}
	if said.code != nil {
		exit.Code = *said.code
	}
	if exit.At.IsZero() {
		exit.At = time.Now()
	}
	group.remove()
	return exit
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
