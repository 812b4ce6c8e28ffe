package controller

import (
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestARouteLeavesTheAddressOfANodesInstanceToTheNode(t *testing.T) {
	got := backends([]platform.Instance{
		{ID: "c", Release: 2, Process: "web", Node: "local", Address: "127.0.0.1:1", State: platform.InstanceStarting},
		{ID: "b", Release: 2, Process: "web", Address: "10.0.0.1:80", State: platform.InstanceUp},
		{ID: "a", Release: 2, Process: "web", Node: "local", Address: "127.0.0.1:2", State: platform.InstanceCrashed},
		{ID: "d", Release: 2, Process: "web", Node: "local", State: platform.InstanceTerminating},
		{ID: "e", Release: 1, Process: "web", Node: "local", State: platform.InstanceUp},
		{ID: "f", Release: 2, Process: "worker", Node: "local", State: platform.InstanceUp},
	}, 2, nil, nil, new(platform.Route))
	want := []platform.Backend{{Instance: "a"}, {Instance: "b", Address: "10.0.0.1:80"}, {Instance: "c"}}
	if len(got) != len(want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
}
