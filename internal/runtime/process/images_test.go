package process_test

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime/process"
)

// node is a runtime on a state directory, with a registry that counts pulls.
type node struct {
	*process.Runtime
	t     *testing.T
	dir   string
	host  string
	pulls atomic.Int64 // of layers and configs
}

func newNode(t *testing.T) *node {
	n := &node{t: t, dir: stateDir(t)}
	images := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			n.pulls.Add(1)
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	n.host = strings.TrimPrefix(server.URL, "http://")
	n.open()
	return n
}

// open opens the runtime, again if need be.
func (n *node) open() {
	n.t.Helper()
	r, err := process.New(slog.New(slog.DiscardHandler), process.Options{Dir: n.dir, Sandbox: machineSandbox(), FirstUID: firstUID})
	if err != nil {
		n.t.Fatal(err)
	}
	r.SetRegistry(n.host, "", "")
	n.Runtime = r
	n.t.Cleanup(func() { r.Close() })
	if _, err := r.Adopt(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
}

func instance(id, image, command string) platform.InstanceSpec {
	return platform.InstanceSpec{ID: id, App: "blog", Process: "web", Release: 1, Spec: platform.Spec{Image: image, Args: []string{command}}}
}

func (n *node) run(image, command string) string {
	n.t.Helper()
	var out strings.Builder
	if _, err := n.Run(n.t.Context(), instance("blog-run-abcde", image, command), platform.IO{Stdout: &out, Stderr: &out}); err != nil {
		n.t.Fatalf("%v: %q", err, out.String())
	}
	return out.String()
}

func TestAnImageCannotWriteOutsideItsFolder(t *testing.T) {
	n := newNode(t)
	outside := filepath.Join(stateDir(t), "outside")
	evil := tarOf(t, []tar.Header{
		{Name: "slipway/launch", Typeflag: tar.TypeReg, Mode: 0o755},
		{Name: "../../../../../../.." + outside, Typeflag: tar.TypeReg, Mode: 0o644},
		{Name: "app/up", Typeflag: tar.TypeSymlink, Linkname: filepath.Dir(outside)},
		{Name: "app/climb", Typeflag: tar.TypeSymlink, Linkname: "../../../../../../../../tmp"},
	}, map[string]string{"slipway/launch": launcher, "../../../../../../.." + outside: "x"})
	n.run(pushImage(t, n.host, evil), "true")
	through := tarOf(t, []tar.Header{
		{Name: "app/up", Typeflag: tar.TypeSymlink, Linkname: filepath.Dir(outside)},
		{Name: "app/up/outside", Typeflag: tar.TypeReg, Mode: 0o644},
	}, map[string]string{"app/up/outside": "x"})
	n.run(pushImage(t, n.host, through), "true") // the link gives way to a folder
	hard := tarOf(t, []tar.Header{
		{Name: "app/passwd", Typeflag: tar.TypeLink, Linkname: "../../../../../../../../etc/passwd"},
	}, nil)
	if _, err := n.Run(t.Context(), instance("blog-run-abcde", pushImage(t, n.host, hard), "true"), platform.IO{}); err == nil {
		t.Error("an image that links to the machine's files was run")
	}
	if _, err := os.Lstat(outside); err == nil {
		t.Error("a file was written outside")
	}
	if left, _ := filepath.Glob(filepath.Join(n.dir, "images", "blog", ".new-*")); len(left) > 0 {
		t.Errorf("failed pulls left %v", left)
	}
}

func TestAnImageKeepsModesLinksAndWhiteouts(t *testing.T) {
	n := newNode(t)
	first := tarOf(t, []tar.Header{
		{Name: "slipway/launch", Typeflag: tar.TypeReg, Mode: 0o755},
		{Name: "app/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "app/bin/tool", Typeflag: tar.TypeReg, Mode: 0o6755},
		{Name: "app/link", Typeflag: tar.TypeSymlink, Linkname: "bin/tool"},
		{Name: "app/hard", Typeflag: tar.TypeLink, Linkname: "app/bin/tool"},
		{Name: "app/device", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3, Mode: 0o666},
		{Name: "app/gone", Typeflag: tar.TypeReg, Mode: 0o644},
		{Name: "app/old/a", Typeflag: tar.TypeReg, Mode: 0o644},
		{Name: "app/.profile.d/a.sh", Typeflag: tar.TypeReg, Mode: 0o644},
	}, map[string]string{"slipway/launch": launcher, "app/bin/tool": "#!/bin/sh\necho tool", "app/gone": "x", "app/old/a": "x", "app/.profile.d/a.sh": "export FROM_PROFILE=yes"})
	second := tarOf(t, []tar.Header{
		{Name: "app/.wh.gone", Typeflag: tar.TypeReg},
		{Name: "app/old/.wh..wh..opq", Typeflag: tar.TypeReg},
		{Name: "app/old/b", Typeflag: tar.TypeReg, Mode: 0o600},
	}, map[string]string{"app/old/b": "x"})
	out := n.run(pushImage(t, n.host, first, second), `ls -1 . old; stat -c '%a %U' bin/tool; ./link; ./hard; echo $FROM_PROFILE $FROM_IMAGE`)
	if want := "bin\nhard\nlink\nold\n\nold:\nb\n755 app\ntool\ntool\nyes yes\n"; strings.ReplaceAll(out, ".:\n", "") != want {
		t.Errorf("it printed %q, want %q", out, want)
	}
}

func TestManyWhoWantAnImageAtOncePullItOnce(t *testing.T) {
	n := newNode(t)
	image := pushImage(t, n.host, slug(t, nil))
	before := n.pulls.Load()
	var starts sync.WaitGroup
	for i := range 8 {
		starts.Go(func() {
			if _, err := n.Run(t.Context(), instance(fmt.Sprintf("blog-run-%d", i), image, "true"), platform.IO{}); err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	if pulled := n.pulls.Load() - before; pulled > 2 {
		t.Errorf("%d blobs were fetched for one layer and one config", pulled)
	}
	n.open()
	n.run(image, "true")
	if pulled := n.pulls.Load() - before; pulled > 2 {
		t.Error("the next node pulled it again")
	}
}

func TestOldImagesGoUnlessTheyAreUsed(t *testing.T) {
	n := newNode(t)
	var images []string
	for i := range 6 {
		images = append(images, pushImage(t, n.host, slug(t, map[string]string{"number": fmt.Sprint(i)})))
	}
	used := instance("blog-web-1", images[0], "exec sleep 1000")
	if _, err := n.Start(t.Context(), used); err != nil {
		t.Fatal(err)
	}
	for _, image := range images[1:] {
		n.run(image, "true")
	}
	n.Close() // waits for what is still being removed; the instance runs on
	n.open()
	defer n.Stop(context.Background(), used.ID, 0)
	kept := make(map[string]bool)
	dirs, _ := filepath.Glob(filepath.Join(n.dir, "images", "blog", "*"))
	for _, dir := range dirs {
		kept[filepath.Base(dir)] = true
	}
	for i, image := range images {
		_, digest, _ := strings.Cut(image, "@sha256:")
		if want := i == 0 || i >= 3; kept[digest] != want {
			t.Errorf("image %d is kept: %v, want %v", i, kept[digest], want)
		}
	}
}

func TestAPullEndsWithItsCallersPatience(t *testing.T) {
	n := newNode(t)
	stuck := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	defer slow.Close()
	defer close(stuck)
	n.SetRegistry(strings.TrimPrefix(slow.URL, "http://"), "", "")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	spec := instance("blog-web-1", "blog@sha256:"+strings.Repeat("1", 64), "true")
	if _, err := n.Start(ctx, spec); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Start: %v", err)
	}
	n.SetRegistry("", "", "")
	spec.Spec.Image = "blog@sha256:" + strings.Repeat("2", 64)
	if _, err := n.Start(t.Context(), spec); !errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("Start without a registry: %v", err)
	}
}

func TestThePasswordOfTheRegistryIsInNoError(t *testing.T) {
	n := newNode(t)
	guarded := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="slipway"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer guarded.Close()
	n.SetRegistry(strings.TrimPrefix(guarded.URL, "http://"), "node", "pa55word")
	_, err := n.Start(t.Context(), instance("blog-web-1", "blog@sha256:"+strings.Repeat("1", 64), "true"))
	if err == nil || strings.Contains(err.Error(), "pa55word") {
		t.Errorf("Start: %v", err)
	}
}

func TestImagesComeThroughASocketThatNoAppCanTake(t *testing.T) {
	n := newNode(t)
	path := filepath.Join(t.TempDir(), "registry.sock")
	socket, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	images := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, 0)))
	asked := make(chan string, 100)
	door := &httptest.Server{Listener: socket, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, ok := r.BasicAuth()
		if !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="slipway"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		asked <- password
		images.ServeHTTP(w, r)
	})}}
	door.Start()
	defer door.Close()
	n.SetRegistry("unix:"+path, "node", "pa55word")
	_, err = n.Start(t.Context(), instance("blog-web-1", "blog@sha256:"+strings.Repeat("1", 64), "true"))
	if err == nil || !strings.Contains(err.Error(), "MANIFEST_UNKNOWN") && !strings.Contains(err.Error(), "NAME_UNKNOWN") {
		t.Errorf("Start: %v, want the registry's own answer", err)
	}
	if got := <-asked; got != "pa55word" {
		t.Errorf("the registry was told %q", got)
	}
}
