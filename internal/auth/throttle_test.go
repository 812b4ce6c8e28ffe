package auth_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-paas/slipway/internal/auth"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (r rig) guess(name, from string) error {
	_, err := r.Login(r.Context(), name, "wrong", from)
	return err
}

func throttled(err error) bool {
	var refused *auth.ThrottledError
	return errors.As(err, &refused)
}

func TestGuessingIsThrottledAndToldWhenToTryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := withUsers(t)
		for n := range 8 {
			if err := r.guess("bob", home); throttled(err) {
				t.Fatalf("guess %d was throttled", n)
			}
		}
		_, err := r.Login(t.Context(), "bob", "bob", "192.0.2.1:999") // the right one, from another port
		var refused *auth.ThrottledError
		if !errors.As(err, &refused) || !errors.Is(err, platform.ErrUnavailable) || !strings.Contains(err.Error(), "Try again in 15 seconds") {
			t.Fatalf("got %v", err)
		}
		if _, err := r.Login(t.Context(), "bob", "bob", "192.0.2.2:999"); err != nil {
			t.Errorf("an owner elsewhere is locked out: %v", err)
		}
		if _, err := r.Login(t.Context(), "ann", "ann", home); err != nil {
			t.Errorf("another user there is locked out: %v", err)
		}
		time.Sleep(refused.RetryAfter) // of the bubble's clock
		if _, err := r.Login(t.Context(), "bob", "bob", home); err != nil {
			t.Errorf("after the wait: %v", err)
		}
		if err := r.guess("bob", home); throttled(err) {
			t.Error("a success counted as a failure")
		}
		if err := r.guess("bob", home); !throttled(err) {
			t.Errorf("a success took earlier failures back: got %v", err)
		}
	})
}

func TestManyGuessesAtOnceAreNoWayAround(t *testing.T) {
	r := withUsers(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	seen := 0
	for range 40 {
		all.Go(func() {
			if err := r.guess("bob", home); !throttled(err) {
				mu.Lock()
				seen++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if seen > 8 {
		t.Errorf("%d passwords were looked at, want at most 8", seen)
	}
}

func TestPasswordChangesAreThrottledToo(t *testing.T) {
	r := withUsers(t)
	for range 8 {
		wantKind(t, r.SetPassword(t.Context(), bob, "", "wrong", "new"), platform.ErrUnauthenticated)
	}
	if err := r.SetPassword(t.Context(), bob, "", "bob", "new"); !throttled(err) {
		t.Errorf("got %v, want that it was throttled", err)
	}
}
