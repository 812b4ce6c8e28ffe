package balance

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Balancer chooses among the hosts of one pool. Its list and its settings do
// not change: After makes the next one. All methods are safe for concurrent
// use.
type Balancer struct {
	hosts     []*Host
	settings  platform.Balance
	slowStart time.Duration
	limit     int32
	tokens    []string // of each host, for cookies; nil: none
	key       []byte   // what they are signed with
	shared    *shared
	told      Told

	mu   sync.Mutex // held by who ejects, and who looks at an interval
	rows []row      // for evaluate alone
}

// shared is what a pool keeps while its list changes.
type shared struct {
	budget budget
	due    atomic.Int64 // end of the interval
	counts counts
}

// Told is told of a host that is passed over from now on, until a time, because
// it refused a connection or because it failed. It must not block.
type Told func(h *Host, until time.Duration, refused bool)

// After is a balancer of hosts, in the caller's order, that goes on from old,
// which may be nil. It is old when nothing differs. The key signs the tokens of
// sticky sessions; without one there are none. Told may be nil.
func After(old *Balancer, hosts []*Host, settings platform.Balance, key []byte, told Told) *Balancer {
	if settings.Sticky != StickyCookie {
		key = nil
	}
	if old != nil && slices.Equal(old.hosts, hosts) && sameSettings(old.settings, settings) && string(old.key) == string(key) {
		return old
	}
	b := &Balancer{
		hosts: hosts, settings: settings, slowStart: settings.SlowStart, key: key, told: told,
		limit: int32(min(max(settings.MaxConcurrent, 0), 1<<30)), rows: make([]row, len(hosts)),
	}
	if old != nil {
		b.shared = old.shared
	} else {
		b.shared = &shared{}
		b.shared.budget.milli.Store(budgetCap)
	}
	if key != nil {
		b.sign()
	}
	return b
}

func sameSettings(a, b platform.Balance) bool {
	if (a.Retries == nil) != (b.Retries == nil) || a.Retries != nil && *a.Retries != *b.Retries {
		return false
	}
	a.Retries, b.Retries = nil, nil
	return a == b
}

// Hosts are those that it chooses among, in the order of After.
func (b *Balancer) Hosts() []*Host { return b.hosts }

// Refusal is why nobody was picked.
type Refusal int

// The refusals, and that there is none.
const (
	Picked Refusal = iota
	Nobody         // none of the hosts may serve
	Full           // each that may has as much open as it may have
)

// Pick chooses a host and takes a place there, which Done or Entry.Undo gives
// back. It returns the host's index. May says who may serve; random is any
// number. As long as somebody may serve and has room, somebody is picked.
func (b *Balancer) Pick(now time.Duration, random uint64, may func(i int) bool) (int, Entry, Refusal) {
	rnd := rng(random)
	for range attempts {
		i, forced, why := b.choose(now, &rnd, may)
		if i < 0 {
			return -1, Entry{}, why
		}
		if e, ok := b.hosts[i].enter(now, b.room(b.hosts[i], now), forced); ok {
			return i, e, Picked
		}
	}
	return -1, Entry{}, Full // others were faster, each time
}

// attempts bounds how often a place that another has just taken is looked for.
const attempts = 16

// Take is Pick of a certain host, for who is used to it: it reports false when
// the host is passed over or full.
func (b *Balancer) Take(i int, now time.Duration, may func(i int) bool) (Entry, Refusal) {
	if i < 0 || i >= len(b.hosts) || !may(i) || !b.hosts[i].takes(now) {
		return Entry{}, Nobody
	}
	if e, ok := b.hosts[i].enter(now, b.room(b.hosts[i], now), false); ok {
		return e, Picked
	}
	return Entry{}, Full
}

// room is how many requests may be open to h; 0: any number. It grows with the
// weight of a host that starts slowly.
func (b *Balancer) room(h *Host, now time.Duration) int32 {
	if b.limit == 0 {
		return 0
	}
	return max(int32(int64(b.limit)*h.weight(now, b.slowStart)/whole), 1)
}

func (b *Balancer) full(h *Host, now time.Duration) bool {
	return b.limit > 0 && h.open.Load() >= b.room(h, now)
}

// choose is a host's index, or -1. Forced: nobody sound has room.
func (b *Balancer) choose(now time.Duration, rnd *rng, may func(i int) bool) (i int, forced bool, why Refusal) {
	if len(b.hosts) == 0 {
		return -1, false, Nobody
	}
	first := b.draw(now, rnd, -1, may)
	if first < 0 {
		first, forced, why = b.census(now, rnd, may)
	}
	if first < 0 || forced || len(b.hosts) == 1 {
		return first, forced, why
	}
	if second := b.draw(now, rnd, first, may); second >= 0 && b.better(second, first, now) {
		return second, false, Picked
	}
	return first, false, Picked
}

// draws is how often a random host is looked at before all are.
const draws = 6

// draw is a random sound host by weight, other than not. It gives up, with -1,
// when it meets one that is passed over: then all have to be looked at.
func (b *Balancer) draw(now time.Duration, rnd *rng, not int, may func(i int) bool) int {
	others := len(b.hosts)
	if not >= 0 {
		others--
	}
	for range draws {
		i := rnd.below(others)
		if not >= 0 && i >= not {
			i++
		}
		if !may(i) {
			continue
		}
		h := b.hosts[i]
		if !h.takes(now) {
			if not < 0 {
				return -1
			}
			continue
		}
		weight := h.weight(now, b.slowStart)
		if b.full(h, now) || weight < whole && int64(rnd.below(whole)) >= weight {
			continue
		}
		return i
	}
	return -1
}

// better reports whether host i is to be preferred to j, which was drawn first.
func (b *Balancer) better(i, j int, now time.Duration) bool {
	hi, hj := b.hosts[i], b.hosts[j]
	li := int64(hi.open.Load()) * hj.weight(now, b.slowStart)
	lj := int64(hj.open.Load()) * hi.weight(now, b.slowStart)
	if li != lj {
		return li < lj
	}
	ci, cj := hi.cost(now), hj.cost(now)
	return ci > 0 && cj > 2*ci+1000
}

// census looks at all hosts and draws one by weight: of the sound; in a panic
// of the ejected too; of all others that may serve when there is nobody else.
func (b *Balancer) census(now time.Duration, rnd *rng, may func(i int) bool) (i int, forced bool, why Refusal) {
	var up, well int
	trusted, known, anybody := newUrn(), newUrn(), newUrn()
	for i, h := range b.hosts {
		if !may(i) {
			continue
		}
		up++
		as := h.standing(now)
		takes := as == sound || as == halfOpen && !h.probe.Load()
		if takes {
			well++
		}
		if b.full(h, now) {
			continue
		}
		weight := h.weight(now, b.slowStart)
		if takes {
			trusted.add(i, weight, rnd)
		}
		if takes || as == ejected {
			known.add(i, weight, rnd)
		}
		anybody.add(i, weight, rnd)
	}
	panics := 2*well < up
	switch {
	case up == 0:
		return -1, false, Nobody
	case trusted.held >= 0 && !panics:
		return trusted.held, false, Picked
	case known.held >= 0:
		return known.held, !b.hosts[known.held].takes(now), Picked
	case anybody.held >= 0:
		return anybody.held, true, Picked
	}
	return -1, false, Full
}

// urn holds one of what was put in, drawn by weight.
type urn struct {
	held  int
	total int64
}

func newUrn() urn { return urn{held: -1} }

func (u *urn) add(i int, weight int64, rnd *rng) {
	u.total += weight
	if int64(rnd.below(int(u.total))) < weight {
		u.held = i
	}
}

// rng is SplitMix64.
type rng uint64

func (r *rng) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	return mix(uint64(*r))
}

func (r *rng) below(n int) int {
	if n <= 0 {
		return 0
	}
	return int((r.next() >> 32) * uint64(n) >> 32)
}
