package access

import (
	"cmp"
	"crypto/tls"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Metrics are the counts of one router. Times are on the caller's clock. The
// number of series is that of process types that are routed to and were asked
// for: nothing that a client says makes one.
type Metrics struct {
	mu   sync.RWMutex
	apps map[string][]*Series // by process type
	own  int                  // series that are exported each by itself
	gone totals               // of those that were not, and left

	// What is no app's. The fields may be used by anybody.
	Doors      [doors]Door
	Handshakes Handshakes
	Crowded    atomic.Int64 // connections closed for there were too many from one address
	connects   connects
	refused    refusals
}

// refusals are the heads that a protocol refused. They are rare enough for one lock.
type refusals struct {
	mu sync.Mutex
	by map[refusal]uint64
}

type refusal struct {
	proto  string
	status int
}

// Refused counts a head that was refused before it was a request of any app.
func (m *Metrics) Refused(proto string, status int) {
	m.refused.mu.Lock()
	defer m.refused.mu.Unlock()
	if m.refused.by == nil {
		m.refused.by = map[refusal]uint64{}
	}
	m.refused.by[refusal{proto, status}]++
}

// Door is a way into the router.
type Door struct {
	opened atomic.Int64 // connections so far
	open   atomic.Int64 // now
}

// Enter counts a connection; Close ends that it is open.
func (d *Door) Enter() {
	d.opened.Add(1)
	d.open.Add(1)
}

// Close ends one that Enter counted.
func (d *Door) Close() { d.open.Add(-1) }

// Open counts a connection for HTTP, or secure for HTTPS, and returns its door.
func (m *Metrics) Open(secure bool) *Door {
	d := &m.Doors[HTTP]
	if secure {
		d = &m.Doors[HTTPS]
	}
	d.Enter()
	return d
}

// The doors.
const (
	HTTP = iota
	HTTPS
	TCP
	doors
)

// Handshakes counts TLS handshakes.
type Handshakes struct {
	done   [2]atomic.Int64 // of 1.2 and 1.3
	Failed atomic.Int64
}

// Done counts one that succeeded.
func (h *Handshakes) Done(version uint16) {
	if version == tls.VersionTLS13 {
		h.done[1].Add(1)
		return
	}
	h.done[0].Add(1)
}

// connects is how long connections to instances took to come about. They are
// made rarely enough for one lock.
type connects struct {
	mu     sync.Mutex
	took   histogram
	failed uint64
}

// NewMetrics counts from nothing.
func NewMetrics() *Metrics { return &Metrics{apps: map[string][]*Series{}} }

// Connected counts an attempt to connect to an instance.
func (m *Metrics) Connected(took time.Duration, err error) {
	m.connects.mu.Lock()
	defer m.connects.mu.Unlock()
	if err != nil {
		m.connects.failed++
		return
	}
	m.connects.took.add(took)
}

// MostExported is how many series are exported each by itself; those that begin
// while there are as many are exported as one, Others. A scrape costs some 36 KB
// and 0.1 ms for each.
const MostExported = 5000

// Others is the app that stands for those that have no lines of their own.
const Others = "(others)"

// Series is that of a process type. It is made for its first request, and counts
// since began, when the process type was first routed to. It is nil when there
// is none and stays reports false, which is asked so that what Keep dropped does
// not come back; nil: it stays.
func (m *Metrics) Series(app, process string, began time.Duration, stays func() bool) *Series {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.apps[app] {
		if s.process == process {
			return s
		}
	}
	if stays != nil && !stays() {
		return nil
	}
	s := &Series{app: app, process: process, began: began, own: m.own < MostExported}
	if s.own {
		m.own++
	}
	at, _ := slices.BinarySearchFunc(m.apps[app], process, func(s *Series, process string) int { return cmp.Compare(s.process, process) })
	m.apps[app] = slices.Insert(m.apps[app], at, s)
	return s
}

// Keep drops the series of all process types of an app but these; of none, the
// app. Requests under way may still end in one that was dropped.
func (m *Metrics) Keep(app string, processes ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.apps[app]
	if of == nil {
		return
	}
	of = slices.DeleteFunc(of, func(s *Series) bool {
		stays := slices.Contains(processes, s.process)
		if !stays {
			m.drop(s)
		}
		return !stays
	})
	if m.apps[app] = of; len(of) == 0 {
		delete(m.apps, app)
	}
}

// drop takes note that a series is exported no more. What is exported with
// others stays in their sum, which must not shrink.
func (m *Metrics) drop(s *Series) {
	if s.own {
		m.own--
		return
	}
	s.sum(&m.gone)
}

// Live says what the process types of an app have lately, by name.
func (m *Metrics) Live(app string, now time.Duration) []Live {
	m.mu.RLock()
	of := slices.Clone(m.apps[app])
	m.mu.RUnlock()
	var all []Live
	for _, s := range of {
		all = append(all, s.Live(now))
	}
	return all
}

// exported is the series that are exported each by itself, and the sum of the
// others; nil: there are none.
func (m *Metrics) exported() (own []*Series, others *totals) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	sum := m.gone
	for _, of := range m.apps {
		for _, s := range of {
			if s.own {
				own = append(own, s)
				continue
			}
			s.sum(&sum)
		}
	}
	if sum == (totals{}) {
		return own, nil
	}
	return own, &sum
}
