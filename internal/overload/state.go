package overload

import (
	"math"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
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

// Limited reports whether the gate keeps to a limit that its team has told.
func (g *Gate) Limited() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limit.told && g.set.Mode == platform.OverloadOn
}

// Asked is how many requests have come so far.
func (g *Gate) Asked() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.seen.easy + g.seen.shed.Total() + g.seen.would.Total()
	for _, served := range g.seen.served {
		n += served
	}
	return n
}

// Share says that of a limit that was told only a part is this gate's, until a
// time: the rest is that of others who lead to the same instances. At least one
// request at a time is let in.
func (g *Gate) Share(now time.Duration, part float64, until time.Duration) {
	g.mu.Lock()
	g.part, g.partTo = part, until
	g.size(now)
	g.settle(now)
}

// size makes the limit what the settings, the instances and the part of it say.
func (g *Gate) size(now time.Duration) {
	g.limit.set(g.set.Limit, g.instances)
	if g.partTo > 0 && now >= g.partTo {
		g.part, g.partTo = 0, 0
	}
	if g.limit.told && g.partTo > 0 {
		g.limit.total = max(int(float64(g.limit.total)*min(max(g.part, 0), 1)+0.5), 1)
	}
}
