package auth

import (
	"fmt"
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
