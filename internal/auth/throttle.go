package auth

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
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

// Four limits at once. The first stops guessing; the second, trying one
// password on many accounts, and the third the same from one who has many
// networks; the fourth, guessing from everywhere. That one could keep an owner
// out for as long as somebody cares to, so it does not count on networks where
// the owner logged in before.
var (
	pairLimit    = limit{burst: 8, interval: 15 * time.Second}
	addressLimit = limit{burst: 60, interval: 5 * time.Second}
	siteLimit    = limit{burst: 300, interval: time.Second}
	accountLimit = limit{burst: 200, interval: 10 * time.Second}
)

// The bounds of a throttle's memory, to about a megabyte each.
const (
	maxBuckets = 4096
	maxHomes   = 4096
	maxHomesOf = 8 // of one account
	homeFor    = 30 * 24 * time.Hour
)

// throttle counts failed passwords in leaky buckets, one an account and
// network, one a network, one a site and one an account. Names that differ in
// case alone share theirs: to a directory they are one.
type throttle struct {
	mu sync.Mutex
	// empty is when the last failure in a bucket is forgotten.
	empty map[bucket]time.Time
	// homes is when an account, by its exact name, logged in last from where.
	homes map[bucket]time.Time
}

type bucket struct {
	account string
	network netip.Prefix
}

func newThrottle() *throttle {
	return &throttle{empty: make(map[bucket]time.Time), homes: make(map[bucket]time.Time)}
}

// attempt is one password on its way to be checked. It counts as a failure
// until it is known not to be one, so that many at once are no way around.
type attempt struct {
	throttle *throttle
	network  netip.Prefix
	charges  []charge
}

type charge struct {
	bucket bucket
	limit  limit
}

// begin charges an attempt, or refuses it with a *ThrottledError.
func (t *throttle) begin(account, from string) (*attempt, error) {
	network, site := networksOf(from)
	folded := strings.ToLower(account[:min(len(account), maxUsername)])
	charges := []charge{
		{bucket{folded, network}, pairLimit},
		{bucket{"", network}, addressLimit},
		{bucket{"", site}, siteLimit},
		{bucket{folded, netip.Prefix{}}, accountLimit},
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	refusing := charges
	if now.Sub(t.homes[bucket{account, network}]) < homeFor {
		refusing = charges[:len(charges)-1]
	}
	var wait time.Duration
	for _, c := range refusing {
		full := now.Add(time.Duration(c.limit.burst-1) * c.limit.interval)
		wait = max(wait, t.empty[c.bucket].Sub(full))
	}
	if wait > 0 {
		return nil, &ThrottledError{RetryAfter: wait}
	}
	for _, c := range charges {
		t.add(c.bucket, now, c.limit.interval)
	}
	return &attempt{throttle: t, network: network, charges: charges}, nil
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

// succeed takes the charge back and remembers that the account, by its exact
// name, is at home there. Failures before it stay: who guesses beside an owner,
// or has an account of nearly the same name, gains nothing by a success.
func (a *attempt) succeed(account string) {
	a.forgive()
	a.throttle.mu.Lock()
	defer a.throttle.mu.Unlock()
	a.throttle.settle(bucket{account, a.network}, time.Now())
}

// settle remembers a home, for the longest unused one of the account when it
// has many, or of all. The caller holds mu.
func (t *throttle) settle(home bucket, now time.Time) {
	if _, known := t.homes[home]; !known {
		var oldest, own bucket
		count := 0
		for other, last := range t.homes {
			if oldest.account == "" || last.Before(t.homes[oldest]) {
				oldest = other
			}
			if other.account != home.account {
				continue
			}
			count++
			if own.account == "" || last.Before(t.homes[own]) {
				own = other
			}
		}
		switch {
		case count >= maxHomesOf:
			delete(t.homes, own)
		case len(t.homes) >= maxHomes:
			delete(t.homes, oldest)
		}
	}
	t.homes[home] = now
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

// networksOf are what one subscriber has of the address of "host:port" or
// "host", and what one organisation may have: of IPv6 the first 64 and 48 bits
// (RFC 6177), of IPv4 the address and the first 24. What is no address shares
// one of each.
func networksOf(from string) (network, site netip.Prefix) {
	if host, _, err := net.SplitHostPort(from); err == nil {
		from = host
	}
	address, err := netip.ParseAddr(from)
	if err != nil {
		address = netip.IPv4Unspecified()
	}
	address = address.Unmap().WithZone("")
	bits := [2]int{32, 24}
	if address.Is6() {
		bits = [2]int{64, 48}
	}
	network, _ = address.Prefix(bits[0]) // bits fit
	site, _ = address.Prefix(bits[1])
	return network, site
}
