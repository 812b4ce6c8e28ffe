package overload

import (
	"sync"
	"time"
)

// Pace spaces out what can be put off and costs much: handshakes of TLS, each of
// which takes as long as a dozen requests. While the router is in time they come
// as they come. While it is late, fewer and fewer are begun a second; the others
// wait for their turn, in order. The zero value is ready, and safe for concurrent
// use. Times are on one clock, which never goes back.
type Pace struct {
	mu    sync.Mutex
	every time.Duration // between two; 0: as they come
	next  time.Duration // when the next may begin
	came  int           // in the window
	began time.Duration // of the window
	calm  int           // windows in which nobody waited
}

const (
	// slowest is the pace at which it is not handshakes that make a router late:
	// they take a twentieth of a processor.
	slowest = 5 * time.Millisecond
	// longestTurn is how long one waits for its turn.
	longestTurn = 2 * time.Second
	// calmWindows is for how long nobody has to wait until they come as they come.
	calmWindows = 8
)

// Turn is how long one that comes now has to wait. Unless ok it would be too long.
func (p *Pace) Turn(now time.Duration) (wait time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.came++
	if p.every == 0 {
		return 0, true
	}
	turn := max(p.next, now)
	if turn-now > longestTurn {
		return 0, false
	}
	p.next = turn + p.every
	return turn - now, true
}

// Observe ends a window, in which the router was late or in time, and reports
// whether what makes it late is put off: then nothing else has to give way.
func (p *Pace) Observe(now time.Duration, late bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	length, came := now-p.began, p.came
	p.began, p.came = now, 0
	waits := p.next > now
	switch {
	case late && p.every == 0:
		if came == 0 || length/time.Duration(came) >= slowest {
			return false
		}
		p.every = 2 * length / time.Duration(came)
	case late && waits && p.every < slowest:
		p.every *= 2
	case late:
		return false
	case p.every > 0:
		p.every -= p.every / 5
		if p.calm++; waits {
			p.calm = 0
		}
		if p.calm >= calmWindows {
			p.every, p.next = 0, 0
		}
		return false
	default:
		return false
	}
	p.calm = 0
	p.every = min(p.every, slowest)
	return true
}

// Slowed reports whether some are put off.
func (p *Pace) Slowed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.every > 0
}
