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
// number of series is that of process types that are routed to: nothing that a
// client says makes one.
type Metrics struct {
	mu   sync.RWMutex
	apps map[string]map[string]*Series

	// What is no app's. The fields may be used by anybody.
	Doors      [doors]Door
	Handshakes Handshakes
	connects   connects
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
func NewMetrics() *Metrics { return &Metrics{apps: map[string]map[string]*Series{}} }

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

// Series is that of a process type, which begins now when it is new. It is for
// changes of a route, not for requests.
func (m *Metrics) Series(app, process string, now time.Duration) *Series {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.apps[app]
	if of == nil {
		of = map[string]*Series{}
		m.apps[app] = of
	}
	s := of[process]
	if s == nil {
		s = &Series{app: app, process: process, began: now}
		of[process] = s
	}
	return s
}

// Keep drops the series of all process types of an app but these; of none, the
// app. Requests under way may still end in one that was dropped.
func (m *Metrics) Keep(app string, processes ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for process := range m.apps[app] {
		if !slices.Contains(processes, process) {
			delete(m.apps[app], process)
		}
	}
	if len(m.apps[app]) == 0 {
		delete(m.apps, app)
	}
}

// Live says what the process types of an app have lately, by name.
func (m *Metrics) Live(app string, now time.Duration) []Live {
	var all []Live
	for _, s := range m.list(app) {
		all = append(all, s.Live(now))
	}
	return all
}

// list is the series of one app, or of all where it is empty, in order.
func (m *Metrics) list(app string) []*Series {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var all []*Series
	for name, of := range m.apps {
		if app != "" && app != name {
			continue
		}
		for _, s := range of {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *Series) int {
		return cmp.Or(cmp.Compare(a.app, b.app), cmp.Compare(a.process, b.process))
	})
	return all
}
