package balance

import (
	"math"
	"sync/atomic"
	"time"
)

// whole is the weight of a host that nothing is held against.
const whole = 1000

// Host is one instance, as its requests have found it. It outlives the pools
// that list it. All methods are safe for concurrent use; times are on the
// caller's clock, which never goes back.
type Host struct {
	id   string
	hash uint64

	open    atomic.Int32
	since   atomic.Int64  // when it began to serve
	latency atomic.Uint64 // see observe
	out     atomic.Int64  // 0: sound; else see standing
	probe   atomic.Bool   // half open, and one request finds out
	row     atomic.Int32  // failures in a row
	times   atomic.Int32  // ejections lately
	slow    atomic.Bool   // an outlier by latency
	doubted atomic.Bool   // out by hearsay

	// Of the current interval.
	counts atomic.Uint64 // requests, and those that failed shifted by 32
	spent  atomic.Int64  // microseconds until their answers began
}

// NewHost is an instance that begins to serve now. The id is the same on all
// routers, and so is whom it gets by the hash of a client.
func NewHost(id string, now time.Duration) *Host {
	h := &Host{id: id, hash: hashOf(id)}
	h.since.Store(int64(now))
	return h
}

// ID is what NewHost was told.
func (h *Host) ID() string { return h.id }

// Open is how many requests are under way to it.
func (h *Host) Open() int { return int(h.open.Load()) }

// Revive forgets what was held against it: it was started again, or an active
// check that had failed passes.
func (h *Host) Revive(now time.Duration) {
	h.since.Store(int64(now))
	h.out.Store(0)
	h.row.Store(0)
	h.times.Store(0)
	h.latency.Store(0)
	h.slow.Store(false)
	h.doubted.Store(false)
}

// Out reports whether new requests pass it over now, and until when.
func (h *Host) Out(now time.Duration) (until time.Duration, out bool) {
	if as := h.standing(now); as == ejected || as == quarantined {
		return time.Duration(h.out.Load() >> 1), true
	}
	return 0, false
}

// standing is what requests have found about a host.
type standing int

const (
	sound standing = iota
	halfOpen
	ejected
	quarantined // it refused a connection
)

// standing reads out: the time until when it is passed over, shifted by one,
// and whether that is an ejection.
func (h *Host) standing(now time.Duration) standing {
	out := h.out.Load()
	switch {
	case out == 0:
		return sound
	case int64(now) >= out>>1:
		return halfOpen
	case out&1 == 1:
		return ejected
	}
	return quarantined
}

func (h *Host) pass(until time.Duration, as standing) {
	word := max(int64(until), 1) << 1
	if as == ejected {
		word |= 1
	}
	h.out.Store(word)
}

// takes reports whether it may get a request as one of the sound: a half open
// one only while nobody else finds out.
func (h *Host) takes(now time.Duration) bool {
	as := h.standing(now)
	return as == sound || as == halfOpen && !h.probe.Load()
}

// weight is between a tenth and all of whole; half of that for an outlier.
func (h *Host) weight(now, slowStart time.Duration) int64 {
	weight := int64(whole)
	if slowStart > 0 {
		if age := now - time.Duration(h.since.Load()); age < slowStart {
			weight = whole/10 + int64(float64(max(age, 0))/float64(slowStart)*(whole-whole/10))
		}
	}
	if h.slow.Load() {
		weight /= 2
	}
	return weight
}

// memory is how long a latency counts: without another it is halved for each
// that passes.
const memory = 5 * time.Second

// observe takes a latency into the peak EWMA: a higher one counts at once, a
// lower one the more the longer ago the last was. One word holds it, in
// microseconds, with the millisecond of the last observation below. When two
// meet, one is left out.
func (h *Host) observe(now, latency time.Duration, failed bool) {
	was := h.latency.Load()
	stamp := uint32(now.Milliseconds())
	fresh := uint32(min(max(latency.Microseconds(), 1), math.MaxUint32))
	cost := uint32(was >> 32)
	switch {
	case fresh >= cost:
		cost = fresh
	case failed:
		return // to fail fast is no merit
	default:
		kept := math.Exp(-float64(max(stamp-uint32(was), 1)) / float64(memory.Milliseconds()))
		cost = fresh + uint32(float64(cost-fresh)*kept)
	}
	h.latency.CompareAndSwap(was, uint64(cost)<<32|uint64(stamp))
}

// cost is its latency lately in microseconds; 0: not known.
func (h *Host) cost(now time.Duration) uint64 {
	word := h.latency.Load()
	if word == 0 {
		return 0
	}
	idle := uint32(now.Milliseconds()) - uint32(word)
	return max(word>>32>>(idle/uint32(memory.Milliseconds())), 1)
}

// Entry is the place of one request at a host. The zero value is none.
type Entry struct {
	host   *Host
	trial  bool // it was passed over or half open when the request came
	probe  bool // the request is the one that finds out
	judged bool // Answered was told
}

// Host is where the place is; nil: none.
func (e Entry) Host() *Host { return e.host }

// enter takes a place, unless limit (0: none) are taken.
func (h *Host) enter(now time.Duration, limit int32, forced bool) (Entry, bool) {
	e := Entry{host: h}
	if h.out.Load() != 0 {
		switch {
		case h.takes(now) && h.probe.CompareAndSwap(false, true):
			e.trial, e.probe = true, true
		case forced:
			e.trial = true
		case h.out.Load() != 0:
			return Entry{}, false
		}
	}
	if open := h.open.Add(1); limit > 0 && open > limit {
		e.Undo()
		return Entry{}, false
	}
	return e, true
}

// Undo gives a place back that no request took.
func (e Entry) Undo() {
	if e.host == nil {
		return
	}
	e.host.open.Add(-1)
	if e.probe {
		e.host.probe.Store(false)
	}
}

// hashOf is the same in every process.
func hashOf(id string) uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return mix(h)
}

// mix spreads the bits (SplitMix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
