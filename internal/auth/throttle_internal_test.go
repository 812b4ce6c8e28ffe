package auth

import (
	"fmt"
	"testing"
)

func TestTheThrottleForgetsRatherThanGrows(t *testing.T) {
	throttle := newThrottle()
	for n := range 3 * maxBuckets {
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
