package local_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/slipway-paas/slipway/internal/fleet"
	"github.com/slipway-paas/slipway/internal/node"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime/process"
	"github.com/slipway-paas/slipway/internal/sandbox"
	"github.com/slipway-paas/slipway/internal/scheduler/local"
	"github.com/slipway-paas/slipway/internal/scheduler/schedulertest"
)

var quiet = slog.New(slog.DiscardHandler)

// silence keeps no log.
type silence struct{}

func (silence) AppendNode([]platform.NodeLogLine) {}
func (silence) Cursor(string) int64               { return 0 }

func TestLocalIsAScheduler(t *testing.T) { schedulertest.Run(t, openPlace) }

var machine = sync.OnceValue(func() *sandbox.Sandbox { return sandbox.New(context.Background(), quiet) })

// openPlace is a fleet and a node with real processes.
func openPlace(t *testing.T) schedulertest.Place {
	t.Helper()
	dir, err := os.MkdirTemp("", "slip") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(dir, 0o711)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	images := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, 0))))
	t.Cleanup(images.Close)
	host := strings.TrimPrefix(images.URL, "http://")

	f, err := fleet.Open(quiet, fleet.Options{Dir: filepath.Join(dir, "fleet"), Logs: silence{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.SetEdge(platform.EdgeState{Domain: "localhost", Registry: host, Control: host}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "c.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: f.Handler()}
	go func() { _ = server.Serve(ln) }()
	rt, err := process.New(quiet, process.Options{Dir: filepath.Join(dir, "rt"), Sandbox: machine()})
	if err != nil {
		t.Fatal(err)
	}
	options := node.Options{ID: "here", Dir: filepath.Join(dir, "node"), ControlSocket: socket}
	ended := make(chan error, 1)
	serving := make(chan struct{})
	options.Serving = func(node.Info) { close(serving) }
	go func() { ended <- node.Run(context.Background(), quiet, options, rt) }()
	s := local.New(quiet, f)
	select {
	case <-serving:
	case err := <-ended:
		t.Fatalf("the node ended: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if err := errors.Join(node.Stop(ctx, filepath.Join(dir, "node", "node.sock"), true), <-ended); err != nil {
			t.Error(err)
		}
		_ = rt.Close()
		s.Close()
		_ = server.Close()
		f.Close()
	})
	return schedulertest.Place{Scheduler: s, Image: push(t, host)}
}

// push makes an image that runs its argument in a shell.
func push(t *testing.T, host string) string {
	t.Helper()
	const launch = "#!/bin/bash\ncd /app || exit 1\nexec bash -c \"$*\"\n"
	var buffer bytes.Buffer
	files := tar.NewWriter(&buffer)
	err := files.WriteHeader(&tar.Header{Name: "slipway/launch", Mode: 0o755, Typeflag: tar.TypeReg, Size: int64(len(launch))})
	_, werr := io.WriteString(files, launch)
	dirErr := files.WriteHeader(&tar.Header{Name: "app/", Mode: 0o755, Typeflag: tar.TypeDir})
	if err = errors.Join(err, werr, dirErr, files.Close()); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buffer.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		Architecture: "amd64", OS: "linux",
		Config: v1.Config{Entrypoint: []string{"/slipway/launch"}, WorkingDir: "/app"}, RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewDigest(host+"/blog@"+digest.String(), name.Insecure)
	if err == nil {
		err = remote.Write(ref, image)
	}
	if err != nil {
		t.Fatal(err)
	}
	return "blog@" + digest.String()
}

// paper is a fleet without nodes, and a place to say what they report.
type paper struct {
	*fleet.Fleet
	seen, unclaimed []platform.Instance
}

func (p *paper) Instances(string) []platform.Instance { return p.seen }
func (p *paper) Unclaimed(string) []platform.Instance { return p.unclaimed }

func onPaper(t *testing.T, dir string) *paper {
	t.Helper()
	f, err := fleet.Open(quiet, fleet.Options{Dir: dir, Logs: silence{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return &paper{Fleet: f}
}

func wanted(f *paper) (ids []string) {
	specs, _ := f.Wanted("blog")
	for _, s := range specs {
		ids = append(ids, s.ID)
	}
	return ids
}

func TestAShrinkingGroupLosesTheUnwellFirst(t *testing.T) {
	f := onPaper(t, t.TempDir())
	s := local.New(quiet, f)
	defer s.Close()
	group := platform.Group{Release: 1, Process: "web", Quantity: 3}
	if err := s.Apply(t.Context(), platform.Workload{App: "blog", Groups: []platform.Group{group}}); err != nil {
		t.Fatal(err)
	}
	before := wanted(f)
	f.seen = []platform.Instance{
		{ID: before[0], State: platform.InstanceCrashed},
		{ID: before[1], State: platform.InstanceUp},
		{ID: before[2], State: platform.InstanceUp},
	}
	for _, want := range [][]string{before[1:], before[1:2]} { // the crashed one, then the newest
		group.Quantity--
		if err := s.Apply(t.Context(), platform.Workload{App: "blog", Groups: []platform.Group{group}}); err != nil {
			t.Fatal(err)
		}
		if after := wanted(f); !slices.Equal(after, want) {
			t.Errorf("left are %v, want %v", after, want)
		}
	}
}

func TestWhatRunsByALostOrderIsAskedForAgainByName(t *testing.T) {
	work := platform.Workload{App: "blog", Groups: []platform.Group{{Release: 1, Process: "web", Quantity: 3, Spec: platform.Spec{Env: map[string]string{"A": "1"}}}}}
	apply := func(f *paper) []string {
		s := local.New(quiet, f)
		defer s.Close()
		if err := s.Apply(t.Context(), work); err != nil {
			t.Fatal(err)
		}
		return wanted(f)
	}
	before := apply(onPaper(t, t.TempDir()))

	f := onPaper(t, t.TempDir()) // as if the first had lost its directory
	f.unclaimed = []platform.Instance{
		{ID: before[0], App: "blog", State: platform.InstanceUp},
		{ID: before[1], App: "blog", State: platform.InstanceError},
		{ID: before[2], App: "blog", State: platform.InstanceUp},
		{ID: "blog-web-0000000000-aaaaa", App: "blog", State: platform.InstanceUp}, // runs something else
	}
	after := apply(f)
	if len(after) != 3 || after[0] != before[0] || after[1] != before[2] || slices.Contains(f.unclaimedIDs(), after[2]) {
		t.Errorf("wanted are %v, before %v", after, before)
	}
}

func (p *paper) unclaimedIDs() (ids []string) {
	for _, i := range p.unclaimed {
		ids = append(ids, i.ID)
	}
	return ids
}

func TestAReplacementGoesOnAfterACrash(t *testing.T) {
	dir := t.TempDir()
	f := onPaper(t, dir)
	s := local.New(quiet, f)
	group := platform.Group{Release: 1, Process: "web", Quantity: 1}
	work := platform.Workload{App: "blog", Groups: []platform.Group{group}}
	if err := s.Apply(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	before := wanted(f)
	if err := s.Replace(t.Context(), "blog", before); err != nil {
		t.Fatal(err)
	}
	s.Close()

	f = onPaper(t, dir) // as the next process finds it
	s = local.New(quiet, f)
	if err := s.Apply(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	s.Close()
	both := wanted(f)
	if len(both) != 2 || both[0] != before[0] {
		t.Fatalf("wanted are %v, before %v", both, before)
	}
	f.seen = []platform.Instance{{ID: both[0], State: platform.InstanceUp}, {ID: both[1], State: platform.InstanceUp}}
	route := func(ids ...string) {
		r := &platform.Route{App: "blog", Release: 1}
		for _, id := range ids {
			r.Backends = append(r.Backends, platform.Backend{Instance: id})
		}
		if _, err := f.SetRoute("blog", r); err != nil {
			t.Fatal(err)
		}
	}
	route(both[0]) // requests are not led to the stand-in yet
	s = local.New(quiet, f)
	s.Close()
	if after := wanted(f); !slices.Equal(after, both) {
		t.Errorf("before the route leads to the stand-in, wanted are %v", after)
	}
	route(both...)
	s = local.New(quiet, f)
	s.Close()
	if after := wanted(f); !slices.Equal(after, both[1:]) {
		t.Errorf("wanted are %v, want %v", after, both[1:])
	}
}
