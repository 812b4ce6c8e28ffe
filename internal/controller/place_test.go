package controller_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/slipway-paas/slipway/internal/blobs"
	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/fleet"
	"github.com/slipway-paas/slipway/internal/images"
	"github.com/slipway-paas/slipway/internal/logs"
	"github.com/slipway-paas/slipway/internal/node"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime/process"
	"github.com/slipway-paas/slipway/internal/sandbox"
	"github.com/slipway-paas/slipway/internal/sbom"
	"github.com/slipway-paas/slipway/internal/scheduler/local"
	"github.com/slipway-paas/slipway/internal/secret"
	"github.com/slipway-paas/slipway/internal/store"
)

var quiet = slog.New(slog.DiscardHandler)

var machine = sync.OnceValue(func() *sandbox.Sandbox { return sandbox.New(context.Background(), quiet) })

// place is a platform of one machine with a controller: a real store, fleet,
// scheduler and registry, and after withNode a node with real processes.
type place struct {
	*controller.Controller
	t       testing.TB
	dir     string
	options controller.Options

	store     *store.Store
	blobs     *blobs.Bucket
	fleet     *fleet.Fleet
	logs      *logs.Logs
	scheduler *local.Scheduler
	sbom      *sbom.Clerk
	registry  string // host:port
	outside   string // the same of one elsewhere, which stands for docker.io
	// asked sees its requests first, and reports whether it may answer.
	asked   atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
	edge    string // host:port of the node's router
	edgeTLS string // the same for https

	// builds is what a push is built to.
	builds func(builder.Request) (builder.Result, error)
}

func open(t testing.TB, options controller.Options) *place {
	t.Helper()
	if options.LatencyBudget == 0 {
		options.LatencyBudget = time.Hour // on a busy machine any release may be slow
	}
	dir, err := os.MkdirTemp("", "slip") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(dir, 0o711)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	own := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, 0))))
	t.Cleanup(own.Close)
	elsewhere := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, 0)))
	var p *place
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ask := p.asked.Load(); ask == nil || (*ask)(w, r) {
			elsewhere.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(outside.Close)
	p = &place{t: t, dir: dir, options: options, registry: strings.TrimPrefix(own.URL, "http://"), outside: strings.TrimPrefix(outside.URL, "http://")}
	p.store = must(store.Open(t.Context(), quiet, filepath.Join(dir, "slipway.db"), secret.New()))(t)
	p.blobs = must(blobs.Open(t.Context(), "file://"+filepath.Join(dir, "blobs")))(t)
	p.logs = must(logs.Open(quiet, logs.Options{Dir: filepath.Join(dir, "logs")}))(t)
	p.fleet = must(fleet.Open(quiet, fleet.Options{Dir: filepath.Join(dir, "fleet"), Logs: p.logs}))(t)
	p.scheduler = local.New(quiet, p.fleet)
	t.Cleanup(func() {
		p.Close()
		p.scheduler.Close()
		p.fleet.Close()
		if err := errors.Join(p.logs.Close(), p.blobs.Close(), p.store.Close()); err != nil {
			t.Error(err)
		}
	})
	if _, err := p.fleet.SetEdge(platform.EdgeState{Domain: "localhost", Registry: p.registry, Control: p.registry}); err != nil {
		t.Fatal(err)
	}
	p.start()
	return p
}

// start makes a controller, as every start of the control plane does.
func (p *place) start() {
	p.t.Helper()
	hosts := must(images.ParseHosts([]string{"docker.io=http://" + p.outside, "docker.io=only"}, []string{p.outside}, nil))(p.t)
	puller := must(images.New(images.Options{Hosts: hosts, Registry: p.registry}))(p.t)
	p.t.Cleanup(puller.Close)
	options := p.options
	options.Renamed = func(old, id string) error {
		p.carryImages(old, id)
		if p.options.Renamed == nil {
			return nil
		}
		return p.options.Renamed(old, id)
	}
	p.Controller = controller.New(quiet, controller.Parts{
		Images: puller,
		Store:  p.store, Blobs: p.blobs, Scheduler: p.scheduler, Fleet: p.fleet, Logs: p.logs, SBOM: p.sbom,
		Build: func(_ context.Context, r builder.Request) (builder.Result, error) { return p.builds(r) },
	}, options)
	if err := p.Start(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

// carryImages has the registry hold a renamed app's images under its new name,
// as the platform's own does.
func (p *place) carryImages(old, id string) {
	var builds []platform.Build
	err := p.store.Read(p.t.Context(), func(tx *store.Tx) (err error) {
		builds, _, err = tx.Builds(id, platform.Page{Limit: 100})
		return err
	})
	if err != nil {
		return // the test ends
	}
	for _, build := range builds {
		_, digest, _ := strings.Cut(build.Image, "@")
		from, err := name.NewDigest(p.registry+"/"+old+"@"+digest, name.Insecure)
		if err != nil {
			continue // no image of the registry's
		}
		if image, err := remote.Image(from); err == nil {
			to := must(name.NewDigest(p.registry+"/"+id+"@"+digest, name.Insecure))(p.t)
			if err := remote.Write(to, image); err != nil {
				p.t.Error(err)
			}
		}
	}
}

func must[T any](value T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// withNode starts a node with a router.
func (p *place) withNode() *place {
	t := p.t
	t.Helper()
	socket := filepath.Join(p.dir, "c.sock")
	ln := must(net.Listen("unix", socket))(t)
	server := &http.Server{Handler: p.fleet.Handler()}
	go func() { _ = server.Serve(ln) }()
	rt := must(process.New(quiet, process.Options{Dir: filepath.Join(p.dir, "rt"), Sandbox: machine()}))(t)
	serving, ended := make(chan node.Info, 1), make(chan error, 1)
	options := node.Options{
		ID: "here", Dir: filepath.Join(p.dir, "node"), ControlSocket: socket, HTTP: "127.0.0.1:0", HTTPS: "127.0.0.1:0",
		Serving: func(info node.Info) { serving <- info },
	}
	go func() { ended <- node.Run(context.Background(), quiet, options, rt) }()
	select {
	case info := <-serving:
		p.edge, p.edgeTLS = info.HTTP, info.HTTPS
	case err := <-ended:
		t.Fatalf("the node ended: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if err := errors.Join(node.Stop(ctx, filepath.Join(p.dir, "node", "node.sock"), true), <-ended); err != nil {
			t.Error(err)
		}
		_ = rt.Close()
		_ = server.Close()
	})
	return p
}

// user adds somebody and returns them as a caller.
func (p *place) user(name string) platform.Caller {
	p.t.Helper()
	p.write(func(tx *store.Tx) error {
		return tx.InsertUser(platform.User{Username: name, Active: true, Joined: time.Now()}, "")
	})
	return platform.Caller{User: name, From: "192.0.2.1", Token: "laptop"}
}

func (p *place) write(fn func(*store.Tx) error) {
	p.t.Helper()
	if err := p.store.Write(p.t.Context(), fn); err != nil {
		p.t.Fatal(err)
	}
}

// app makes an app of the caller.
func (p *place) app(caller platform.Caller, id string) {
	p.t.Helper()
	if _, err := p.CreateApp(p.t.Context(), caller, id); err != nil {
		p.t.Fatal(err)
	}
}

// hello is a web server that answers its release to whoever asks, one request
// a connection. Whoever leaves before that is no reason to end.
const hello = `perl -MIO::Socket::INET -e '$SIG{TERM}=sub{exit 0};$SIG{PIPE}="IGNORE";$s=IO::Socket::INET->new(LocalAddr=>"127.0.0.1",LocalPort=>$ENV{PORT},Listen=>128,ReuseAddr=>1) or die;while(1){$c=$s->accept or next;while(<$c>){last if /^\r?$/}$b="$ENV{DEIS_APP} $ENV{WORKFLOW_RELEASE}";print $c "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ".length($b)."\r\n\r\n$b";close $c}'`

// push deploys a commit whose build is an image with that Procfile.
func (p *place) push(caller platform.Caller, app, commit string, procfile map[string]string) error {
	p.t.Helper()
	image := p.image(app)
	p.builds = func(builder.Request) (builder.Result, error) {
		return builder.Result{Image: image, Procfile: procfile}, nil
	}
	return p.Push(p.t.Context(), caller, app, platform.Source{
		Commit: commit, Branch: "main", Tree: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(commit)), nil },
	}, io.Discard)
}

// image makes an image of an app that runs its argument in a shell.
func (p *place) image(app string) string {
	t := p.t
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
	layer := must(tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buffer.Bytes())), nil }))(t)
	image := must(mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		Architecture: "amd64", OS: "linux",
		Config: v1.Config{Entrypoint: []string{"/slipway/launch"}, WorkingDir: "/app"}, RootFS: v1.RootFS{Type: "layers"},
	}))(t)
	image = must(mutate.AppendLayers(image, layer))(t)
	digest := must(image.Digest())(t)
	ref, err := name.NewDigest(p.registry+"/"+app+"@"+digest.String(), name.Insecure)
	if err == nil {
		err = remote.Write(ref, image)
	}
	if err != nil {
		t.Fatal(err)
	}
	return app + "@" + digest.String()
}

// publish gives the registry elsewhere an image, which exposes the ports.
func (p *place) publish(ref string, ports ...string) (digest string) {
	t := p.t
	t.Helper()
	exposed := make(map[string]struct{})
	for _, port := range ports {
		exposed[port] = struct{}{}
	}
	image := must(random.Image(1024, 2))(t)
	file := must(image.ConfigFile())(t).DeepCopy()
	file.OS, file.Architecture, file.Config.ExposedPorts = "linux", runtime.GOARCH, exposed
	image = must(mutate.ConfigFile(image, file))(t)
	tag := must(name.ParseReference(p.outside+"/"+ref, name.Insecure))(t)
	if err := remote.Write(tag, image); err != nil {
		t.Fatal(err)
	}
	return must(image.Digest())(t).String()
}

// get asks the edge for a host.
func (p *place) get(host string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+p.edge+"/", nil)
	if err != nil {
		return 0, "", err
	}
	request.Host = host
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// load asks a host again and again until the returned function is called,
// which tells what was answered with anything but 200, and how much was asked.
func (p *place) load(host string) (end func() (sent int, failed []string)) {
	ctx, stop := context.WithCancel(context.Background())
	var visitors sync.WaitGroup
	var mu sync.Mutex
	sent, failed := 0, []string(nil)
	for range 4 {
		visitors.Go(func() {
			for ctx.Err() == nil {
				status, body, err := p.get(host)
				mu.Lock()
				sent++
				if status != http.StatusOK || err != nil {
					failed = append(failed, fmt.Sprint(status, body, err))
				}
				mu.Unlock()
			}
		})
	}
	return func() (int, []string) {
		stop()
		visitors.Wait()
		return sent, failed
	}
}

// logged is the app's log as one text.
func (p *place) logged(app string) string {
	var all strings.Builder
	for _, line := range p.logs.Tail(app, logs.Filter{Lines: 1000}) {
		fmt.Fprintln(&all, line.Text)
	}
	return all.String()
}

// summaries are the app's ledger, oldest first: "v1 succeeded bob created …".
func (p *place) summaries(app string) []string {
	p.t.Helper()
	var all []string
	err := p.store.Read(p.t.Context(), func(tx *store.Tx) error {
		releases, _, err := tx.Releases(app, platform.Page{Limit: 1000})
		for _, r := range releases {
			all = append([]string{fmt.Sprintf("%s %s %s", r.Tag(), r.State, r.Summary)}, all...)
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}
