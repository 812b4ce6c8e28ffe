package h2

import "time"

// budget is a token bucket of what a peer may have us do for nothing.
type budget struct {
	left, most int
	rate       int // a second
	since      time.Time
}

func newBudget(most, rate int) budget {
	return budget{left: most, most: most, rate: rate, since: time.Now()}
}

// spend takes one and reports false when there was none left. The clock is
// read only then.
func (b *budget) spend() bool {
	if b.left == 0 {
		now := time.Now()
		b.earn(int(min(now.Sub(b.since).Seconds(), 3600) * float64(b.rate)))
		b.since = now
	}
	if b.left == 0 {
		return false
	}
	b.left--
	return true
}

func (b *budget) earn(n int) { b.left = min(b.left+n, b.most) }
