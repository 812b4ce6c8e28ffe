package dockerfile_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/uuid"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/builder/buildkitd"
	"github.com/slipway-paas/slipway/internal/builder/dockerfile"
	"github.com/slipway-paas/slipway/internal/images"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/registry"
	"github.com/slipway-paas/slipway/internal/stacktest"
)

// This test's binary is the child as well, as slipway's is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "buildkitd" {
		if err := buildkitd.Serve(context.Background(), os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const user, password = "slipway", "correct horse battery"

// shop is a builder with its registry, which is the mirror of Docker Hub too.
type shop struct {
	*dockerfile.Builder
	address string
	dir     string // of the caches
}

func open(t *testing.T, change func(*dockerfile.Options)) *shop {
	t.Helper()
	if problem := dockerfile.Check(); problem != nil {
		t.Skip(problem)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	images, address := store(t, log)
	s := &shop{address: address, dir: filepath.Join(t.TempDir(), "dockerfile")}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := dockerfile.Options{
		Dir: s.dir, Command: []string{executable, "buildkitd"},
		RegistryAddr: address, RegistryUser: user, RegistryPassword: password, Hosts: images,
	}
	if change != nil {
		change(&o)
	}
	if s.Builder, err = dockerfile.New(log, o); err != nil {
		t.Fatal(err)
	}
	return s
}

// store starts a registry and puts debian there.
func store(t *testing.T, log *slog.Logger) (images.Hosts, string) {
	t.Helper()
	handler, err := registry.New(log, registry.Options{Dir: t.TempDir(), User: user, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	address := strings.TrimPrefix(server.URL, "http://")
	put(t, address, "library/debian:bookworm", stacktest.Image(t))
	hosts, err := images.ParseHosts([]string{"docker.io=" + server.URL, "docker.io=only"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return hosts, address
}

func put(t *testing.T, address, ref string, image v1.Image) {
	t.Helper()
	tag, err := name.NewTag(address+"/"+ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image, remote.WithAuth(&authn.Basic{Username: user, Password: password})); err != nil {
		t.Fatal(err)
	}
}

// get is a pushed image.
func (s *shop) get(t *testing.T, ref string) v1.Image {
	t.Helper()
	digest, err := name.NewDigest(s.address+"/"+ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(digest, remote.WithAuth(&authn.Basic{Username: user, Password: password}))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// tree writes files, by their names.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, text := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// lines is a user's side that keeps what it was told.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	t    *testing.T
	see  func(string)
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.t.Output().Write(p)
	l.text.Write(p)
	if l.see != nil {
		l.see(l.text.String())
	}
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// build builds files as an app's push.
func (s *shop) build(t *testing.T, app string, files, env map[string]string) (builder.Result, string, error) {
	t.Helper()
	out := &lines{t: t}
	result, err := s.Build(t.Context(), tree(t, files), request(app, env, out))
	return result, out.String(), err
}

func request(app string, env map[string]string, out io.Writer) builder.Request {
	return builder.Request{App: app, Build: uuid.NewString(), Env: env, Output: out, Source: platform.Source{Commit: "0123456789abcdef0123456789abcdef01234567"}}
}

// whole is the text of every file in an image's layers, by path; later layers
// win.
func whole(t *testing.T, image v1.Image) map[string]string {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, layer := range layers[1:] { // the first is debian
		readLayer(t, layer, files)
	}
	return files
}
