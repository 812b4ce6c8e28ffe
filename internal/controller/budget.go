package controller

import (
	"fmt"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// budget is how much worse than the old release a new one may be.
type budget struct {
	failures float64 // more failed requests, as a share
	least    int64   // failures below this number are chance
	latency  time.Duration
	judged   int64    // requests from which on a latency is judged
	size     *float64 // share of copied answers of another length; nil: any
}

// budgetOf is the app's own budget, the platform's where its team said nothing.
func (c *Controller) budgetOf(s platform.Strategy) budget {
	b := budget{
		failures: c.options.FailureBudget, least: c.options.BudgetFailures,
		latency: c.options.LatencyBudget, judged: c.options.LatencyRequests,
	}
	if s.ErrorBudget != nil {
		b.failures = float64(*s.ErrorBudget) / platform.Whole
	}
	if s.LatencyBudget > 0 {
		b.latency = s.LatencyBudget
	}
	if s.SizeBudget != nil {
		size := float64(*s.SizeBudget) / platform.Whole
		b.size = &size
	}
	return b
}

// broken says in words how the new release breaks the budget, or nothing. It is
// held against the old release: in the same time while that serves too, in the
// minute before where it has too few for that.
func (b budget) broken(r platform.CutoverReport) string {
	if r.From == 0 {
		return ""
	}
	before := platform.SideCount{Requests: r.BeforeRequests, Failed: r.BeforeFailed, P99: r.P99Before}
	old, when := before, "before"
	if r.Shifting && r.Old.Requests >= b.judged {
		old, when = r.Old, fmt.Sprintf("on v%d", r.From)
	}
	now := r.New
	if now.Requests == 0 { // of a node that does not count by step
		now = platform.SideCount{Requests: r.ToRequests, Failed: r.ToFailed, P99: r.P99After}
	}
	if reason := b.worse(now, old, when, r.To); reason != "" {
		return reason
	}
	// A step may last for long, and what went well at first hides what does not now.
	if r.Shifting && r.OldLately.Requests >= b.judged {
		old, when = r.OldLately, fmt.Sprintf("on v%d", r.From)
	}
	b.judged *= 5 // few slow ones within two seconds are chance
	if reason := b.worse(r.NewLately, old, when, r.To); reason != "" {
		return reason + " lately"
	}
	b.judged /= 5
	return b.differs(r.Mirror, r.To)
}

func (b budget) worse(now, old platform.SideCount, when string, release int) string {
	rate := share(old.Failed, old.Requests)
	if now.Failed >= b.least && share(now.Failed, now.Requests) > rate+b.failures {
		return fmt.Sprintf("%d of %d requests failed on v%d, %.1f %% %s (budget: %.4g %% more)",
			now.Failed, now.Requests, release, 100*rate, when, 100*b.failures)
	}
	if now.Requests >= b.judged && old.P99 > 0 && now.P99 > old.P99+b.latency {
		return fmt.Sprintf("p99 rose from %s %s to %s on v%d (budget: %s more)",
			old.P99.Round(time.Millisecond), when, now.P99.Round(time.Millisecond), release, b.latency)
	}
	return ""
}

// differs says how the answers to copied requests break the budget.
func (b budget) differs(m platform.MirrorCount, release int) string {
	switch {
	case m.Compared == 0 && m.Dropped >= b.judged:
		return fmt.Sprintf("none of %d copies of requests got through to v%d", m.Dropped, release)
	case m.Status >= b.least && share(m.Status, m.Compared) > b.failures:
		return fmt.Sprintf("%d of %d copied requests had another status on v%d, %d of them failed (budget: %.4g %%)",
			m.Status, m.Compared, release, m.Failed, 100*b.failures)
	case b.size != nil && m.Size >= b.least && share(m.Size, m.Compared) > *b.size:
		return fmt.Sprintf("%d of %d copied requests had an answer of another size on v%d (budget: %.4g %%)",
			m.Size, m.Compared, release, 100**b.size)
	case m.Compared >= b.judged && m.P99New > m.P99Old+b.latency:
		return fmt.Sprintf("p99 of copied requests is %s on v%d, %s before (budget: %s more)",
			m.P99New.Round(time.Millisecond), release, m.P99Old.Round(time.Millisecond), b.latency)
	}
	return ""
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
