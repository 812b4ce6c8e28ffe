package containerd_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
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
	"sync/atomic"
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
	"github.com/slipway-paas/slipway/internal/runtime/containerd"
	"github.com/slipway-paas/slipway/internal/runtime/runtimetest"
	"github.com/slipway-paas/slipway/internal/stacktest"
	"github.com/slipway-paas/slipway/internal/volume"
)

// orphanEnv tells a copy of the test binary to start instances and wait to be
// killed.
const orphanEnv = "SLIPWAY_TEST_ORPHAN"

type orphanOrder struct {
	Dir, Registry, Socket string
	Specs                 []platform.InstanceSpec
	Churn                 bool
}

func TestMain(m *testing.M) {
	if text := os.Getenv(orphanEnv); text != "" {
		orphan(text)
	}
	code := m.Run()
	if err := shared.end(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// orphan is a node that will be killed.
func orphan(text string) {
	var order orphanOrder
	if err := json.Unmarshal([]byte(text), &order); err != nil {
		panic(err)
	}
	r, err := containerd.New(logger(), containerd.Options{Dir: order.Dir, Socket: order.Socket, Volumes: volume.Dir(order.Dir + "/volumes")})
	if err != nil {
		panic(err)
	}
	r.SetRegistry(order.Registry, "", "")
	if _, err := r.Adopt(context.Background()); err != nil {
		panic(err)
	}
	if order.Churn {
		fmt.Println("started")
		churn(context.Background(), r, order.Specs)
	}
	for _, spec := range order.Specs {
		if _, err := r.Start(context.Background(), spec); err != nil {
			panic(err)
		}
	}
	fmt.Println("started")
	select {}
}

func logger() *slog.Logger {
	if os.Getenv("SLIPWAY_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}

// shared is what all tests of the package have together: a containerd, in
// which each machine has a namespace, and a registry.
var shared commons

type commons struct {
	once     sync.Once
	dir      string
	socket   string
	registry string
	stop     []func() error
	err      error
}

func (c *commons) begin(t testing.TB) {
	t.Helper()
	if missing := containerd.Missing(""); len(missing) > 0 {
		t.Skip(strings.Join(missing, "; "))
	}
	c.once.Do(func() {
		server := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, 0))))
		c.stop = append(c.stop, func() error { server.Close(); return nil })
		c.registry = strings.TrimPrefix(server.URL, "http://")
		if c.dir, c.err = os.MkdirTemp("", "slipway-engine-"); c.err != nil {
			return
		}
		var end func() error
		if c.socket, end, c.err = containerd.StartEngine(c.dir); end != nil {
			c.stop = append(c.stop, end, func() error { return os.RemoveAll(c.dir) })
		}
	})
	if c.err != nil {
		t.Fatal(c.err)
	}
}

func (c *commons) end() error {
	var failed error
	for _, stop := range c.stop {
		if err := stop(); err != nil {
			failed = err
		}
	}
	return failed
}

const launcher = `#!/bin/bash
cd /app || exit 1
shopt -s nullglob
for profile in .profile.d/*.sh; do source "$profile"; done
exec bash -c "$*"
`

var basePath atomic.Value

// base is Debian without what no test needs, so that it is unpacked quickly.
var base = sync.OnceValues(func() (v1.Layer, error) {
	var small bytes.Buffer
	if err := shrink(&small, basePath.Load().(string)); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(small.Bytes())), nil })
})

func shrink(to io.Writer, from string) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	packed, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	in, out := tar.NewReader(packed), tar.NewWriter(to)
	for {
		header, err := in.Next()
		if err == io.EOF {
			return out.Close()
		}
		if err != nil {
			return err
		}
		path := strings.TrimPrefix(header.Name, "./")
		if slices.ContainsFunc([]string{"usr/share/", "var/lib/dpkg/", "var/cache/", "usr/lib/x86_64-linux-gnu/gconv/", "usr/lib/apt/", "usr/sbin/", "usr/lib/udev", "usr/lib/systemd"}, func(p string) bool { return strings.HasPrefix(path, p) }) &&
			!strings.HasPrefix(path, "usr/share/perl") {
			continue
		}
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
}

// layer is a tar of files, owned by uid.
func layer(t testing.TB, uid int, headers ...tar.Header) v1.Layer {
	t.Helper()
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, header := range headers {
		content := header.PAXRecords["SLIPWAY.content"]
		header.PAXRecords = nil
		header.Size, header.Uid, header.Gid = int64(len(content)), uid, uid
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buffer.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func file(path, content string) tar.Header {
	return tar.Header{Name: path, Mode: 0o755, Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SLIPWAY.content": content}}
}

func folder(path string) tar.Header {
	return tar.Header{Name: path + "/", Mode: 0o755, Typeflag: tar.TypeDir}
}

func debian(t testing.TB) v1.Layer {
	t.Helper()
	basePath.Store(stacktest.Tar(t))
	l, err := base()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// push pushes an image of these layers and returns its reference.
func push(t testing.TB, host string, config v1.Config, layers ...v1.Layer) string {
	t.Helper()
	return pushFor(t, host, "amd64", config, layers...)
}

func pushFor(t testing.TB, host, architecture string, config v1.Config, layers ...v1.Layer) string {
	t.Helper()
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{Architecture: architecture, OS: "linux", Config: config, RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		t.Fatal(err)
	}
	if image, err = mutate.AppendLayers(image, layers...); err != nil {
		t.Fatal(err)
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

// slug is the image of a slug on Debian.
func slug(t testing.TB, host string, files map[string]string) string {
	t.Helper()
	headers := []tar.Header{folder("app"), folder("slipway"), file("slipway/launch", launcher)}
	for path, content := range files {
		headers = append(headers, file("app/"+path, content))
	}
	return push(t, host, v1.Config{
		Entrypoint: []string{"/slipway/launch"}, WorkingDir: "/app", User: "1000:1000", Env: []string{"FROM_IMAGE=yes"},
		Labels: map[string]string{platform.LabelSlug: "1"},
	}, debian(t), layer(t, 1000, headers...))
}

// world is a state directory and how to open it.
type world struct {
	dir, socket, host string
}

func newWorld(t testing.TB) world {
	t.Helper()
	shared.begin(t)
	dir, err := os.MkdirTemp("", "slipway-own") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	w := world{dir: dir, socket: shared.socket, host: shared.registry}
	t.Cleanup(func() { w.retire(t) })
	return w
}

func (w world) open(t testing.TB) *containerd.Runtime {
	t.Helper()
	r, err := containerd.New(logger(), containerd.Options{Dir: w.dir, Socket: w.socket, Volumes: volume.Dir(filepath.Join(w.dir, "volumes"))})
	if err != nil {
		t.Fatal(err)
	}
	r.SetRegistry(w.host, "", "")
	t.Cleanup(func() { r.Close() })
	return r
}

// retire takes everything of a world away, and fails the test when that is not
// everything.
func (w world) retire(t testing.TB) {
	t.Helper()
	r, err := containerd.New(logger(), containerd.Options{Dir: w.dir, Socket: w.socket})
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	if err := r.Retire(context.Background()); err != nil {
		t.Error(err)
	}
	namespace, bridge, chain := r.Names()
	mounts, _ := os.ReadFile("/proc/self/mounts")
	rules, _ := exec.Command("iptables-save").Output()
	links, _ := os.ReadDir("/sys/class/net")
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + namespace)
	left := map[string]bool{
		"a mount":         strings.Contains(string(mounts), namespace) || strings.Contains(string(mounts), w.dir),
		"a rule":          strings.Contains(string(rules), chain) || strings.Contains(string(rules), bridge),
		"a bridge":        slices.ContainsFunc(links, func(e os.DirEntry) bool { return e.Name() == bridge }),
		"a control group": len(groups) > 0,
		"a containerd":    len(r.Engines()) > 0,
	}
	for what, is := range left {
		if is {
			t.Errorf("%s of %s is left", what, w.dir)
		}
	}
}

func newMachine(t *testing.T) runtimetest.Machine {
	w := newWorld(t)
	hidden := filepath.Join(w.dir, "hidden")
	if err := os.WriteFile(hidden, []byte("the platform's own"), 0o600); err != nil {
		t.Fatal(err)
	}
	return runtimetest.Machine{
		Hidden: hidden,
		Open:   func(t *testing.T) runtime.Runtime { return w.open(t) },
		Image:  func(t *testing.T, files map[string]string) string { return slug(t, w.host, files) },
		StartAndDie: func(t *testing.T, specs ...platform.InstanceSpec) {
			w.startAndDie(t, specs...)
		},
	}
}

func (w world) startAndDie(t testing.TB, specs ...platform.InstanceSpec) {
	t.Helper()
	node, err := w.orphan(orphanOrder{Dir: w.dir, Registry: w.host, Socket: w.socket, Specs: specs})
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = node.Wait()
}

// orphan starts a node in another process and returns once it says so.
func (w world) orphan(order orphanOrder) (*os.Process, error) {
	text, err := json.Marshal(order)
	if err != nil {
		return nil, err
	}
	node := exec.Command(os.Args[0])
	node.Env = append(os.Environ(), orphanEnv+"="+string(text))
	node.Stderr = os.Stderr
	out, err := node.StdoutPipe()
	if err == nil {
		err = node.Start()
	}
	if err != nil {
		return nil, err
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "started\n" {
		return nil, fmt.Errorf("the other node said %q: %w", line, err)
	}
	return node.Process, nil
}

func TestContainersKeepTheRuntimesPromises(t *testing.T) {
	shared.begin(t)
	runtimetest.Run(t, newMachine)
}
