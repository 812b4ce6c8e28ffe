package platform_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestAVolumeHidesNothingThatAnInstanceNeeds(t *testing.T) {
	for _, at := range []string{"/data", "/app/data", "/var/lib/postgresql/data", "/usr/local/share/x", "/tmp/x", "/srv", "/a b"} {
		if err := platform.ValidMountPath(at); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
	for _, at := range []string{
		"", "/", "data", "./data", "/data/", "/data/../etc", "//data", "/data//x", "/./data", "/proc", "/proc/self", "/sys/fs", "/dev/shm",
		"/app", "/etc", "/usr", "/bin", "/tmp", "/slipway", "/data\x00", "/data\n", "/da:ta", "/da,ta", "/" + strings.Repeat("a", 300),
	} {
		if err := platform.ValidMountPath(at); !errors.Is(err, platform.ErrInvalid) {
			t.Errorf("%.40q: %v", at, err)
		}
	}
}

func TestAVolumesNameIsADNSLabel(t *testing.T) {
	for name, valid := range map[string]bool{
		"data": true, "a": true, "0-x": true, strings.Repeat("a", 63): true,
		"": false, ".": false, "..": false, "-a": false, "a-": false, "Data": false, "a.b": false, "a/b": false, "a\n": false, strings.Repeat("a", 64): false,
	} {
		if err := platform.ValidVolumeName(name); (err == nil) != valid {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestVolumesHaveOneWriterAndDoNotOverlap(t *testing.T) {
	volumes := func(mounts ...map[string]string) map[string]platform.Volume {
		all := make(map[string]platform.Volume)
		for i, m := range mounts {
			name := string(rune('a' + i))
			all[name] = platform.Volume{Name: name, Mounts: m}
		}
		return all
	}
	for _, good := range []map[string]platform.Volume{
		nil, volumes(nil, nil), volumes(map[string]string{"web": "/data"}, map[string]string{"worker": "/data"}),
		volumes(map[string]string{"web": "/data"}, map[string]string{"web": "/database"}),
	} {
		if err := platform.ValidVolumes(good); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
	for _, bad := range []map[string]platform.Volume{
		volumes(map[string]string{"web": "/data", "worker": "/data"}),
		volumes(map[string]string{"web": "/data"}, map[string]string{"web": "/data"}),
		volumes(map[string]string{"web": "/data"}, map[string]string{"web": "/data/more"}),
		volumes(make([]map[string]string, 11)...),
	} {
		if err := platform.ValidVolumes(bad); !errors.Is(err, platform.ErrInvalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestMountsAreOfOneProcessTypeInOrder(t *testing.T) {
	volumes := map[string]platform.Volume{
		"b": {Name: "b", Mounts: map[string]string{"web": "/b"}}, "a": {Name: "a", Mounts: map[string]string{"web": "/a"}},
		"c": {Name: "c", Mounts: map[string]string{"worker": "/c"}},
	}
	mounts := platform.MountsOf("u-1", volumes, "web")
	if len(mounts) != 2 || mounts[0] != (platform.Mount{App: "u-1", Volume: "a", Path: "/a"}) || mounts[1].Path != "/b" {
		t.Errorf("the mounts are %+v", mounts)
	}
	web, worker := platform.Spec{Mounts: mounts}, platform.Spec{Mounts: platform.MountsOf("u-1", volumes, "worker")}
	other := platform.Spec{Mounts: platform.MountsOf("u-2", volumes, "web")}
	if _, shared := platform.Shared(web, worker); shared {
		t.Error("different volumes are taken for one")
	}
	if _, shared := platform.Shared(web, other); shared {
		t.Error("volumes of different apps are taken for one")
	}
	if name, shared := platform.Shared(web, web); !shared || name != "a" {
		t.Errorf("shared are %q, %v", name, shared)
	}
}
