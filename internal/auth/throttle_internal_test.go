package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
)

func TestGuessingManyAccountsFromOneNetworkIsThrottled(t *testing.T) {
	throttle := newThrottle()
	guess := func(n int, from string) error {
		_, err := throttle.begin(fmt.Sprint("user", n), from)
		return err
	}
	for n := range addressLimit.burst {
		if err := guess(n, fmt.Sprintf("[2001:db8::%x]:1", n)); err != nil {
			t.Fatalf("guess %d: %v", n, err)
		}
	}
	if err := guess(1000, "2001:db8::ffff"); err == nil {
		t.Error("one more was not throttled")
	}
	if err := guess(1000, "[2001:db8:0:1::1]:1"); err != nil {
		t.Errorf("another network: %v", err)
	}
}

func TestGuessingOneAccountFromManyAddressesIsThrottled(t *testing.T) {
	throttle := newThrottle()
	for n := range accountLimit.burst {
		if _, err := throttle.begin("bob", fmt.Sprintf("10.0.%d.1:1", n)); err != nil {
			t.Fatalf("guess %d: %v", n, err)
		}
	}
	if _, err := throttle.begin("bob", "10.1.0.1:1"); err == nil {
		t.Error("one more was not throttled")
	}
}

func TestTheThrottleForgetsRatherThanGrows(t *testing.T) {
	throttle := newThrottle()
	for n := range maxBuckets / 2 { // three buckets each
		if _, err := throttle.begin(fmt.Sprint("user", n), fmt.Sprintf("10.%d.%d.%d:1", n>>16, n>>8&255, n&255)); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(throttle.empty); got > maxBuckets {
		t.Errorf("%d buckets, want at most %d", got, maxBuckets)
	}
}

func TestAForgivenAttemptLeavesNoTrace(t *testing.T) {
	throttle := newThrottle()
	for range 1000 {
		attempt, err := throttle.begin("bob", "192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		attempt.forgive()
	}
	if len(throttle.empty) != 0 {
		t.Errorf("left %v", throttle.empty)
	}
}

// stranger is the n-th of many networks.
func stranger(n int) string { return fmt.Sprintf("10.%d.%d.1:1", n>>8, n&255) }

func TestAnOwnerIsNotLockedOutWhereTheyLoggedInBefore(t *testing.T) {
	throttle := newThrottle()
	enter := func(name, from string) error {
		attempt, err := throttle.begin(name, from)
		if err == nil {
			attempt.succeed(name)
		}
		return err
	}
	if err := errors.Join(enter("Bob", "192.0.2.1:1"), enter("bob", "192.0.2.9:1")); err != nil {
		t.Fatal(err)
	}
	for n := range 10 * accountLimit.burst { // most of them refused
		_, _ = throttle.begin("BOB", stranger(n))
	}
	if err := enter("Bob", "192.0.2.1:2"); err != nil {
		t.Errorf("the owner at home: %v", err)
	}
	for _, from := range []string{stranger(5000), "192.0.2.9:1"} { // there was one of nearly the same name
		if err := enter("Bob", from); err == nil {
			t.Errorf("bob came in from %s", from)
		}
	}
	for range pairLimit.burst {
		_, _ = throttle.begin("Bob", "192.0.2.1:1")
	}
	if err := enter("Bob", "192.0.2.1:1"); err == nil {
		t.Error("guessing at home is not throttled")
	}
}

func TestGuessingFromManyNetworksOfOneSiteIsThrottled(t *testing.T) {
	throttle := newThrottle()
	for n := range siteLimit.burst {
		if _, err := throttle.begin(fmt.Sprint("user", n), fmt.Sprintf("2001:db8:0:%x::1", n)); err != nil {
			t.Fatalf("guess %d: %v", n, err)
		}
	}
	if _, err := throttle.begin("another", "2001:db8:0:ffff::1"); err == nil {
		t.Error("one more was not throttled")
	}
	if _, err := throttle.begin("another", "2001:db8:1::1"); err != nil {
		t.Errorf("another site: %v", err)
	}
}

func TestAnAddressIsOneHoweverItIsWritten(t *testing.T) {
	throttle := newThrottle()
	ways := []string{"192.0.2.1", "192.0.2.1:80", "[::ffff:192.0.2.1]:80", "::ffff:c000:201"}
	for n := range pairLimit.burst {
		if _, err := throttle.begin("bob", ways[n%len(ways)]); err != nil {
			t.Fatalf("guess %d: %v", n, err)
		}
	}
	if _, err := throttle.begin("bob", "::ffff:192.0.2.1"); err == nil {
		t.Error("one more was not throttled")
	}
	for n := range pairLimit.burst {
		if _, err := throttle.begin("bob", fmt.Sprintf("fe80::1%%eth%d", n)); err != nil {
			t.Fatalf("guess %d: %v", n, err)
		}
	}
	if _, err := throttle.begin("bob", "[fe80::1%other]:1"); err == nil {
		t.Error("a zone is a way around")
	}
}

func TestHomesAreForgottenRatherThanGrow(t *testing.T) {
	throttle := newThrottle()
	settle := func(name string, n int) {
		attempt, err := throttle.begin(name, stranger(n))
		if err != nil {
			t.Fatal(err)
		}
		attempt.succeed(name)
	}
	settle("ann", 0)
	for n := range 10 * maxHomesOf {
		settle("bob", n)
	}
	if got := len(throttle.homes); got != maxHomesOf+1 {
		t.Errorf("%d homes, want %d of bob's and one of ann's", got, maxHomesOf)
	}
	if _, kept := throttle.homes[bucket{"bob", netip.MustParsePrefix("10.0.79.1/32")}]; !kept {
		t.Error("bob's last home is forgotten")
	}
	for n := range maxHomes {
		settle(fmt.Sprint("user", n), n)
	}
	if got := len(throttle.homes); got != maxHomes {
		t.Errorf("%d homes, want at most %d", got, maxHomes)
	}
}
