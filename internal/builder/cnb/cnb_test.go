package cnb_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/builder/cnb"
	"github.com/slipway-paas/slipway/internal/builder/cnb/cnbtest"
	"github.com/slipway-paas/slipway/internal/builder/cnb/phase"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/registry"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case sandbox.BeginVerb:
			os.Exit(sandbox.Begin(os.Args[2:]))
		case phase.Verb:
			os.Exit(phase.Main(os.Args[2:]))
		}
	}
	code := m.Run()
	if world.dir != "" {
		world.server.Close()
		if err := builder.RemoveAll(world.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

const password = "0123456789abcdef0123456789abcdef"

// world is what all tests share, for making it takes seconds: a registry with
// a builder image and two run images, and the builder image unpacked.
var world struct {
	once   sync.Once
	dir    string
	server *httptest.Server
	images map[string]string // name elsewhere to repository@digest
}

func open(t *testing.T, change func(*cnb.Options)) *cnb.Builder {
	t.Helper()
	log := logger(t)
	box := sandbox.New(t.Context(), log)
	if box.Offer().Isolation != platform.IsolationSandbox {
		t.Skipf("no namespaces here: %v", box.Offer().Missing)
	}
	world.once.Do(func() { makeWorld(t) })
	if world.images == nil {
		t.Skip("no world to build in")
	}
	o := cnb.Options{
		Dir: filepath.Join(world.dir, "cnb"), RegistryAddr: address(), RegistryUser: "slipway", RegistryPassword: password,
		BuilderImage: "example.com/builder:1", Pull: pull,
	}
	if change != nil {
		change(&o)
	}
	b, err := cnb.New(log, box, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { clean(t, o.Dir) })
	return b
}

func makeWorld(t *testing.T) {
	run1, run2 := cnbtest.Run(t, "1"), cnbtest.Run(t, "2")
	image := cnbtest.Builder(t, "example.com/run:1", nil)
	lame := top(t, cnbtest.Builder(t, "example.com/run:1", func(files map[string]string) { delete(files, "cnb/lifecycle/launcher") }))
	var err error
	if world.dir, err = os.MkdirTemp("", "cnb"); err != nil {
		t.Fatal(err)
	}
	handler, err := registry.New(slog.New(slog.DiscardHandler), registry.Options{Dir: filepath.Join(world.dir, "registry"), User: "slipway", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	world.server = httptest.NewServer(handler)
	images := make(map[string]string)
	for name, one := range map[string]v1.Image{"example.com/run:1": run1, "example.com/run:2": run2, "example.com/builder:1": image, "example.com/lame:1": lame} {
		repository, _, _ := strings.Cut(strings.TrimPrefix(name, "example.com/"), ":")
		images[name] = push(t, "images/"+repository, one)
	}
	world.images = images
}

// top is an image of the uppermost layer alone.
func top(t *testing.T, of v1.Image) v1.Image {
	t.Helper()
	layers, err := of.Layers()
	if err != nil {
		t.Fatal(err)
	}
	file, err := of.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, layers[len(layers)-1])
	if err != nil {
		t.Fatal(err)
	}
	if image, err = mutate.Config(image, file.Config); err != nil {
		t.Fatal(err)
	}
	return image
}

func address() string { return strings.TrimPrefix(world.server.URL, "http://") }

var auth = remote.WithAuth(&authn.Basic{Username: "slipway", Password: password})

func push(t *testing.T, repository string, image v1.Image) string {
	t.Helper()
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	at := repository + "@" + digest.String()
	if err := remote.Write(reference(t, at), image, auth); err != nil {
		t.Fatal(err)
	}
	return at
}

func reference(t *testing.T, at string) name.Digest {
	t.Helper()
	ref, err := name.NewDigest(address()+"/"+at, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func pull(_ context.Context, reference, _ string, _ io.Writer) (string, error) {
	at, ok := world.images[reference]
	if !ok {
		return "", errors.New("nobody has it")
	}
	return at, nil
}

// clean fails a test that left something.
func clean(t *testing.T, dir string) {
	t.Helper()
	for _, sub := range []string{"work", "s"} {
		if left, err := os.ReadDir(filepath.Join(dir, sub)); err != nil || len(left) > 0 {
			t.Errorf("left in %s: %v %v", sub, left, err)
		}
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || bytes.Contains(mounts, []byte(dir)) {
		t.Errorf("something is mounted: %v", err)
	}
}

func logger(t testing.TB) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(testWriter{t}, nil))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(p))
	return len(p), nil
}

type files map[string]string

// app is a tree the buildpack is for.
func app(more files) files {
	all := files{"app.sh": "greet \"$@\"; cat /etc/run-image; pwd; echo port $PORT\n"}
	maps.Copy(all, more)
	return all
}

// request asks for a build of files in a picker's way.
func request(t *testing.T, app string, tree files, env map[string]string) (builder.Request, *bytes.Buffer) {
	t.Helper()
	var text, out bytes.Buffer
	w := tar.NewWriter(&text)
	for _, path := range slices.Sorted(maps.Keys(tree)) {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(tree[path]))}
		if target, ok := strings.CutPrefix(tree[path], "-> "); ok {
			header = &tar.Header{Typeflag: tar.TypeSymlink, Name: path, Linkname: target}
		}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, tree[path]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{cnb.Chooser: cnb.Choice}
	maps.Copy(all, env)
	return builder.Request{App: app, Build: "x", Env: all, Output: &out, Source: platform.Source{
		Tree: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text.Bytes())), nil },
	}}, &out
}

func picker(t *testing.T, b builder.Builder) *builder.Picker {
	t.Helper()
	dir, err := os.MkdirTemp("", "trees")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = builder.RemoveAll(dir) })
	p, err := builder.NewPicker(slog.New(slog.DiscardHandler), builder.PickerOptions{Dir: filepath.Join(dir, "trees")}, builder.Builders{CNB: b})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func build(t *testing.T, b *cnb.Builder, r builder.Request, out *bytes.Buffer) builder.Result {
	t.Helper()
	result, err := picker(t, b).Build(t.Context(), r)
	if err != nil {
		t.Fatalf("%v, printed\n%s", err, out)
	}
	return result
}

// fail builds what must not be built.
func fail(t *testing.T, b *cnb.Builder, r builder.Request, out *bytes.Buffer) *platform.UserError {
	t.Helper()
	result, err := picker(t, b).Build(t.Context(), r)
	var user *platform.UserError
	if !errors.As(err, &user) {
		t.Fatalf("%+v, %v, printed\n%s", result, err, out)
	}
	return user
}

func contains(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
}

func image(t *testing.T, at string) v1.Image {
	t.Helper()
	got, err := remote.Image(reference(t, at), auth)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func config(t *testing.T, at string) v1.Config {
	t.Helper()
	file, err := image(t, at).ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return file.Config
}
