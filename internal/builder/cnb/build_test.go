package cnb_test

import (
	"archive/tar"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/builder/cnb"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

func TestATreeBecomesAnImageOfTheRunImage(t *testing.T) {
	b := open(t, nil)
	r, out := request(t, "blog", app(nil), nil)
	result := build(t, b, r, out)
	if result.Kind != platform.ImageCNB || result.Detected != "test/shell" || result.Size <= 0 || result.Ports != nil || result.Stack != "" {
		t.Errorf("%+v", result)
	}
	if want := map[string]string{"web": "sh app.sh", "worker": "greet 'from the worker'"}; !maps.Equal(result.Procfile, want) {
		t.Errorf("types are %q", result.Procfile)
	}
	got := config(t, result.Image)
	if got.WorkingDir != "/workspace" || !slices.Equal(got.Entrypoint, []string{"/cnb/process/web"}) || got.Cmd != nil || got.User != "1001:1000" {
		t.Errorf("config is %+v", got)
	}
	for _, want := range []string{"CNB_APP_DIR=/workspace", "CNB_LAYERS_DIR=/layers", "CNB_PLATFORM_API=0.14"} {
		if !slices.Contains(got.Env, want) {
			t.Errorf("environment lacks %s: %q", want, got.Env)
		}
	}
	for label, text := range got.Labels {
		if strings.Contains(text, world.dir) || strings.Contains(text, address()) || strings.Contains(text, password) {
			t.Errorf("label %s tells of this machine: %s", label, text)
		}
	}
	contains(t, got.Labels["io.buildpacks.lifecycle.metadata"], `"image":"example.com/run:1"`)
	if images := cnb.Pinned(filepath.Join(world.dir, "cnb")); len(images) != 2 || images[0] != world.images["example.com/builder:1"] || images[1] != world.images["example.com/run:1"] {
		t.Errorf("it needs %q", images)
	}
}

// start runs a command of an image in a sandbox, as a container would.
func start(t *testing.T, at string, argv []string, env ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "image")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = builder.RemoveAll(dir) })
	content := mutate.Extract(image(t, at))
	defer content.Close()
	if _, err := archive.Apply(t.Context(), dir, content); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), sandbox.FurnishRoot(dir)); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	c := config(t, at)
	_, err = sandbox.New(t.Context(), logger(t)).Run(t.Context(), sandbox.Process{
		Name: "test-image", Argv: argv, Env: append(c.Env, env...), Dir: c.WorkingDir, UID: 1001, GID: 1000, Root: dir,
	}, sandbox.Streams{Stdout: &out, Stderr: &out})
	if err != nil {
		t.Fatalf("%v, printed %s", err, out.String())
	}
	return out.String()
}

func TestEveryProcessTypeAndACommandLineStart(t *testing.T) {
	b := open(t, nil)
	r, out := request(t, "types", app(files{"Procfile": "clock: greet tick && echo $WHO | tr a-z A-Z\nworker: greet other\n"}), nil)
	result := build(t, b, r, out)
	if want := map[string]string{"web": "sh app.sh", "worker": "greet other", "clock": "greet tick && echo $WHO | tr a-z A-Z"}; !maps.Equal(result.Procfile, want) {
		t.Errorf("types are %q", result.Procfile)
	}
	for _, c := range []struct {
		want string
		argv []string
	}{
		{"runtime \n1\n/workspace\nport 5000\n", []string{"/cnb/process/web"}},
		{"runtime other\n", []string{"/cnb/process/worker"}},
		{"runtime tick\nANN\n", []string{"/cnb/process/clock"}},
		{"runtime one two\n/workspace\n", []string{"/cnb/lifecycle/launcher", `greet one "two"; pwd`}},
	} {
		if got := start(t, result.Image, c.argv, "PORT=5000", "WHO=ann"); got != c.want {
			t.Errorf("%q printed %q, want %q", c.argv, got, c.want)
		}
	}
}

func TestTheSameTreeIsTheSameImageAndLayersAreReused(t *testing.T) {
	b := open(t, nil)
	r, out := request(t, "again", app(nil), nil)
	first := build(t, b, r, out)
	contains(t, out.String(), "runtime: made anew", "Adding layer 'test/shell:runtime'")

	r, out = request(t, "again", app(nil), nil)
	second := build(t, b, r, out)
	contains(t, out.String(), "runtime: from the cache", "Reusing layer 'test/shell:runtime'", "Reusing layer 'buildpacksio/lifecycle:launcher'", "Reused 1/1 app layer(s)")
	if second.Image != first.Image {
		t.Errorf("%s, then %s", first.Image, second.Image)
	}

	// Another app, with no cache, and another file in it.
	r, out = request(t, "other", app(nil), nil)
	if third := build(t, b, r, out); strings.TrimPrefix(third.Image, "other") != strings.TrimPrefix(first.Image, "again") {
		t.Errorf("%s, of another app %s", first.Image, third.Image)
	}
	r, out = request(t, "again", app(files{"new": "x"}), nil)
	fourth := build(t, b, r, out)
	contains(t, out.String(), "runtime: from the cache", "Added 1/1 app layer(s)")
	if fourth.Image == first.Image {
		t.Error("another tree is the same image")
	}
}

func TestTheCacheGoesWithTheAppAndWhenItIsNotWanted(t *testing.T) {
	b := open(t, nil)
	r, out := request(t, "kept", app(nil), nil)
	build(t, b, r, out)
	r, out = request(t, "kept", app(nil), map[string]string{"SLIPWAY_DISABLE_CACHE": "1"})
	build(t, b, r, out)
	contains(t, out.String(), "runtime: made anew")
	if err := cnb.Forget(filepath.Join(world.dir, "cnb"), "kept"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(world.dir, "cnb", "apps", "kept")); err == nil {
		t.Error("its cache stayed")
	}
	r, out = request(t, "kept", app(nil), nil)
	build(t, b, r, out)
	contains(t, out.String(), "runtime: made anew")
}

func TestBuildpacksSeeTheConfigAndNothingOfThePlatform(t *testing.T) {
	t.Setenv("SLIPWAY_DATABASE_PASSWORD", "do-not-show")
	b := open(t, func(o *cnb.Options) { o.Env = map[string]string{"HTTPS_PROXY": "http://proxy:3128"} })
	r, out := request(t, "spy", app(files{"build.sh": `
echo "greeting $GREETING"; ls $CNB_PLATFORM_DIR/env | tr '\n' ' '; echo; id -u; id -g; id -G; echo "proxy $HTTPS_PROXY home $HOME"
touch $HOME/x /tmp/x && echo "home and tmp can be written"
ls -A / | tr '\n' ' '; echo; ls /.cache /.registry.sock 2>&1 || true
env; grep -s do-not-show /proc/*/environ || true; cat /proc/1/cmdline | tr '\0' ' '
for path in /cnb/x /.notes/x /platform/env/x /usr/x; do touch $path 2>/dev/null && echo "written where nobody may" || true; done
`}), map[string]string{"GREETING": "hello", "PATH": "/evil", "CNB_USER_ID": "0", "LD_PRELOAD": "/evil.so", "a/b": "x"})
	build(t, b, r, out)
	contains(t, out.String(), "greeting hello\n", "       GREETING \n", "       1001\n       1000\n       1000\n", "proxy http://proxy:3128 home /home/cnb\n", "home and tmp can be written", "'/.cache': No such file", "'/.registry.sock': No such file")
	for _, bad := range []string{"do-not-show", password, "written where nobody may", world.dir, "evil"} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("it tells of %s:\n%s", bad, out)
		}
	}
}

func TestATreeOfNoBuildpackIsForTheNextBuilderUnlessTheAppAsked(t *testing.T) {
	b := open(t, func(o *cnb.Options) { o.Default = true })
	for _, c := range []struct {
		name string
		tree files
	}{
		{"nothing fits", files{"index.html": "x"}},
		{"one fails", app(files{"detect.sh": "touch planted 2>/dev/null; echo broken; exit 7\n"})},
	} {
		r, out := request(t, "strange", c.tree, nil)
		user := fail(t, b, r, out)
		if errors.Is(user, builder.ErrUndetected) {
			t.Errorf("%s: %v, though the app asked", c.name, user)
		}
		contains(t, user.Error(), "no buildpack of the builder image example.com/builder:1 is for this tree", "unset SLIPWAY_BUILDER")

		r, out = request(t, "strange", c.tree, map[string]string{cnb.Chooser: ""})
		dir := unpackedTree(t, c.tree)
		if ok, err := b.Detect(t.Context(), dir, r); !ok || err != nil {
			t.Errorf("%s: not the default: %v", c.name, err)
		}
		_, err := b.Build(t.Context(), dir, r)
		if !errors.Is(err, builder.ErrUndetected) {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "planted")); err == nil {
			t.Errorf("%s: the tree was changed", c.name)
		}
		_ = out
	}
	b = open(t, nil)
	r, _ := request(t, "strange", nil, map[string]string{cnb.Chooser: ""})
	if ok, err := b.Detect(t.Context(), "/nowhere", r); ok || err != nil {
		t.Errorf("it wants what nobody asked it for: %v", err)
	}
}

// unpackedTree is a directory with the files, for nobody else.
func unpackedTree(t *testing.T, tree files) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range tree {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// layerFile is what an image has at a path: the entry and its content.
func layerFile(t *testing.T, at, path string) (*tar.Header, string) {
	t.Helper()
	content := mutate.Extract(image(t, at))
	defer content.Close()
	for r := tar.NewReader(content); ; {
		header, err := r.Next()
		if err != nil {
			t.Fatalf("no %s: %v", path, err)
		}
		if strings.Trim(header.Name, "/") == path {
			text, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return header, string(text)
		}
	}
}

func TestAnImageIsPutOnAnotherRunImageWithoutABuild(t *testing.T) {
	r, out := request(t, "rebased", app(nil), nil)
	first := build(t, open(t, nil), r, out)
	b := open(t, func(o *cnb.Options) { o.RunImage = "example.com/run:2" })
	second, err := b.Rebase(t.Context(), "rebased", first.Image, out)
	if err != nil {
		t.Fatalf("%v, printed %s", err, out)
	}
	if got := start(t, second, []string{"/cnb/process/web"}, "PORT=5000"); got != "runtime \n2\n/workspace\nport 5000\n" {
		t.Errorf("it printed %q", got)
	}
	contains(t, config(t, second).Labels["io.buildpacks.lifecycle.metadata"], `"image":"example.com/run:2"`)
	again, err := b.Rebase(t.Context(), "rebased", second, out)
	if err != nil || again != second {
		t.Errorf("rebased again it is %s, and was %s: %v", again, second, err)
	}
	if _, err := b.Rebase(t.Context(), "rebased", "other@"+strings.SplitN(second, "@", 2)[1], out); err == nil {
		t.Error("an image of another app was taken")
	}
}
