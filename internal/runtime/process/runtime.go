package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"github.com/slipway-paas/slipway/internal/keep"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
	"github.com/slipway-paas/slipway/internal/sandbox"
	"github.com/slipway-paas/slipway/internal/secret"
	"github.com/slipway-paas/slipway/internal/volume"
)

// Options are what a Runtime needs to know.
type Options struct {
	// Dir is the state directory, made if need be. One Runtime at a time may
	// hold it. Required.
	Dir string
	// Keys seal the apps' environment in Dir. Nil keeps it in the clear, for tests.
	Keys *secret.Ring
	// Sandbox runs the instances. Nil: one is made, which takes some tens of
	// milliseconds to find out what the machine offers.
	Sandbox *sandbox.Sandbox
	// Volumes keeps the apps' volumes. Default volumes below Dir.
	Volumes volume.Dir
	// FirstUID begins the range of uids given to apps, one each, never taken
	// back. 0 means 300000. Only heeded as root. No account of the machine may
	// lie in the range.
	FirstUID int
	// NotFirst and NotLast bound ports among those below that instances are not
	// given: somebody else listens there, now or later. 0: none.
	NotFirst, NotLast int
	// FirstPort and LastPort bound the loopback ports given to instances. 0
	// means 20000 to 32000: below the ports the kernel gives to clients.
	FirstPort, LastPort int
	// Version is reported by Describe.
	Version string
}

func (o *Options) fill() {
	if o.FirstUID == 0 {
		o.FirstUID = 300_000
	}
	if o.FirstPort == 0 {
		o.FirstPort = 20_000
	}
	if o.LastPort == 0 {
		o.LastPort = 32_000
	}
}

// Runtime implements runtime.Runtime with processes.
type Runtime struct {
	log     *slog.Logger
	options Options
	sandbox *sandbox.Sandbox
	seals   keep.Sealer
	uids    *runtime.UIDs
	ports   *ports
	images  *images
	exits   *runtime.Exits

	mu     sync.Mutex
	live   map[string]*instance
	closed bool
	done   chan struct{} // closed with the runtime
	owned  sync.WaitGroup
}

var (
	_ runtime.Runtime     = (*Runtime)(nil)
	_ runtime.Outputs     = (*Runtime)(nil)
	_ runtime.PortChecker = (*Runtime)(nil)
	_ runtime.Describer   = (*Runtime)(nil)
	_ runtime.Preparer    = (*Runtime)(nil)
)

// New opens the state below options.Dir. Images cannot be pulled before
// SetRegistry. Close when done.
func New(log *slog.Logger, options Options) (*Runtime, error) {
	options.fill()
	dir, err := filepath.Abs(options.Dir)
	if err != nil || options.Dir == "" {
		return nil, errors.Join(errors.New("the runtime needs a state directory"), err)
	}
	// The platform's own; instances pass through only where there is no mount
	// namespace, and then cannot list.
	for _, sub := range []string{"", "images", "instances"} {
		if err := makeDir(filepath.Join(dir, sub), 0o711); err != nil {
			return nil, err
		}
	}
	options.Dir = dir
	if options.Volumes == "" {
		options.Volumes = volume.Dir(filepath.Join(dir, "volumes"))
	}
	if options.Sandbox == nil {
		options.Sandbox = sandbox.New(context.Background(), log, dir)
	}
	r := &Runtime{
		log: log, options: options, sandbox: options.Sandbox, seals: keep.Seals(options.Keys),
		ports: newPorts(options),
		exits: runtime.NewExits(), live: make(map[string]*instance), done: make(chan struct{}),
	}
	if r.uids, err = runtime.OpenUIDs(filepath.Join(dir, "uids.json"), options.FirstUID); err != nil {
		return nil, err
	}
	r.images = newImages(log, filepath.Join(dir, "images"))
	return r, nil
}

// SetRegistry says where images are pulled from, host:port, over plain HTTP
// when that is a loopback address. It may be called at any time; pulls under
// way go on as they began.
func (r *Runtime) SetRegistry(host, user, password string) {
	r.images.setRegistry(host, user, password)
}

// Describe tells how instances are kept apart here.
func (r *Runtime) Describe() platform.RuntimeInfo {
	offer := r.sandbox.Offer()
	return platform.RuntimeInfo{
		Name: "process", Isolation: offer.Isolation, Missing: offer.Missing,
		Pid: os.Getpid(), Version: r.options.Version,
	}
}

// Close stops watching and waits for what it began. Instances run on; one-off
// runs and execs must have been ended through their contexts.
func (r *Runtime) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	close(r.done)
	var running []*sandbox.Confined
	for _, i := range r.live {
		if i.confined != nil {
			running = append(running, i.confined)
		}
	}
	r.mu.Unlock()
	for _, c := range running {
		c.Leave()
	}
	r.images.close()
	r.owned.Wait()
	return nil
}

var validID = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,126}[a-z0-9])?$`)

// dir is the folder of an instance.
func (r *Runtime) dir(id string) string { return filepath.Join(r.options.Dir, "instances", id) }

func checkSpec(spec platform.InstanceSpec) error {
	switch {
	case !validID.MatchString(spec.ID):
		return platform.Invalid("id", "%q cannot name an instance", spec.ID)
	case platform.ValidAppID(spec.App) != nil:
		return platform.Invalid("app", "%q cannot name an app", spec.App)
	case len(spec.Spec.Args) == 0:
		return platform.Invalid("args", "%s has no command", spec.ID)
	}
	return nil
}

// makeDir makes a folder with exactly that mode, whatever the umask.
func makeDir(path string, mode os.FileMode) error {
	if err := os.MkdirAll(path, mode); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	return os.Chmod(path, mode)
}
