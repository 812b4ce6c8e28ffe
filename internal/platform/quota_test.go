package platform_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestARefusalOfTheRegistryIsTheUsersWhoeverPushed(t *testing.T) {
	words := platform.OverQuota("blog-2", 5<<20, 1<<19)
	other := errors.New("connection refused")
	err := platform.AsOverQuota(fmt.Errorf("push: DENIED: %s; map[limit:5]", words))
	var user *platform.UserError
	if !errors.As(err, &user) || user.Message != words || !errors.Is(err, platform.ErrConflict) {
		t.Errorf("%v", err)
	}
	if !errors.Is(platform.AsOverQuota(other), other) || errors.As(platform.AsOverQuota(other), &user) || platform.AsOverQuota(nil) != nil {
		t.Error("another error was changed")
	}
}
