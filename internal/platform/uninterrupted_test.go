package platform_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestAListThatWasInterruptedIsAskedForAgain(t *testing.T) {
	asked := 0
	list := func(interrupted int, last error) func() ([]string, error) {
		asked = 0
		return func() ([]string, error) {
			if asked++; asked <= interrupted {
				return []string{"half"}, fmt.Errorf("list: %w", syscall.EINTR)
			}
			return []string{"half", "whole"}, last
		}
	}
	if all, err := platform.Uninterrupted(list(2, nil)); len(all) != 2 || err != nil || asked != 3 {
		t.Errorf("asked %d times: %q, %v", asked, all, err)
	}
	broken := errors.New("broken")
	if _, err := platform.Uninterrupted(list(1, broken)); !errors.Is(err, broken) || asked != 2 {
		t.Errorf("asked %d times: %v", asked, err)
	}
	if _, err := platform.Uninterrupted(list(1<<30, nil)); !errors.Is(err, syscall.EINTR) {
		t.Errorf("asked %d times: %v", asked, err)
	}
}
