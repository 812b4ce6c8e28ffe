package overload

import "time"

// Await is Enter and Ask for callers that may block: it returns once the
// request has a slot (None) or is turned away, or done is closed, which left
// reports. clock is the clock of all the gate's times. Nothing is allocated
// while nothing is short.
func (g *Gate) Await(clock func() time.Duration, level func() Level, done <-chan struct{}) (why Reason, left bool) {
	now := clock()
	if g.Enter(now) {
		return None, false
	}
	ready := make(chan Reason, 1)
	w := &Waiter{Ready: func(why Reason) { ready <- why }}
	switch verdict, why := g.Ask(now, level(), w); verdict {
	case Go, Shed:
		return why, false
	default:
		return g.await(clock, w, ready, done)
	}
}

func (g *Gate) await(clock func() time.Duration, w *Waiter, ready <-chan Reason, done <-chan struct{}) (why Reason, left bool) {
	for {
		timer := time.NewTimer(max(g.Deadline(clock(), w), 0) + time.Millisecond)
		select {
		case why = <-ready:
			timer.Stop()
			return why, false
		case <-timer.C:
			g.Tick(clock())
		case <-done:
			timer.Stop()
			if g.Leave(w) {
				return None, true
			}
			// It was decided before: a slot is given back by the caller.
			return <-ready, false
		}
	}
}
