package router

import (
	"time"

	"golang.org/x/sys/unix"
)

// pace is how well a client takes what waits for it: the least rate, for all who
// write. A write that waits says little of that: it goes on when half of what the
// kernel holds is gone, and for who is as slow as may be that takes minutes. So
// those that wait are looked at a few times in RateGrace, and what counts is what
// the client has acknowledged.
type pace struct {
	since  time.Duration // when the wait began that was looked at last
	at     time.Duration // when that was
	behind time.Duration // by how much the client was then, of the least rate
	taken  uint64        // bytes that it had acknowledged
}

// looks is how often a wait is looked at until it is too long.
const looks = 8

// next is when a wait that began at since is to be looked at, a tick after that at
// the earliest.
func (p *pace) next(since time.Duration, opt *Options) time.Duration {
	if p.since != since {
		return since
	}
	return p.at + opt.RateGrace/looks
}

// slow looks at a client that has been waited for since then, and has acknowledged
// so many bytes of all that it was sent. It reports whether the client is to be cut
// off, as it is RateGrace behind the least rate.
func (p *pace) slow(since, now time.Duration, taken uint64, opt *Options) bool {
	if p.since != since { // the waits before have ended: it took much
		*p = pace{since: since, at: now, taken: taken} // since may be a tick early
	}
	worth := float64(taken-p.taken) / float64(opt.MinRate) * float64(time.Second)
	p.behind = max(0, p.behind-time.Duration(min(worth, float64(opt.RateGrace)))) + now - p.at
	p.at, p.taken = now, taken
	return p.behind >= opt.RateGrace
}

// acknowledged is how many bytes the other end of a connection has acknowledged
// so far; 0: the kernel does not say.
func acknowledged(fd int) uint64 {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0
	}
	return info.Bytes_acked
}
