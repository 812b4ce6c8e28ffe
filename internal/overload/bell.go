package overload

import "time"

// Bell tells how long those wait who are served one after the other: it is rung
// where they come in, and heard by who serves them when it is its turn. The zero
// value is ready. It is not safe for concurrent use; times are on one clock.
type Bell struct {
	rung  time.Duration // and not heard yet; 0: it was
	waits time.Duration // of all that were heard
	heard int
	lag   time.Duration // when some were heard last
}

// Ring begins a wait, unless one has begun that nobody has heard of yet.
func (b *Bell) Ring(now time.Duration) {
	if b.rung == 0 {
		b.rung = max(now, 1)
	}
}

// Heard ends it.
func (b *Bell) Heard(now time.Duration) {
	b.waits += now - b.rung
	b.heard++
	b.rung = 0
}

// Lag is the mean of the waits that ended since it was asked last; of those before,
// while nobody has heard of the ring since; how long that waits when it is longer; 0:
// nobody rang.
func (b *Bell) Lag(now time.Duration) time.Duration {
	switch {
	case b.heard > 0:
		b.lag = b.waits / time.Duration(b.heard)
	case b.rung == 0:
		b.lag = 0
	}
	b.waits, b.heard = 0, 0
	if b.rung > 0 {
		return max(b.lag, now-b.rung)
	}
	return b.lag
}
