package node_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/slipway-paas/slipway/internal/access"
	"github.com/slipway-paas/slipway/internal/fleet"
	"github.com/slipway-paas/slipway/internal/logs"
	"github.com/slipway-paas/slipway/internal/node"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
	"github.com/slipway-paas/slipway/internal/runtime"
	"github.com/slipway-paas/slipway/internal/runtime/process"
	"github.com/slipway-paas/slipway/internal/scheduler/local"
	"github.com/slipway-paas/slipway/internal/secret"
)

// nodeEnv tells a copy of the test binary to be a node.
const nodeEnv = "SLIPWAY_TEST_NODE"

func TestMain(m *testing.M) {
	if text := os.Getenv(nodeEnv); text != "" {
		beNode(text)
	}
	os.Exit(m.Run())
}

type nodeOrder struct {
	ID                 string
	Dir, Control, HTTP string
	Runtime            string // directory
	Keys               string // file
	Drain, Trial       time.Duration
	Access, Metrics    string
	Loops              int
	Late               string // a file that is there once it may adopt; empty: at once
	Slow               string // one that is there once what it starts has started
}

func testLog() *slog.Logger {
	level := slog.LevelWarn
	if os.Getenv("SLIPWAY_TEST_DEBUG") != "" {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

func beNode(text string) {
	var order nodeOrder
	if err := json.Unmarshal([]byte(text), &order); err != nil {
		panic(err)
	}
	log := testLog().With("node", os.Getpid())
	ring, err := secret.OpenFile(order.Keys)
	if err != nil {
		panic(err)
	}
	rt, err := process.New(log, process.Options{Dir: order.Runtime, Keys: ring})
	if err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	reopen := make(chan os.Signal, 1)
	signal.Notify(reopen, syscall.SIGHUP)
	options := node.Options{
		Access: access.LogOptions{Path: order.Access, Sample: 1000}, Reopen: reopen, Metrics: order.Metrics,
		ID: order.ID, Dir: order.Dir, ControlSocket: order.Control, HTTP: order.HTTP,
		Router: router.Options{Loops: order.Loops, HeaderTimeout: patience},
		Keys:   ring, DrainTimeout: order.Drain, Trial: order.Trial, Serving: func(node.Info) { fmt.Println("serving") },
	}
	if err := node.Run(ctx, log, options, &late{rt, order.Late, order.Slow}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	rt.Close()
	os.Exit(0)
}

// waiting is behind the name of a file that a node waits for.
const waiting = ".waiting"

// late is a runtime that takes its time.
type late struct {
	*process.Runtime
	file, slow string
}

// Start is one that nobody can have end early, as on a disk that hangs.
func (l *late) Start(ctx context.Context, spec platform.InstanceSpec) (runtime.Running, error) {
	if l.slow != "" {
		_ = os.WriteFile(l.slow+waiting, nil, 0o600)
		await(context.Background(), l.slow)
	}
	return l.Runtime.Start(ctx, spec)
}

// await blocks until a file is there, or ctx ends.
func await(ctx context.Context, file string) {
	for ctx.Err() == nil {
		if _, err := os.Stat(file); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (l *late) Adopt(ctx context.Context) ([]runtime.Running, error) {
	if l.file != "" {
		_ = os.WriteFile(l.file+waiting, nil, 0o600)
		await(ctx, l.file)
	}
	return l.Runtime.Adopt(ctx)
}

// world is a control plane and a machine.
type world struct {
	*testing.T
	dir       string
	image     string
	logs      *logs.Logs
	fleet     *fleet.Fleet
	scheduler *local.Scheduler
	server    *http.Server
	edge      platform.EdgeState
	address   string // of the edge, once a node serves
	cutover   int64
	access    string // where the nodes log requests
	metrics   string // where they tell their metrics
	loops     int    // of each node
	late      string // nodes wait for this file
	slow      string // what they start does
	trial     time.Duration
}

// patience ends a test that hangs; nothing is judged by it.
const patience = 3 * time.Minute

func newWorld(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "slip") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(dir, 0o711)
	w := &world{T: t, dir: dir, trial: 100 * time.Millisecond}
	host := w.registry()
	w.image = pushApp(t, host)
	w.edge = platform.EdgeState{Domain: "localhost", Registry: host, ControlHosts: []string{"slipway.localhost"}, Control: host}
	t.Cleanup(func() {
		if stop := w.tryStop(true); stop != nil {
			t.Error(stop)
		}
		w.killInstances() // those of a node that was killed
		w.crash()
		w.logs.Close()
		_ = os.RemoveAll(dir)
	})
	w.begin()
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// begin starts a control plane on what is on the disk.
func (w *world) begin() {
	w.Helper()
	var err error
	if w.logs, err = logs.Open(testLog(), logs.Options{Dir: w.path("logs")}); err != nil {
		w.Fatal(err)
	}
	w.fleet, err = fleet.Open(testLog(), fleet.Options{Dir: w.path("fleet"), Logs: w.logs})
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.fleet.SetEdge(w.edge); err != nil {
		w.Fatal(err)
	}
	w.scheduler = local.New(testLog(), w.fleet)
	_ = os.Remove(w.path("c.sock"))
	ln, err := net.Listen("unix", w.path("c.sock"))
	if err != nil {
		w.Fatal(err)
	}
	w.server = &http.Server{Handler: w.fleet.Handler()}
	go w.server.Serve(ln)
}

// crash ends the control plane.
func (w *world) crash() {
	_ = w.server.Close()
	w.scheduler.Close()
	w.fleet.Close()
	w.logs.Close()
}

func (w *world) registry() string {
	server := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, 0))))
	w.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// nodeProcess is a node in a process of its own.
type nodeProcess struct {
	*exec.Cmd
	serving chan struct{}
	ended   chan struct{}
	err     error
}

// node starts a node and returns once it serves.
func (w *world) node() *nodeProcess {
	w.Helper()
	p := w.launch()
	select {
	case <-p.serving:
	case <-p.ended:
		w.Fatalf("the node ended: %v", p.err)
	case <-time.After(patience):
		w.Fatal("the node does not serve")
	}
	info, err := node.Status(w.Context(), w.path("node/node.sock"))
	if err != nil {
		w.Fatal(err)
	}
	if info.Pid != p.Process.Pid {
		w.Fatalf("node %d answers, want %d", info.Pid, p.Process.Pid)
	}
	w.address = info.HTTP
	return p
}

func (w *world) launch() *nodeProcess { return w.launchAs("test", "node", "rt") }

// launchAs starts the node of a name with directories of its own.
func (w *world) launchAs(id, dir, runtime string) *nodeProcess {
	w.Helper()
	order, err := json.Marshal(nodeOrder{id, w.path(dir), w.path("c.sock"), "127.0.0.1:0", w.path(runtime), w.path("secret.key"), patience, w.trial, w.access, w.metrics, w.loops, w.late, w.slow})
	if err != nil {
		w.Fatal(err)
	}
	p := &nodeProcess{Cmd: exec.Command(os.Args[0]), serving: make(chan struct{}), ended: make(chan struct{})}
	p.Env = append(os.Environ(), nodeEnv+"="+string(order))
	p.Stderr = os.Stderr
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, write, err := os.Pipe()
	if err != nil {
		w.Fatal(err)
	}
	p.Stdout = write
	if err := p.Start(); err != nil {
		w.Fatal(err)
	}
	write.Close()
	go func() {
		if _, err := io.ReadFull(out, make([]byte, len("serving\n"))); err == nil {
			close(p.serving)
		}
		out.Close()
	}()
	go func() { p.err = p.Wait(); close(p.ended) }()
	w.Cleanup(func() { _ = p.Process.Kill(); <-p.ended })
	return p
}

func (p *nodeProcess) kill() {
	_ = p.Process.Kill()
	<-p.ended
}

func (w *world) tryStop(instances bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return node.Stop(ctx, w.path("node/node.sock"), instances)
}

func (w *world) spec(version, command string) platform.Spec {
	return platform.Spec{
		Image: w.image, Args: []string{command}, Env: map[string]string{"VERSION": version, "WORLD": w.dir},
		Port: true, Grace: 5 * time.Second, Drain: 10 * time.Second,
	}
}

// up waits until so many instances of a release are up and returns them.
func (w *world) up(app string, release, n int) []platform.Instance {
	w.Helper()
	return w.await(app, fmt.Sprintf("%d of v%d up", n, release), func(all []platform.Instance) []platform.Instance {
		var up []platform.Instance
		for _, i := range all {
			if i.Release == release && i.State == platform.InstanceUp {
				up = append(up, i)
			}
		}
		if len(up) != n {
			return nil
		}
		return up
	})
}

// await waits until what was seen of an app's instances fits.
func (w *world) await(app, what string, fits func([]platform.Instance) []platform.Instance) []platform.Instance {
	w.Helper()
	var got []platform.Instance
	w.heard(fmt.Sprintf("%s of %s", what, app), func() bool {
		got = fits(w.fleet.Instances(app))
		return got != nil
	})
	return got
}

// heard waits until what the control plane was told of apps fits.
func (w *world) heard(what string, fits func() bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	changes := w.fleet.Changes(ctx)
	if fits() {
		return
	}
	for range changes {
		if fits() {
			return
		}
	}
	for _, app := range w.fleet.Apps() {
		w.Logf("instances of %s: %+v", app, w.fleet.Instances(app))
	}
	w.Fatalf("waited for %s", what)
}

// deploy does what the controller does: instances beside the old ones, shift, old ones away.
func (w *world) deploy(app string, release int, spec platform.Spec, n int) {
	w.Helper()
	group := platform.Group{Release: release, Process: "web", Quantity: n, Spec: spec}
	groups := []platform.Group{group}
	old := w.fleet.Route(app)
	if old != nil && old.Release != release {
		specs, _ := w.fleet.Wanted(app)
		before := platform.Group{Release: old.Release, Process: "web", Quantity: len(old.Backends), Spec: specs[0].Spec}
		groups = append(groups, before)
	}
	w.apply(app, groups...)
	w.route(app, release, w.up(app, release, n))
	w.apply(app, group)
}

func (w *world) apply(app string, groups ...platform.Group) {
	w.Helper()
	if err := w.scheduler.Apply(w.Context(), platform.Workload{App: app, Groups: groups}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) route(app string, release int, up []platform.Instance) {
	w.Helper()
	w.cutover++
	route := &platform.Route{App: app, Hosts: []string{app + ".localhost"}, Release: release, Cutover: w.cutover}
	for _, i := range up {
		route.Backends = append(route.Backends, platform.Backend{Instance: i.ID})
	}
	version, err := w.fleet.SetRoute(app, route)
	if err != nil {
		w.Fatal(err)
	}
	w.acked(version)
}

func (w *world) acked(version int64) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	if err := w.fleet.Acked(ctx, version); err != nil {
		w.Fatal(err)
	}
}

// get asks the edge; a failure is in the answer.
func (w *world) get(app, path string) (status int, body string) {
	return w.ask(http.MethodGet, app, path)
}

func (w *world) ask(method, app, path string) (status int, body string) {
	request, err := http.NewRequest(method, "http://"+w.address+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	request.Host = app + ".localhost"
	answer, err := fresh.RoundTrip(request)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(data)
}

var fresh = &http.Transport{DisableKeepAlives: true}

// says holds an app to the version that its answer begins with.
func (w *world) says(app, version string) {
	w.Helper()
	if body := w.mustGet(app, "/"); !strings.HasPrefix(body, version+" ") {
		w.Errorf("%s answered %q, want %s", app, body, version)
	}
}

func (w *world) mustGet(app, path string) string {
	w.Helper()
	status, body := w.get(app, path)
	if status != http.StatusOK {
		w.Fatalf("GET %s of %s: %d %s", path, app, status, body)
	}
	return body
}

// said waits until a line of the app's log fits.
func (w *world) said(app string, fits func(string) bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	var all []string
	for line := range w.logs.Follow(ctx, app, logs.Filter{Lines: 10000}) { // all that any test's app says
		all = append(all, line.Text)
		if fits(line.Text) {
			return
		}
	}
	w.Fatalf("the log says %q", all)
}

// load asks the edge from several clients until stop is called and so many
// requests were sent, and returns how many there were and what failed.
func (w *world) load(app string, least int) (stop func() (sent int, failed []string)) {
	ctx, cancel := context.WithCancel(context.Background())
	address := w.address
	var mu sync.Mutex
	var sent int
	var failed []string
	enough := make(chan struct{})
	var clients sync.WaitGroup
	for c := range 8 {
		transport := &http.Transport{DisableKeepAlives: c%2 == 0}
		clients.Go(func() {
			defer transport.CloseIdleConnections()
			for ctx.Err() == nil {
				request, _ := http.NewRequest(http.MethodGet, "http://"+address+"/?ms=2", nil)
				request.Host = app + ".localhost"
				answer, err := transport.RoundTrip(request)
				problem := ""
				switch {
				case err != nil:
					problem = err.Error()
				case answer.StatusCode != http.StatusOK:
					problem = answer.Status
				}
				if err == nil {
					_, _ = io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
				}
				mu.Lock()
				if sent++; sent == least {
					close(enough)
				}
				if problem != "" {
					failed = append(failed, problem)
				}
				mu.Unlock()
			}
		})
	}
	return func() (int, []string) {
		select {
		case <-enough:
		case <-time.After(patience):
			w.Errorf("fewer than %d requests were answered", least)
		}
		cancel()
		clients.Wait()
		return sent, failed
	}
}

var appBinary = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "slipapp")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, "server"), "./testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, errors.Join(err, errors.New(string(out)))
	}
	return os.ReadFile(filepath.Join(dir, "server"))
})

// pushApp makes an image of the test's app and returns its reference.
func pushApp(t *testing.T, host string) string {
	t.Helper()
	server, err := appBinary()
	if err != nil {
		t.Fatal(err)
	}
	const launch = "#!/bin/bash\ncd /app || exit 1\nexec bash -c \"$*\"\n"
	var buffer bytes.Buffer
	files := tar.NewWriter(&buffer)
	for path, content := range map[string][]byte{"slipway/launch": []byte(launch), "app/server": server} {
		err = errors.Join(err, files.WriteHeader(&tar.Header{Name: path, Mode: 0o755, Typeflag: tar.TypeReg, Size: int64(len(content))}))
		_, werr := files.Write(content)
		err = errors.Join(err, werr)
	}
	if err = errors.Join(err, files.Close()); err != nil {
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
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	return "blog@" + digest.String()
}
