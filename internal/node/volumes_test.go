package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

// alone is a server that ends when it finds another one on its volume, which
// it then says there.
const alone = `exec 9>>/data/lock; flock -n 9 || { echo "$VERSION" >> /data/two; exit 3; }; echo "$VERSION" >> /data/began; exec ./server`

// withVolume is a server alone on a volume.
func (w *world) withVolume(version string) platform.Spec {
	spec := w.spec(version, alone)
	spec.Mounts = []platform.Mount{{App: "u-1", Volume: "data", Path: "/data"}}
	return spec
}

// volume reads a file of the volume.
func (w *world) volume(name string) string {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(w.path("rt"), "volumes", "u-1", "data", name))
	if err != nil && !os.IsNotExist(err) {
		w.Fatal(err)
	}
	return string(text)
}

func (w *world) oneWriter() {
	w.Helper()
	if two := w.volume("two"); two != "" {
		w.Errorf("two had the volume at a time: %q", two)
	}
}

// held leads requests to whatever of the app is up, and has them wait meanwhile.
func (w *world) held(app string, release int, instances ...string) {
	w.Helper()
	route := &platform.Route{App: app, Hosts: []string{app + ".localhost"}, Release: release, Cutover: 1, Hold: true}
	for _, id := range instances {
		route.Backends = append(route.Backends, platform.Backend{Instance: id})
	}
	version, err := w.fleet.SetRoute(app, route)
	if err != nil {
		w.Fatal(err)
	}
	w.acked(version)
}

func (w *world) wantedIDs(app string) (ids []string) {
	specs, _ := w.fleet.Wanted(app)
	for _, spec := range specs {
		ids = append(ids, spec.ID)
	}
	return ids
}

// needsMounts skips a test where this machine gives instances no mounts.
func (w *world) needsMounts(app string) {
	w.Helper()
	w.await(app, "an instance to be up, or refused", func(all []platform.Instance) []platform.Instance {
		for _, i := range all {
			if i.State == platform.InstanceError && strings.Contains(i.Message, "lets no process have mounts") {
				w.Skip(i.Message)
			}
			if i.State == platform.InstanceUp {
				return all
			}
		}
		return nil
	})
}

func TestAVolumePassesFromOneReleaseToTheNextUnderLoad(t *testing.T) {
	w := newWorld(t)
	w.node()
	group := platform.Group{Release: 1, Process: "web", Quantity: 1, Spec: w.withVolume("v1")}
	w.apply("blog", group)
	w.needsMounts("blog")
	w.held("blog", 1, w.wantedIDs("blog")...)
	stop := w.load("blog", 20)
	for release := 2; release < 6; release++ {
		group = platform.Group{Release: release, Process: "web", Quantity: 1, Spec: w.withVolume("v" + string(rune('0'+release)))}
		w.apply("blog", group)
		w.held("blog", release, w.wantedIDs("blog")...)
		w.up("blog", release, 1)
	}
	if err := w.scheduler.Replace(t.Context(), "blog", w.wantedIDs("blog")); err != nil {
		t.Fatal(err)
	}
	w.held("blog", 5, w.wantedIDs("blog")...)
	w.await("blog", "another instance to be up alone", func(all []platform.Instance) []platform.Instance {
		if len(all) == 1 && all[0].State == platform.InstanceUp && all[0].ID == w.wantedIDs("blog")[0] {
			return all
		}
		return nil
	})
	sent, failed := stop()
	if len(failed) > 0 {
		t.Errorf("%d of %d requests failed: %.20q", len(failed), sent, failed)
	}
	w.oneWriter()
	if began := w.volume("began"); began != "v1\nv2\nv3\nv4\nv5\nv5\n" {
		t.Errorf("there began %q", began)
	}
}

func TestAVolumeHasOneWriterThroughTheDeathOfNodes(t *testing.T) {
	w := newWorld(t)
	p := w.node()
	stubborn := w.withVolume("v1")
	stubborn.Args = []string{strings.Replace(alone, "exec ./server", "trap '' TERM; ./server & wait; wait; wait", 1)}
	w.apply("blog", platform.Group{Release: 1, Process: "web", Quantity: 1, Spec: stubborn})
	w.needsMounts("blog")
	w.held("blog", 1, w.wantedIDs("blog")...)
	// The next one is asked for, and the node dies while the first one ends.
	w.apply("blog", platform.Group{Release: 2, Process: "web", Quantity: 1, Spec: w.withVolume("v2")})
	w.await("blog", "the first to be on its way out", func(all []platform.Instance) []platform.Instance {
		for _, i := range all {
			if i.Release == 1 && i.State == platform.InstanceTerminating {
				return all
			}
		}
		return nil
	})
	p.kill()
	p = w.node()
	w.held("blog", 2, w.wantedIDs("blog")...)
	w.up("blog", 2, 1)
	w.oneWriter()
	// A node that takes over finds who has it.
	w.apply("blog", platform.Group{Release: 3, Process: "web", Quantity: 1, Spec: w.withVolume("v3")})
	w.node()
	<-p.ended
	w.held("blog", 3, w.wantedIDs("blog")...)
	w.up("blog", 3, 1)
	w.mustGet("blog", "/")
	w.oneWriter()
	if began := w.volume("began"); began != "v1\nv2\nv3\n" {
		t.Errorf("there began %q", began)
	}
}

func TestOneThatCannotBePreparedLeavesTheOtherInOffice(t *testing.T) {
	w := newWorld(t)
	w.node()
	first := platform.Group{Release: 1, Process: "web", Quantity: 1, Spec: w.withVolume("v1")}
	w.apply("blog", first)
	w.needsMounts("blog")
	before := w.wantedIDs("blog")
	w.held("blog", 1, before...)
	lost := w.withVolume("v2")
	lost.Image = "blog@sha256:" + strings.Repeat("0", 64)
	w.apply("blog", platform.Group{Release: 2, Process: "web", Quantity: 1, Spec: lost})
	w.await("blog", "the second to fail", func(all []platform.Instance) []platform.Instance {
		for _, i := range all {
			if i.Release == 2 && i.State == platform.InstanceError {
				return all
			}
		}
		return nil
	})
	w.says("blog", "v1")
	w.oneWriter()
}
