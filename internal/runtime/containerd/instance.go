package containerd

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

// instance is one that is being started, runs, or is just ending.
type instance struct {
	id, dir string
	oneOff  bool
	owner   *os.File // of a one-off that runs: see own
	wish    platform.Spec
	// started is closed when the start is over, for better or worse; gone
	// when nothing of it is left.
	started, gone chan struct{}
	// Valid after started; task is nil when the start failed.
	record  record
	task    client.Task
	process *specs.Process // what an exec is made of
	slug    bool
	shells  insides
	stop    string // the image's stop signal
	exit    runtime.Exit

	mu    sync.Mutex
	ended int // the signal whose default it was to end, and we did
}

func (i *instance) running() bool { return isClosed(i.started) && i.task != nil }

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Start implements runtime.Runtime.
func (r *Runtime) Start(ctx context.Context, spec platform.InstanceSpec) (runtime.Running, error) {
	i, err := r.begin(ctx, spec, false, connection{merged: true, creator: func(i *instance) cio.Creator {
		return cio.LogFile(filepath.Join(i.dir, outputFile))
	}})
	if err != nil {
		return runtime.Running{}, err
	}
	r.log.Info("instance was started", "app", spec.App, "release", spec.Release, "instance", spec.ID)
	return i.record.runningAs(i.dir), nil
}

// connection is how a container's output is led.
type connection struct {
	merged   bool
	terminal *platform.Terminal
	creator  func(*instance) cio.Creator
}

func (r *Runtime) begin(ctx context.Context, spec platform.InstanceSpec, oneOff bool, to connection) (*instance, error) {
	if err := r.checkSpec(spec); err != nil {
		return nil, err
	}
	i, err := r.reserve(spec, oneOff)
	if err != nil {
		return nil, err
	}
	err = r.launch(r.in(ctx), i, to)
	close(i.started)
	if err != nil {
		r.abandon(i)
		return nil, fmt.Errorf("start %s: %w", spec.ID, err)
	}
	r.follow(i)
	return i, nil
}

// reserve makes the id ours until forget.
func (r *Runtime) reserve(spec platform.InstanceSpec, oneOff bool) (*instance, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, fmt.Errorf("start %s: the runtime is closed: %w", spec.ID, platform.ErrUnavailable)
	}
	if _, runs := r.live[spec.ID]; runs {
		return nil, fmt.Errorf("instance %s runs already: %w", spec.ID, platform.ErrConflict)
	}
	for _, other := range r.live {
		if volume, shared := platform.Shared(spec.Spec, other.wish); shared {
			return nil, fmt.Errorf("volume %s is held by %s: %w", volume, other.id, platform.ErrBusy)
		}
	}
	i := &instance{
		id: spec.ID, dir: r.dir(spec.ID), oneOff: oneOff, wish: spec.Spec, record: record{Spec: spec, OneOff: oneOff},
		started: make(chan struct{}), gone: make(chan struct{}),
	}
	r.live[spec.ID] = i
	return i, nil
}

// forget frees the id, the address and the image of an instance that is gone.
func (r *Runtime) forget(i *instance) {
	if i.record.Image != "" {
		r.images.release(i.record.Image)
	}
	if i.record.Network.IsValid() {
		r.network.giveBack(i.record.Network)
	}
	if i.owner != nil {
		i.owner.Close()
	}
	r.mu.Lock()
	delete(r.live, i.id)
	r.mu.Unlock()
	close(i.gone)
}

// launch takes what an instance needs, in the order in which a crash leaves
// least: what is only in memory, the record, and then containerd's.
func (r *Runtime) launch(ctx context.Context, i *instance, to connection) error {
	if err := r.ready(ctx); err != nil {
		return err
	}
	spec := i.record.Spec
	img, err := r.images.use(ctx, spec.App, spec.Spec.Image)
	if err != nil {
		return err
	}
	i.record.Image, i.slug, i.stop = img.name, img.isSlug(), img.config.StopSignal
	before, _, _ := r.readRecord(i.dir, i.id)
	if i.record.Network, err = r.network.take(before.Network); err != nil {
		return err
	}
	i.record.Container = containerName(i.id, to.merged)
	i.record.Shim = r.joinShim(spec.App, i.record.Container)
	if err := os.MkdirAll(i.dir, 0o711); err != nil {
		return err
	}
	if i.oneOff {
		if err := i.own(); err != nil {
			return err
		}
	}
	leased, release, err := r.engine.lease(ctx)
	if err != nil {
		return err
	}
	defer release()
	p, err := r.plan(leased, i, img, to)
	if err != nil {
		return err
	}
	i.record.Started = time.Now()
	if err := r.writeRecord(i.dir, i.record); err != nil {
		return err
	}
	return r.create(leased, i, p, to)
}

// containerName is new for each copy: what is late in cleaning up after one
// never meets the next. See wrapper for its end.
func containerName(id string, merged bool) string {
	name := strings.Join(strings.FieldsFunc(id[:min(len(id), 56)], func(c rune) bool { return c == '-' }), "-")
	name += "-" + strings.ToLower(rand.Text()[:10])
	if merged {
		name += "-m"
	}
	return name
}

// plan prepares the copy's file system and says how it is run.
func (r *Runtime) plan(ctx context.Context, i *instance, img image, to connection) (plan, error) {
	spec, id := i.record.Spec.Spec, i.record.Container
	if _, err := r.engine.client.SnapshotService(snapshotter).Prepare(ctx, id, img.chain); err != nil {
		return plan{}, fmt.Errorf("its file system: %w", err)
	}
	in, err := r.insides(ctx, id, img)
	if err != nil {
		return plan{}, err
	}
	argv, err := command(spec, img, in)
	if err != nil {
		return plan{}, err
	}
	p := plan{
		id: id, hostname: hostname(i.id), argv: argv, env: environment(spec, img, in), cwd: workingDir(img), in: in, spec: spec,
		dir: filepath.Join(i.dir, id), cgroup: r.group(id), group: i.record.Shim, terminal: to.terminal != nil,
		dns: nameservers(), addr: i.record.Network,
	}
	for _, m := range spec.Mounts {
		path, err := r.options.Volumes.Prepare(m, in.uid)
		if err != nil {
			return plan{}, err
		}
		p.volumes = append(p.volumes, specs.Mount{Type: "bind", Source: path, Destination: m.Path, Options: []string{"bind", "rprivate", "rw", "nosuid", "nodev"}})
	}
	i.record.UID, i.record.GID, i.shells = in.uid, in.gid, in
	return p, p.write()
}

// hostname is the id, as far as a host may be called that.
func hostname(id string) string { return strings.Trim(id[max(0, len(id)-63):], "-") }

// insides looks into an image once in a life.
func (r *Runtime) insides(ctx context.Context, key string, img image) (insides, error) {
	type question struct{ digest, user string }
	asked := question{img.digest, img.config.User}
	if found, ok := r.seen.Load(asked); ok {
		return found.(insides), nil
	}
	found, err := r.look(ctx, key, img.config.User)
	if err == nil {
		r.seen.Store(asked, found)
	}
	return found, err
}

// create makes the container, connects it while its own process is held, and
// lets that go.
func (r *Runtime) create(ctx context.Context, i *instance, p plan, to connection) error {
	s, err := p.ociSpec(ctx)
	if err != nil {
		return err
	}
	if t := to.terminal; t != nil && t.Size.Rows != 0 && t.Size.Cols != 0 {
		s.Process.ConsoleSize = &specs.Box{Height: uint(t.Size.Rows), Width: uint(t.Size.Cols)}
	}
	i.process = s.Process
	if err := r.writeSpec(p.id, s); err != nil {
		return err
	}
	defer os.RemoveAll(r.specDir(p.id))
	public, process := *s, *s.Process
	process.Env = nil
	public.Process = &process
	container, err := r.engine.client.NewContainer(ctx, p.id,
		client.WithSnapshotter(snapshotter),
		func(_ context.Context, _ *client.Client, c *containers.Container) error {
			c.SnapshotKey, c.Image = p.id, i.record.Image
			return nil
		},
		client.WithContainerLabels(map[string]string{labelApp: i.record.Spec.App, labelInstance: i.id, labelShim: p.group}),
		client.WithRuntime("io.containerd.runc.v2", &options.Options{BinaryName: r.wrapperPath(), IoUid: uint32(p.in.uid), IoGid: uint32(p.in.gid)}),
		client.WithSpec(&public),
	)
	if err != nil {
		return fmt.Errorf("make its container: %w", err)
	}
	var task client.Task
	err = r.inShim(p.group, p.id, func() (err error) {
		task, err = container.NewTask(ctx, to.creator(i))
		return err
	})
	if err != nil {
		return unstarted(err)
	}
	if err := r.network.connect(int(task.Pid()), device(p.id), i.record.Network); err != nil {
		return fmt.Errorf("connect it: %w", err)
	}
	if err := task.Start(ctx); err != nil {
		return unstarted(err)
	}
	i.task = task
	return nil
}

const (
	labelInstance = "io.slipway.instance"
	labelShim     = "io.slipway.shim"
)

// unstarted puts what users meet into words.
func unstarted(err error) error {
	if what, code := notRun(err); code != 0 {
		return platform.Invalid("command", "%s", what)
	}
	return err
}

// notRun reads runc's error about a program: what is wrong with it in words,
// and the exit code that a shell would tell. 0: it is about something else.
func notRun(err error) (what string, code int) {
	_, why, found := strings.Cut(err.Error(), "exec: ")
	name, why, named := strings.Cut(why, ": ")
	name = strings.Trim(name, `"`)
	switch {
	case !found || !named:
		return "", 0
	case strings.Contains(why, "not found"), strings.Contains(why, "no such file"):
		return "the image has no program " + name, 127
	case strings.Contains(why, "permission denied"):
		return name + " in the image cannot be executed: its mode does not allow that", 126
	}
	return "", 0
}

// device is the name of an instance's end of the bridge.
func device(container string) string {
	sum := sha256.Sum256([]byte(container))
	return "slv" + hex.EncodeToString(sum[:6])
}

func (r *Runtime) specDir(container string) string {
	return filepath.Join(runDir(r.namespace()), container)
}

// writeSpec leaves the whole specification for wrapper.
func (r *Runtime) writeSpec(container string, s *specs.Spec) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(r.specDir(container), 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.specDir(container), "config.in"), text, 0o600)
}

// Prepare implements runtime.Preparer.
func (r *Runtime) Prepare(ctx context.Context, spec platform.InstanceSpec) error {
	if err := r.checkSpec(spec); err != nil {
		return err
	}
	ctx = r.in(ctx)
	if err := r.ready(ctx); err != nil {
		return err
	}
	img, err := r.images.use(ctx, spec.App, spec.Spec.Image)
	if err != nil {
		return err
	}
	r.images.release(img.name)
	return nil
}

// Forget implements runtime.Outputs.
func (r *Runtime) Forget(id string) error {
	if !validID.MatchString(id) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, runs := r.live[id]; runs {
		return fmt.Errorf("forget %s: it runs: %w", id, platform.ErrConflict)
	}
	if err := os.RemoveAll(r.dir(id)); err != nil {
		return fmt.Errorf("forget %s: %w", id, err)
	}
	return nil
}

var errGone = errors.New("it is gone")
