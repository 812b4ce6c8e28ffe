package overload

import (
	"math"
	"time"
)

// GateState is what a gate has learnt of an app that holds for another gate of
// the same instances. The zero value is nothing.
type GateState struct {
	Level   Level         `json:"level"` // the lowest that is admitted
	Cut     Level         `json:"cut,omitempty"`
	Pressed bool          `json:"pressed,omitempty"` // the queue stands
	Hold    time.Duration `json:"hold,omitempty"`    // how long slots are held
	// Limit is what one instance was found to serve at a time, Full that it was
	// found once, and Base how long an answer takes with little to do.
	Limit float64       `json:"limit,omitempty"`
	Full  bool          `json:"full,omitempty"`
	Base  time.Duration `json:"base,omitempty"`
}

// State is what the gate has learnt, and whether that is worth to be told: a gate
// that turns nobody away and has found no limit begins anew at no cost.
func (g *Gate) State() (s GateState, rests bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s = GateState{Level: g.cursor.level, Cut: g.cursor.cut, Pressed: g.pressed, Hold: g.hold, Full: g.limit.full, Base: g.limit.base}
	if g.limit.instances > 0 {
		s.Limit = g.limit.own / float64(g.limit.instances)
	}
	return s, s.Level == Lowest && !s.Full
}

// longestHold bounds how long a slot is believed to be held.
const longestHold = time.Hour

// Restore makes what another gate had learnt what this one knows. What cannot be
// is bounded.
func (g *Gate) Restore(now time.Duration, s GateState) {
	g.mu.Lock()
	g.cursor.level, g.cursor.cut = min(max(s.Level, 0), Lowest), min(max(s.Cut, 0), Lowest)
	g.pressed, g.empty = s.Pressed, now
	g.hold = min(max(s.Hold, 0), longestHold)
	l := &g.limit
	l.full, l.base = s.Full, min(max(s.Base, 0), longestHold)
	if s.Limit > 0 && !math.IsInf(s.Limit, 0) {
		l.own = s.Limit * float64(l.instances)
	}
	if !l.told {
		l.settle()
	}
	g.settle(now)
}
