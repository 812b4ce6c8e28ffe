package platform

import (
	"fmt"
	"time"
)

// Budget is how much worse than the old release a new one may be. It judges by
// what was counted alone, so routers and the control plane, which hears of all
// routers, say the same of the same counts.
type Budget struct {
	Failures float64       `json:"failures"`       // more failed requests, as a share
	Least    int64         `json:"least"`          // failures below this number are chance
	Latency  time.Duration `json:"latency"`        // a longer p99
	Judged   int64         `json:"judged"`         // requests from which on a latency is judged
	Size     *float64      `json:"size,omitempty"` // share of copied answers of another length; nil: any
}

// Broken says in words how the new release breaks the budget, or nothing. It is
// held against the old release: in the same time while that serves too, in the
// minute before where it has too few for that.
func (b Budget) Broken(r CutoverReport) string {
	if r.From == 0 {
		return ""
	}
	before := SideCount{Requests: r.BeforeRequests, Failed: r.BeforeFailed, P99: r.P99Before}
	old, when := before, "before"
	if r.Shifting && r.Old.Requests >= b.Judged {
		old, when = r.Old, fmt.Sprintf("on v%d", r.From)
	}
	now := r.New
	if now.Requests == 0 { // of a node that does not count by step
		now = SideCount{Requests: r.ToRequests, Failed: r.ToFailed, P99: r.P99After}
	}
	if reason := b.worse(now, old, when, r.To); reason != "" {
		return reason
	}
	// A step may last for long, and what went well at first hides what does not now.
	if r.Shifting && r.OldLately.Requests >= b.Judged {
		old, when = r.OldLately, fmt.Sprintf("on v%d", r.From)
	}
	lately := b
	lately.Judged *= 5 // few slow ones within two seconds are chance
	if reason := lately.worse(r.NewLately, old, when, r.To); reason != "" {
		return reason + " lately"
	}
	return b.differs(r.Mirror, r.To)
}

// Unjudged says in words what there were too few requests for to judge it, or
// nothing. A release that nobody asked breaks no budget, which is no praise.
func (b Budget) Unjudged(r CutoverReport) string {
	n, what := r.New.Requests, fmt.Sprintf("requests came to v%d", r.To)
	if m := r.Mirror; m.Compared+m.Dropped > 0 {
		n, what = m.Compared, "copies were compared"
	}
	switch {
	case r.From == 0:
		return ""
	case n == 0:
		return "no " + what + ", nothing was judged"
	case n < b.Least:
		return fmt.Sprintf("only %d %s: too few to judge failures (from %d on) and latency (from %d)", n, what, b.Least, b.Judged)
	case n < b.Judged:
		return fmt.Sprintf("only %d %s: too few to judge its latency (from %d on)", n, what, b.Judged)
	}
	return ""
}

func (b Budget) worse(now, old SideCount, when string, release int) string {
	rate := ratio(old.Failed, old.Requests)
	if now.Failed >= b.Least && ratio(now.Failed, now.Requests) > rate+b.Failures {
		return fmt.Sprintf("%d of %d requests failed on v%d, %.1f %% %s (budget: %.4g %% more)",
			now.Failed, now.Requests, release, 100*rate, when, 100*b.Failures)
	}
	if now.Requests >= b.Judged && old.P99 > 0 && now.P99 > old.P99+b.Latency {
		return fmt.Sprintf("p99 rose from %s %s to %s on v%d (budget: %s more)",
			old.P99.Round(time.Millisecond), when, now.P99.Round(time.Millisecond), release, b.Latency)
	}
	return ""
}

// differs says how the answers to copied requests break the budget.
func (b Budget) differs(m MirrorCount, release int) string {
	switch {
	case m.Compared == 0 && m.Dropped-m.Crowded >= b.Judged: // what is under way comes through yet, or fails
		return fmt.Sprintf("none of %d copies of requests got through to v%d", m.Dropped, release)
	case m.Status >= b.Least && ratio(m.Status, m.Compared) > b.Failures:
		return fmt.Sprintf("%d of %d copied requests had another status on v%d, %d of them failed (budget: %.4g %%)",
			m.Status, m.Compared, release, m.Failed, 100*b.Failures)
	case b.Size != nil && m.Size >= b.Least && ratio(m.Size, m.Compared) > *b.Size:
		return fmt.Sprintf("%d of %d copied requests had an answer of another size on v%d (budget: %.4g %%)",
			m.Size, m.Compared, release, 100**b.Size)
	case m.Compared >= b.Judged && m.P99New > m.P99Old+b.Latency:
		return fmt.Sprintf("p99 of copied requests is %s on v%d, %s before (budget: %s more)",
			m.P99New.Round(time.Millisecond), release, m.P99Old.Round(time.Millisecond), b.Latency)
	}
	return ""
}

func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
