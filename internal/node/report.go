package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

const (
	coalesce  = time.Millisecond // changes within it are one report
	heartbeat = 15 * time.Second
	counting  = 100 * time.Millisecond // between reports of a cutover
	telling   = platform.NewsHold / 4  // between news for other routers
	// counted is how long a cutover is reported at least: long enough to judge it by.
	counted = 10 * time.Second
)

// reporter tells the control plane what changed.
type reporter struct {
	link     *link
	info     platform.RuntimeInfo
	look     func(ids map[string]bool) []platform.Instance
	cutovers func() []platform.CutoverReport
	edge     func() []string // what is wrong with the router's table
	asked    func() []string // hosts that wait for a certificate
	kick     chan struct{}   // capacity 1: there is something to say
	prompt   chan struct{}   // capacity 1: and somebody waits for it
	shifted  chan struct{}   // capacity 1: a cutover began
	news     func() platform.RouterNews
	stirred  chan struct{} // capacity 1: there is news for other routers

	sending sync.Mutex // one report at a time, so that none overtakes another

	mu       sync.Mutex
	dirty    map[string]bool
	left     []string
	acked    int64
	refused  []platform.Refusal // of what is acked
	full     bool               // the control plane must hear everything
	problems map[string]string
	sent     map[string]platform.CutoverReport // as last reported
	rumours  *platform.RouterNews              // for the next report; nil: nothing new
	rumoured bool                              // the last ones were not empty
}

func newReporter(l *link, info platform.RuntimeInfo) *reporter {
	return &reporter{
		link: l, info: info, full: true,
		kick: make(chan struct{}, 1), prompt: make(chan struct{}, 1), shifted: make(chan struct{}, 1), stirred: make(chan struct{}, 1),
		dirty: make(map[string]bool), problems: make(map[string]string), sent: make(map[string]platform.CutoverReport),
	}
}

func (r *reporter) changed(id string) {
	r.mu.Lock()
	r.dirty[id] = true
	r.mu.Unlock()
	nudge(r.kick)
}

func (r *reporter) gone(id string) {
	r.mu.Lock()
	delete(r.dirty, id)
	r.left = append(r.left, id)
	r.mu.Unlock()
	nudge(r.kick)
}

func (r *reporter) ack(version int64, refused []platform.Refusal) {
	r.mu.Lock()
	r.acked, r.refused = version, refused
	r.mu.Unlock()
	nudge(r.prompt)
}

// problem names something that is wrong with this machine; empty words end it.
func (r *reporter) problem(what, words string) {
	r.mu.Lock()
	before := r.problems[what]
	if words == "" {
		delete(r.problems, what)
	} else {
		r.problems[what] = words
	}
	r.mu.Unlock()
	if before != words {
		nudge(r.kick)
	}
}

func (r *reporter) listProblems() []string {
	all := r.edge()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, words := range r.problems {
		all = append(all, words)
	}
	slices.Sort(all)
	return all
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run reports until ctx ends. A report that does not arrive is not sent again:
// the puller, which sees the control plane come back, says everything.
func (r *reporter) run(ctx context.Context) {
	alive := time.NewTicker(heartbeat)
	defer alive.Stop()
	var count, tell <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.prompt:
		case <-r.kick:
			if !sleep(ctx, coalesce) {
				return
			}
		case <-alive.C:
		case <-r.shifted:
			count = time.After(counting)
			continue
		case <-r.stirred:
			if tell == nil {
				tell = time.After(coalesce)
			}
			continue
		case <-tell:
			if tell = nil; r.gather() {
				tell = time.After(telling)
			}
		case <-count:
			count = nil
			if r.counts() {
				count = time.After(counting)
			}
			if len(r.freshCutovers(false)) == 0 {
				continue // a cutover may take hours, and count nothing
			}
		}
		_ = r.send(ctx, false)
	}
}

// gather readies what the other routers are to hear, and reports whether there
// will be more.
func (r *reporter) gather() (more bool) {
	news := r.news()
	r.mu.Lock()
	defer r.mu.Unlock()
	more = !news.Empty()
	if more || r.rumoured {
		r.rumours, r.rumoured = &news, more
	}
	return more
}

// counts reports whether a cutover is under way.
func (r *reporter) counts() bool {
	for _, c := range r.cutovers() {
		if c.Shifting || c.Draining > 0 || time.Since(c.Started) < counted {
			return true
		}
	}
	return false
}

// send reports what changed, or everything. It returns nil when the control
// plane has it.
func (r *reporter) send(ctx context.Context, everything bool) error {
	r.sending.Lock()
	defer r.sending.Unlock()
	err := r.sendOnce(ctx, everything)
	if errors.Is(err, errReportAll) {
		err = r.sendOnce(ctx, true)
	}
	return err
}

func (r *reporter) sendOnce(ctx context.Context, everything bool) error {
	report := platform.NodeReport{Node: r.link.node, Runtime: r.info, Asked: r.asked()}
	r.mu.Lock()
	report.Acked, report.Refused = r.acked, r.refused
	report.Full = r.full || everything
	report.News, r.rumours = r.rumours, nil
	dirty := r.dirty
	report.Gone = r.left
	r.dirty, r.left = make(map[string]bool), nil
	r.full = true // until this one has arrived
	r.mu.Unlock()
	report.Problems = r.listProblems() // after acked, which they are told before
	if report.Full {
		dirty, report.Gone = nil, nil
	}
	if dirty == nil || len(dirty) > 0 {
		report.Instances = r.look(dirty)
	}
	report.Cutovers = r.freshCutovers(report.Full)
	if err := r.link.report(ctx, report); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.full = false
	for _, c := range report.Cutovers {
		r.sent[c.App] = c
	}
	return nil
}

// freshCutovers are the counts that differ from those sent before.
func (r *reporter) freshCutovers(all bool) []platform.CutoverReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	var fresh []platform.CutoverReport
	for _, c := range r.cutovers() {
		recent := c.Shifting || c.Draining > 0 || time.Since(c.Started) < 2*counted
		if recent && (all || r.sent[c.App] != c) {
			fresh = append(fresh, c)
		}
	}
	return fresh
}
