package gitserver_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestARepositoryFollowsItsAppAndIsPushedToThere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	out, code := r.run("push", r.sshURL("blog"), "main")
	wantCode(t, out, code, 0)
	for range 2 { // the second time there is nothing to do
		if err := r.server.Rename("blog", "shop"); err != nil {
			t.Fatal(err)
		}
	}
	out, code = r.run("push", r.sshURL("shop"), "main")
	wantCode(t, out, code, 0)
	if !strings.Contains(out, "up-to-date") {
		t.Errorf("the history did not follow:\n%s", out)
	}
	if err := r.server.Rename("../keys", "shop"); !errors.Is(err, platform.ErrInvalid) {
		t.Errorf("renaming ../keys: %v", err)
	}
}

func TestARepositoryWaitsForItsPush(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	arrived, release := r.desk.hold()
	push := r.git(r.work, "push", r.sshURL("blog"), "main")
	if err := push.Start(); err != nil {
		t.Fatal(err)
	}
	<-arrived
	for _, names := range [][2]string{{"blog", "shop"}, {"shop", "blog"}} {
		if err := r.server.Rename(names[0], names[1]); !errors.Is(err, platform.ErrBusy) {
			t.Errorf("%s to %s: %v", names[0], names[1], err)
		}
	}
	release()
	if err := push.Wait(); err != nil {
		t.Error(err)
	}
}
