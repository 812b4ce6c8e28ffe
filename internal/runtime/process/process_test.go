package process_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
	"github.com/slipway-paas/slipway/internal/runtime/process"
	"github.com/slipway-paas/slipway/internal/runtime/runtimetest"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// firstUID keeps these apps' users apart from those of a platform, or of other
// tests, on the same machine.
const firstUID = 410_000

const launcher = `#!/bin/bash
cd /app || exit 1
shopt -s nullglob
for profile in .profile.d/*.sh; do source "$profile"; done
exec bash -c "$*"
`

// orphanEnv tells a copy of the test binary to start instances and wait to be
// killed.
const orphanEnv = "SLIPWAY_TEST_ORPHAN"

type orphanOrder struct {
	Dir, Registry string
	Specs         []platform.InstanceSpec
}

func TestMain(m *testing.M) {
	if text := os.Getenv(orphanEnv); text != "" {
		orphan(text)
	}
	os.Exit(m.Run())
}

// orphan is a node that will be killed.
func orphan(text string) {
	var order orphanOrder
	if err := json.Unmarshal([]byte(text), &order); err != nil {
		panic(err)
	}
	r, err := process.New(slog.New(slog.DiscardHandler), process.Options{Dir: order.Dir, FirstUID: firstUID})
	if err != nil {
		panic(err)
	}
	r.SetRegistry(order.Registry, "", "")
	for _, spec := range order.Specs {
		if _, err := r.Start(context.Background(), spec); err != nil {
			panic(err)
		}
	}
	fmt.Println("started")
	select {}
}

var machineSandbox = sync.OnceValue(func() *sandbox.Sandbox {
	return sandbox.New(context.Background(), slog.New(slog.DiscardHandler))
})

// pushImage builds an image of these layers and pushes it.
func pushImage(t testing.TB, host string, layers ...[]byte) string {
	t.Helper()
	return pushLabelled(t, host, nil, layers...)
}

func pushLabelled(t testing.TB, host string, labels map[string]string, layers ...[]byte) string {
	t.Helper()
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		Architecture: "amd64", OS: "linux",
		Config: v1.Config{Entrypoint: []string{"/slipway/launch"}, WorkingDir: "/app", Env: []string{"FROM_IMAGE=yes"}, Labels: labels},
		RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range layers {
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
		if err != nil {
			t.Fatal(err)
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			t.Fatal(err)
		}
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewDigest(host+"/blog@"+digest.String(), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	return "blog@" + digest.String()
}

func tarOf(t testing.TB, headers []tar.Header, contents map[string]string) []byte {
	t.Helper()
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, header := range headers {
		header.Size = int64(len(contents[header.Name]))
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(contents[header.Name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func slug(t testing.TB, files map[string]string) []byte {
	t.Helper()
	contents := map[string]string{"slipway/launch": launcher}
	for path, text := range files {
		contents["app/"+path] = text
	}
	var headers []tar.Header
	for path := range contents {
		headers = append(headers, tar.Header{Name: path, Mode: 0o755, Typeflag: tar.TypeReg})
	}
	slices.SortFunc(headers, func(a, b tar.Header) int { return strings.Compare(a.Name, b.Name) })
	return tarOf(t, headers, contents)
}

func newRegistry(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func newMachine(t *testing.T, confine *sandbox.Sandbox) runtimetest.Machine {
	host, dir := newRegistry(t), stateDir(t)
	hidden := filepath.Join(dir, "hidden")
	if err := os.WriteFile(hidden, []byte("the platform's own"), 0o600); err != nil {
		t.Fatal(err)
	}
	return runtimetest.Machine{
		Hidden: hidden,
		Open: func(t *testing.T) runtime.Runtime {
			r, err := process.New(slog.New(slog.DiscardHandler), process.Options{Dir: dir, Sandbox: confine, FirstUID: firstUID})
			if err != nil {
				t.Fatal(err)
			}
			r.SetRegistry(host, "", "")
			t.Cleanup(func() { r.Close() })
			return r
		},
		Image: func(t *testing.T, files map[string]string) string { return pushImage(t, host, slug(t, files)) },
		StartAndDie: func(t *testing.T, specs ...platform.InstanceSpec) {
			order, err := json.Marshal(orphanOrder{dir, host, specs})
			if err != nil {
				t.Fatal(err)
			}
			node := exec.Command(os.Args[0])
			node.Env = append(os.Environ(), orphanEnv+"="+string(order))
			node.Stderr = os.Stderr
			out, err := node.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := node.Start(); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(out).ReadString('\n'); line != "started\n" {
				t.Fatalf("the other node said %q: %v", line, err)
			}
			if err := node.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = node.Wait()
		},
	}
}

// stateDir is like t.TempDir, with a name short enough for any machine.
func stateDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipway-process-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestProcessesKeepTheRuntimesPromises(t *testing.T) {
	runtimetest.Run(t, func(t *testing.T) runtimetest.Machine { return newMachine(t, machineSandbox()) })
}
