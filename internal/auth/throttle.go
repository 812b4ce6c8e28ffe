package auth

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// ThrottledError refuses a password unseen, because too many before it were
// wrong. It matches platform.ErrUnavailable.
type ThrottledError struct{ RetryAfter time.Duration }

func (e *ThrottledError) Error() string { return e.Unwrap().Error() }

// Unwrap words the error for the user.
func (e *ThrottledError) Unwrap() error {
	return &platform.UserError{
		Kind:    platform.ErrUnavailable,
		Message: fmt.Sprintf("Too many failed logins. Try again in %d seconds.", int64((e.RetryAfter+time.Second-1)/time.Second)),
	}
}

// limit allows burst failures at once and another one every interval.
type limit struct {
	burst    int
	interval time.Duration
}

// Three limits at once. The first stops guessing; the second, trying one
// password on many accounts; the third, guessing from many addresses, and is
// wide so that an owner is hard to lock out.
var (
	pairLimit    = limit{burst: 8, interval: 15 * time.Second}
	addressLimit = limit{burst: 60, interval: 5 * time.Second}
	accountLimit = limit{burst: 200, interval: 10 * time.Second}
)

// maxBuckets bounds the memory of a throttle to about a megabyte.
const maxBuckets = 4096

// throttle counts failed passwords in leaky buckets, one an account and
// address, one an address and one an account.
type throttle struct {
	mu sync.Mutex
	// empty is when the last failure in a bucket is forgotten.
	empty map[bucket]time.Time
}

type bucket struct {
	account string
	network netip.Prefix
}

func newThrottle() *throttle { return &throttle{empty: make(map[bucket]time.Time)} }

// attempt is one password on its way to be checked. It counts as a failure
// until it is known not to be one, so that many at once are no way around.
type attempt struct {
	throttle *throttle
	charges  []charge
}

type charge struct {
	bucket bucket
	limit  limit
}

// begin charges an attempt, or refuses it with a *ThrottledError.
func (t *throttle) begin(account, from string) (*attempt, error) {
	account = account[:min(len(account), maxUsername)]
	network := networkOf(from)
	charges := []charge{
		{bucket{account, network}, pairLimit},
		{bucket{"", network}, addressLimit},
		{bucket{account, netip.Prefix{}}, accountLimit},
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	var wait time.Duration
	for _, c := range charges {
		full := now.Add(time.Duration(c.limit.burst-1) * c.limit.interval)
		wait = max(wait, t.empty[c.bucket].Sub(full))
	}
	if wait > 0 {
		return nil, &ThrottledError{RetryAfter: wait}
	}
	for _, c := range charges {
		t.add(c.bucket, now, c.limit.interval)
	}
	return &attempt{throttle: t, charges: charges}, nil
}

// forgive takes the charge back: the password was not looked at.
func (a *attempt) forgive() {
	now := time.Now()
	a.throttle.mu.Lock()
	defer a.throttle.mu.Unlock()
	for _, c := range a.charges {
		a.throttle.add(c.bucket, now, -c.limit.interval)
	}
}

// succeed takes the charge back, and all earlier ones of this account from
// this address.
func (a *attempt) succeed() {
	a.forgive()
	a.throttle.mu.Lock()
	defer a.throttle.mu.Unlock()
	delete(a.throttle.empty, a.charges[0].bucket)
}

// add fills or drains a bucket. The caller holds mu.
func (t *throttle) add(b bucket, now time.Time, failure time.Duration) {
	empty := t.empty[b]
	if empty.Before(now) {
		empty = now
	}
	empty = empty.Add(failure)
	if !empty.After(now) {
		delete(t.empty, b)
		return
	}
	if _, known := t.empty[b]; !known && len(t.empty) >= maxBuckets {
		t.makeRoom(now)
	}
	t.empty[b] = empty
}

// makeRoom drops the buckets that are empty, and if there are none the one
// that will be first.
func (t *throttle) makeRoom(now time.Time) {
	var first bucket
	var when time.Time
	for b, empty := range t.empty {
		if !empty.After(now) {
			delete(t.empty, b)
			continue
		}
		if when.IsZero() || empty.Before(when) {
			first, when = b, empty
		}
	}
	if len(t.empty) >= maxBuckets {
		delete(t.empty, first)
	}
}

// networkOf is the address of "host:port" or "host", of IPv6 its first 64
// bits, which one subscriber has; the zero Prefix stands for what is neither.
func networkOf(from string) netip.Prefix {
	if host, _, err := net.SplitHostPort(from); err == nil {
		from = host
	}
	address, err := netip.ParseAddr(from)
	if err != nil {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	address = address.Unmap().WithZone("")
	bits := 32
	if address.Is6() {
		bits = 64
	}
	prefix, _ := address.Prefix(bits) // bits fit
	return prefix
}
