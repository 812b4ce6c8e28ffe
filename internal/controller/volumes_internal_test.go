package controller

import (
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestAVolumeIsSaidToBeOfWhoIsUpWithIt(t *testing.T) {
	with := platform.Spec{Mounts: []platform.Mount{{Volume: "data"}}}
	wanted := []platform.InstanceSpec{{ID: "web-new"}, {ID: "worker-new", Spec: with}}
	seen := func(old, worker platform.InstanceState) []platform.Instance {
		return []platform.Instance{
			{ID: "web-new", State: platform.InstanceUp}, {ID: "worker-new", State: worker}, {ID: "worker-old", State: old},
		}
	}
	for _, c := range []struct {
		seen []platform.Instance
		want string
	}{
		{seen(platform.InstanceTerminating, platform.InstanceUp), "worker-new"},
		{seen(platform.InstanceUp, platform.InstanceUp), "worker-new"}, // the old one's end was not told yet
		{seen(platform.InstanceTerminating, platform.InstanceStarting), ""},
		{nil, ""},
	} {
		if got := writer(wanted, c.seen, "data"); got != c.want {
			t.Errorf("of %+v it is %q's, not %q's", c.seen, got, c.want)
		}
		if got := writer(wanted, c.seen, "other"); got != "" {
			t.Errorf("of %+v another volume is %q's", c.seen, got)
		}
	}
}
