package cnb_test

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/builder/cnb"
)

// script is a tree whose build runs a script.
func script(text string) files { return app(files{"build.sh": text + "\n"}) }

func TestAFailingBuildpackStopsTheBuildWithItsWords(t *testing.T) {
	r, out := request(t, "broken", script("echo it is broken; exit 7"), nil)
	user := fail(t, open(t, nil), r, out)
	contains(t, out.String(), "       it is broken\n")
	contains(t, user.Error(), "A buildpack failed while it built.", "push again")
}

func TestABuildThatGoesOnForEverIsStoppedWhole(t *testing.T) {
	b := open(t, func(o *cnb.Options) { o.Limits.Timeout = 3 * time.Second })
	r, out := request(t, "endless", script("(trap '' TERM; setsid sleep 31415.1) & trap '' TERM; while :; do echo x; sleep 0.1; done"), nil)
	user := fail(t, b, r, out)
	contains(t, user.Error(), "it took longer than 3s")
	gone(t, "31415.1")
}

func TestWhatABuildpackLeavesRunningEndsWithItsPhase(t *testing.T) {
	r, out := request(t, "leaver", script("setsid sleep 31415.2 > /dev/null 2>&1 < /dev/null &"), nil)
	build(t, open(t, nil), r, out)
	gone(t, "31415.2")
}

// gone fails when a process has the word on its command line.
func gone(t *testing.T, word string) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), "sleep\x00"+word) {
			t.Errorf("%s runs on", path)
		}
	}
}

func TestABuildThatFillsTheDiskIsStopped(t *testing.T) {
	b := open(t, func(o *cnb.Options) { o.Limits.DiskBytes = 64 << 20 })
	for _, where := range []string{"/workspace", "/layers", "/tmp", "$HOME"} {
		r, out := request(t, "filler", script("cd "+where+"; for i in $(seq 10000); do head -c 4M /dev/zero > filler-$i; echo $i; sleep 0.01; done"), nil)
		contains(t, fail(t, b, r, out).Error(), "of disk with its cache, 64.0M are allowed")
	}
}

func TestALayerOfHolesIsRefused(t *testing.T) {
	b := open(t, func(o *cnb.Options) { o.Limits.DiskBytes = 64 << 20 })
	r, out := request(t, "holes", script("truncate -s 60M hole1 hole2 hole3"), nil)
	contains(t, fail(t, b, r, out).Error(), "it makes a layer larger than 64.0M")
}

func TestABuildThatEatsMemoryIsStopped(t *testing.T) {
	b := open(t, func(o *cnb.Options) { o.Limits.MemoryBytes = 128 << 20 })
	r, out := request(t, "hungry", script(`perl -e 'my @all; push @all, "x" x 1048576 while 1'`), nil)
	user := fail(t, b, r, out)
	if !strings.Contains(user.Error(), "128.0M of memory") && !strings.Contains(user.Error(), "A buildpack failed") {
		t.Error(user)
	}
}

func TestACancelledBuildIsKilledWhole(t *testing.T) {
	b := open(t, nil)
	r, _ := request(t, "cancelled", script("sleep 31415.3 & echo begun; wait"), nil)
	read, write := io.Pipe()
	r.Output = write
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := picker(t, b).Build(ctx, r)
		_ = write.Close()
		ended <- err
	}()
	buffer := make([]byte, 4096)
	for seen := ""; !strings.Contains(seen, "begun"); {
		n, err := read.Read(buffer)
		if err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
		seen += string(buffer[:n])
	}
	go func() { _, _ = io.Copy(io.Discard, read) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	gone(t, "31415.3")
}

func TestATreesLinksLeadNobodyOut(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("do-not-show"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, out := request(t, "links", app(files{
		"passwd": "-> /etc/passwd", "secret": "-> " + secret, "up": "-> ../../../../../../" + secret,
		"build.sh": "cat secret up 2>/dev/null || true; ln -s " + secret + " made; ln -s " + secret + " $CNB_LAYERS_DIR/data\n",
	}), nil)
	result := build(t, open(t, nil), r, out)
	if strings.Contains(out.String(), "do-not-show") {
		t.Errorf("it read on the machine:\n%s", out)
	}
	for _, path := range []string{"workspace/passwd", "workspace/secret", "workspace/made"} {
		if header, _ := layerFile(t, result.Image, path); header.Typeflag != tar.TypeSymlink {
			t.Errorf("%s is no link in the image", path)
		}
	}
}

func TestABuilderImageThatIsNoneSaysWhatItLacks(t *testing.T) {
	for reference, want := range map[string]string{
		"example.com/lame:1": "it has no /cnb/lifecycle/launcher: is it a builder image?",
		"example.com/run:1":  "its environment has no CNB_USER_ID",
		"example.com/none:1": "fetch example.com/none:1: nobody has it",
	} {
		b := open(t, func(o *cnb.Options) { o.BuilderImage = reference; o.Dir = filepath.Join(world.dir, "lame") })
		r, out := request(t, "lame", app(nil), nil)
		contains(t, fail(t, b, r, out).Error(), "the builder image "+reference+" cannot be used", want, "--cnb-builder")
	}
}

func TestABuilderImageThatIsTooMuchIsRefused(t *testing.T) {
	b := open(t, func(o *cnb.Options) { o.ImageBytes = 1 << 20; o.Dir = filepath.Join(world.dir, "large") })
	r, out := request(t, "large", app(nil), nil)
	contains(t, fail(t, b, r, out).Error(), "it is larger than 1.0M")
	if left, err := os.ReadDir(filepath.Join(world.dir, "large", "images")); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

func TestTheRunImageOfTheOptionCounts(t *testing.T) {
	b := open(t, func(o *cnb.Options) { o.RunImage = "example.com/run:2" })
	r, out := request(t, "below", app(nil), nil)
	result := build(t, b, r, out)
	if _, text := layerFile(t, result.Image, "etc/run-image"); text != "2\n" {
		t.Errorf("it is on %q", text)
	}
	contains(t, config(t, result.Image).Labels["io.buildpacks.lifecycle.metadata"], `"image":"example.com/run:2"`)
}
