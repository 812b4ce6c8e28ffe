package balance

import (
	"sync/atomic"
	"time"
)

const (
	defaultRetries = 2
	defaultPercent = 20
	// budgetCap is what may be saved up, in thousandths of a retry: a crash
	// breaks off many requests at once.
	budgetCap = 250_000
)

// budget is a token bucket that requests fill and repetitions empty.
type budget struct{ milli atomic.Int64 }

func (b *budget) earn(percent int) {
	if b.milli.Load() < budgetCap {
		b.milli.Add(int64(percent) * 10)
	}
}

func (b *budget) spend() bool {
	for {
		have := b.milli.Load()
		if have < 1000 {
			return false
		}
		if b.milli.CompareAndSwap(have, have-1000) {
			return true
		}
	}
}

// Begin counts a request that has come: a share of them may be sent again.
func (b *Balancer) Begin() {
	percent := b.settings.RetryBudget
	if percent <= 0 {
		percent = defaultPercent
	}
	b.shared.budget.earn(percent)
}

// Retries is how often one request may be sent again.
func (b *Balancer) Retries() int {
	if b.settings.Retries != nil {
		return max(*b.settings.Retries, 0)
	}
	return defaultRetries
}

// Retry reports whether a request may be sent once more, after done times. One
// of which nothing was sent costs the app nothing, and the budget neither;
// nothing else is sent again while the app sheds load.
func (b *Balancer) Retry(done int, sent, shedding bool) bool {
	if done >= b.Retries() {
		return false
	}
	if sent && (shedding || !b.shared.budget.spend()) {
		b.shared.counts.exhausted.Add(1)
		return false
	}
	b.shared.counts.retries.Add(1)
	return true
}

// HedgeAfter is how long to wait for the beginning of an answer to a GET or
// HEAD before a second instance is asked too; 0: never.
func (b *Balancer) HedgeAfter(method string) time.Duration {
	if len(b.hosts) < 2 || method != "GET" && method != "HEAD" {
		return 0
	}
	return max(b.settings.Hedge, 0)
}

// Hedge reports whether a second instance may be asked now.
func (b *Balancer) Hedge(shedding bool) bool {
	if shedding || !b.shared.budget.spend() {
		b.shared.counts.exhausted.Add(1)
		return false
	}
	b.shared.counts.hedges.Add(1)
	return true
}
