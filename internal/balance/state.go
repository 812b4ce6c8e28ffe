package balance

import (
	"math"
	"time"
)

// HostState is what a process may tell another of a host that both lead requests
// to. The zero value is that of a host that nothing is held against, and that
// began to serve long ago.
type HostState struct {
	// Ejected or Refused says why it is passed over, for Left yet; with nothing
	// left it is half open.
	Ejected bool          `json:"ejected,omitempty"`
	Refused bool          `json:"refused,omitempty"`
	Left    time.Duration `json:"left,omitempty"`
	Times   int32         `json:"times,omitempty"` // ejections lately
	Row     int32         `json:"row,omitempty"`   // failures in a row
	// Age is since when it serves, where it starts slowly yet.
	Age time.Duration `json:"age,omitempty"`
}

// State is what is known of the host now, which starts slowly for so long.
func (h *Host) State(now, slowStart time.Duration) (s HostState) {
	if out := h.out.Load(); out != 0 {
		s.Ejected = out&1 == 1
		s.Refused = !s.Ejected
		s.Left = max(time.Duration(out>>1)-now, 0)
	}
	s.Times, s.Row = h.times.Load(), h.row.Load()
	if age := now - time.Duration(h.since.Load()); age < slowStart {
		s.Age = max(age, 1)
	}
	return s
}

// longAgo is when a host began that is not known to have begun lately.
const longAgo = math.MinInt64 / 2

// Restore makes what another process knew what is known of the host. What cannot
// be is bounded.
func (h *Host) Restore(now time.Duration, s HostState) {
	if h.since.Store(longAgo); s.Age > 0 {
		h.since.Store(int64(now - s.Age))
	}
	h.times.Store(min(max(s.Times, 0), int32(maxEjection/ejection)))
	h.row.Store(min(max(s.Row, 0), inARow-1))
	until := now + min(max(s.Left, 0), maxEjection)
	switch {
	case s.Ejected:
		h.pass(until, ejected)
	case s.Refused:
		h.pass(until, quarantined)
	default:
		h.out.Store(0)
	}
}

// Doubt has a host that nothing is held against prove itself with one request at
// a time before it gets more: somebody else has found that it fails. Without a
// host that is sound it is as if nothing were.
func (h *Host) Doubt(now time.Duration) {
	if h.out.CompareAndSwap(0, max(int64(now), 1)<<1|1) {
		h.doubted.Store(true)
	}
}
