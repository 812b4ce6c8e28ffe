package overload

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/slipway-paas/slipway/internal/match"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Rates are the bounds of what single clients may ask an app for: token
// buckets, and how much of a client's may be open. What is remembered of
// clients is bounded; who was not seen for longest is forgotten first. All
// methods are safe for concurrent use.
type Rates struct {
	wish  []platform.RateLimit
	key   Key
	rules []*rateRule
	wrong []string
}

// maxRates bounds the rules of an app, each of which may remember clients.
const maxRates = 8

// rateRule is one rule. It stays while other rules change.
type rateRule struct {
	wish    platform.RateLimit
	by      source
	path    match.Path
	every   time.Duration // between two requests; 0: no bucket
	burst   time.Duration // how far ahead a client may be
	open    int32         // 0: no bound
	clients *clients
}

// RatesAfter are the rates of a wish; nil when there are none. Rules that old
// had already, with the buckets of their clients, are taken over from it. What
// cannot be used is left out and named by Complaints.
func RatesAfter(old *Rates, key Key, wish []platform.RateLimit) *Rates {
	if len(wish) == 0 {
		return nil
	}
	if old != nil && old.key == key && slices.Equal(old.wish, wish) {
		return old
	}
	r := &Rates{wish: slices.Clone(wish), key: key}
	left := platform.MaxPathWeight
	for _, w := range wish {
		rule, err := old.rule(key, w), error(nil)
		if rule == nil {
			rule, err = newRateRule(w, &left)
		}
		if err == nil && len(r.rules) == maxRates {
			err = fmt.Errorf("an app may have %d", maxRates)
		}
		if err != nil {
			r.wrong = append(r.wrong, fmt.Sprintf("rate limit by %.80q is left out: %v", w.By, err))
			continue
		}
		r.rules = append(r.rules, rule)
	}
	return r
}

// rule is the one that was made of a wish; nil when there is none.
func (r *Rates) rule(key Key, wish platform.RateLimit) *rateRule {
	if r != nil && r.key == key {
		for _, rule := range r.rules {
			if rule.wish == wish {
				return rule
			}
		}
	}
	return nil
}

func newRateRule(wish platform.RateLimit, left *int) (rule *rateRule, err error) {
	rule = &rateRule{wish: wish, open: int32(min(max(wish.Concurrent, 0), math.MaxInt32)), clients: newClients()}
	if rule.by, err = parseSource(wish.By, ""); err != nil {
		return nil, err
	}
	if wish.PerSecond > 0 {
		rule.every = time.Duration(float64(time.Second) / min(max(wish.PerSecond, 1e-5), 1e9))
		burst := max(wish.Burst, 1)
		if wish.Burst == 0 {
			burst = max(int(min(wish.PerSecond, 1e6)), 1)
		}
		rule.burst = time.Duration(min(float64(rule.every)*float64(burst), float64(longestBurst)))
	}
	if rule.every == 0 && rule.open == 0 {
		return nil, fmt.Errorf("it bounds nothing: it has neither a rate nor a number of open requests")
	}
	if wish.Path != "" {
		if rule.path, err = match.CompilePath(wish.Path, left); err != nil {
			return nil, fmt.Errorf("path %.80q: %w", wish.Path, err)
		}
	}
	return rule, nil
}

// longestBurst bounds what a bucket may hold, in time.
const longestBurst = 30 * 24 * time.Hour

// Complaints say what of the wish was left out, and why.
func (r *Rates) Complaints() []string {
	if r == nil {
		return nil
	}
	return r.wrong
}

// Held is what a request that was admitted holds of Rates. The zero value
// holds nothing.
type Held struct {
	n      int
	rules  [maxRates]*rateRule
	hashes [maxRates]uint64
}

// Admit asks for all rules. When one refuses, nothing is taken, and the request
// is to be answered with 429 and Retry-After of the seconds returned. A header
// or cookie that is missing is a client's like any other. It allocates nothing
// while the clients are known.
func (r *Rates) Admit(now time.Duration, v *Visit, held *Held) (why Reason, retry int) {
	if r == nil {
		return None, 0
	}
	var taken Held // of all rules, to be given back
	for _, rule := range r.rules {
		if !rule.path.Matches(v.Path) {
			continue
		}
		hash := r.hash(rule, v)
		why, wait := rule.clients.admit(now, hash, rule)
		if why != None {
			taken.refund(now)
			return why, max(1, int((wait+time.Second-1)/time.Second))
		}
		taken.add(rule, hash)
	}
	for i := range taken.n {
		if taken.rules[i].open > 0 {
			held.add(taken.rules[i], taken.hashes[i])
		}
	}
	return None, 0
}

func (r *Rates) hash(rule *rateRule, v *Visit) uint64 {
	switch rule.by.kind {
	case byApp:
		return 1
	case byClient:
		network := networkOf(v.Client)
		return r.key.sip(1, network[:])
	default:
		return r.key.sip(2, rule.by.of(v))
	}
}

func (h *Held) add(rule *rateRule, hash uint64) {
	h.rules[h.n], h.hashes[h.n] = rule, hash
	h.n++
}

// refund gives back tokens and places of a request that another rule refused.
func (h *Held) refund(now time.Duration) {
	for i := range h.n {
		h.rules[i].clients.refund(now, h.hashes[i], h.rules[i])
	}
}

// Release ends that the request is open. It may be called again.
func (h *Held) Release() {
	for i := range h.n {
		h.rules[i].clients.release(h.hashes[i])
	}
	h.n = 0
}
