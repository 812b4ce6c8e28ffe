package overload

import "time"

// Await is for callers that may block, once Ask said Wait: it returns when the
// request has a slot (None) or is turned away, or done is closed, which left
// reports. w's Ready sends to ready, which has room for one. clock is the clock
// of all the gate's times.
func (g *Gate) Await(clock func() time.Duration, w *Waiter, ready <-chan Reason, done <-chan struct{}) (why Reason, left bool) {
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
			why = <-ready // it was decided before
			if why == None {
				g.Release(clock(), -1, -1)
			}
			return why, true
		}
	}
}
