package sandbox

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestAnAppMayHaveMoreCPUThanThePlatformWasGiven(t *testing.T) {
	mounts, err := cgroupMounts()
	mount := mounts["cpu"]
	if err != nil || mount == "" || os.Geteuid() != 0 {
		t.Skip("only control groups of version 1 refuse it, and only root makes any")
	}
	parent, err := os.MkdirTemp(mount, "slipway-test")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = os.Remove(parent) })
	if err := writeGroup(parent, "cpu.cfs_quota_us", "20000"); err != nil {
		t.Skip(err)
	}
	host := cgroupHost{version: CgroupV1, parents: map[string]string{"cpu": parent}}
	group, err := host.make("app", platform.Limits{MilliCPU: 500})
	if err != nil || len(group.dirs) != 1 {
		t.Errorf("%v, %v", group.dirs, err)
	}
	group.remove()
	narrow, err := host.make("app", platform.Limits{MilliCPU: 100})
	if text, _ := os.ReadFile(filepath.Join(parent, "app", "cpu.cfs_quota_us")); err != nil || string(text) != "10000\n" {
		t.Errorf("a limit below it is %q, %v", text, err)
	}
	narrow.remove()
}
