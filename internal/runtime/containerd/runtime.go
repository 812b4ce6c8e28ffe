package containerd

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/pkg/namespaces"

	"github.com/slipway-paas/slipway/internal/keep"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
	"github.com/slipway-paas/slipway/internal/secret"
	"github.com/slipway-paas/slipway/internal/volume"
)

// Options are what a Runtime needs to know.
type Options struct {
	// Dir is the state directory, made if need be. One Runtime at a time may
	// hold it. It names the namespace in containerd, the bridge and the control
	// group: two directories never meet. Required.
	Dir string
	// Socket is containerd's. Empty: the machine's when it answers, else one is
	// started below Dir when it is first needed.
	Socket string
	// Network is where instances have their addresses. Zero: one that is free
	// is chosen, and kept while it is free.
	Network netip.Prefix
	// Volumes is where the volumes of apps are. Empty: there are none here.
	Volumes volume.Dir
	// Keys seal the apps' environment in Dir. Nil keeps it in the clear, for tests.
	Keys *secret.Ring
	// Version is reported by Describe.
	Version string
}

const snapshotter = "overlayfs"

// Runtime implements runtime.Runtime with containers.
type Runtime struct {
	log     *slog.Logger
	options Options
	name    string // of all that is ours on the machine: 8 hexadecimal digits
	seals   keep.Sealer
	engine  *engine
	network *network
	images  *store
	exits   *runtime.Exits
	seen    sync.Map // insides by image and user

	preparing sync.Mutex
	prepared  bool

	mu     sync.Mutex
	live   map[string]*instance
	shims  map[string]*shim
	closed bool
	life   context.Context // of the runtime
	end    context.CancelFunc
	owned  sync.WaitGroup
}

var (
	_ runtime.Runtime       = (*Runtime)(nil)
	_ runtime.Outputs       = (*Runtime)(nil)
	_ runtime.Preparer      = (*Runtime)(nil)
	_ runtime.PortExplainer = (*Runtime)(nil)
	_ runtime.Describer     = (*Runtime)(nil)
	_ runtime.Retirer       = (*Runtime)(nil)
)

// Missing says what this machine lacks for containers, one cure a line; socket
// is as in Options.
func Missing(socket string) []string {
	if os.Geteuid() != 0 {
		return []string{"containers need root: run slipway as root"}
	}
	var lacking, packages []string
	for _, need := range []struct{ program, pkg string }{
		{"containerd", "containerd"}, {"containerd-shim-runc-v2", "containerd"}, {"runc", "runc"}, {"iptables", "iptables"}, {"iptables-restore", "iptables"},
	} {
		if need.pkg == "containerd" && (socket != "" || answers(machineSocket)) {
			continue
		}
		if _, err := exec.LookPath(need.program); err != nil {
			lacking = append(lacking, need.program)
			if len(packages) == 0 || packages[len(packages)-1] != need.pkg {
				packages = append(packages, need.pkg)
			}
		}
	}
	var missing []string
	if len(lacking) > 0 {
		missing = append(missing, fmt.Sprintf("containers need %s: apt-get install %s", strings.Join(lacking, ", "), strings.Join(packages, " ")))
	}
	if systems, err := os.ReadFile("/proc/filesystems"); err == nil && !strings.Contains(string(systems), "\toverlay\n") {
		missing = append(missing, "containers need overlayfs in the kernel: modprobe overlay")
	}
	return missing
}

// New opens the state below options.Dir. Nothing is started before it is
// needed. Images cannot be pulled before SetRegistry. Close when done.
func New(log *slog.Logger, options Options) (*Runtime, error) {
	dir, err := filepath.Abs(options.Dir)
	if err != nil || options.Dir == "" {
		return nil, errors.Join(errors.New("the runtime needs a state directory"), err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "instances"), 0o711); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	options.Dir = dir
	sum := sha256.Sum256([]byte(dir))
	r := &Runtime{
		log: log, options: options, name: hex.EncodeToString(sum[:4]), seals: keep.Seals(options.Keys),
		exits: runtime.NewExits(), live: make(map[string]*instance), shims: make(map[string]*shim),
	}
	if r.engine, err = newEngine(log, filepath.Join(dir, "containerd"), options.Socket, r.namespace()); err != nil {
		return nil, err
	}
	r.network = newNetwork(dir, r.name, binary.BigEndian.Uint32(sum[:4]), options.Network)
	r.images = newStore(log, r.engine)
	r.life, r.end = context.WithCancel(namespaces.WithNamespace(context.Background(), r.namespace()))
	r.images.life, r.images.stop = context.WithCancel(r.life)
	return r, nil
}

func (r *Runtime) namespace() string { return "slipway-" + r.name }

// runDir is for what must not reach a disk.
func runDir(namespace string) string { return "/run/" + namespace }

// group is the control group of a container.
func (r *Runtime) group(container string) string { return "/" + r.namespace() + "/" + container }

// in makes containerd's calls of ours.
func (r *Runtime) in(ctx context.Context) context.Context {
	return namespaces.WithNamespace(ctx, r.namespace())
}

// SetRegistry says where images are pulled from: host:port, over plain HTTP
// when that is a loopback address, or unix: and a path. It may be called at any
// time; pulls under way go on as they began.
func (r *Runtime) SetRegistry(host, user, password string) {
	r.images.setRegistry(host, user, password)
}

// Describe tells how instances are kept apart here.
func (r *Runtime) Describe() platform.RuntimeInfo {
	return platform.RuntimeInfo{
		Name: "containerd", Isolation: platform.IsolationContainer, Missing: Missing(r.options.Socket),
		Pid: os.Getpid(), Version: r.options.Version,
	}
}

// ready makes what every container needs: containerd, the bridge, the rules.
// What earlier lives left behind is taken away before the first is made.
func (r *Runtime) ready(ctx context.Context) error {
	r.preparing.Lock()
	defer r.preparing.Unlock()
	if r.prepared {
		return r.engine.serving(ctx)
	}
	if missing := Missing(r.options.Socket); len(missing) > 0 {
		what, cure, _ := strings.Cut(strings.Join(missing, "; "), ": ")
		return &platform.UserError{Kind: platform.ErrUnavailable, Message: what, Cure: cure}
	}
	if err := r.engine.serving(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	inUse := false
	for _, i := range r.live {
		inUse = inUse || i.record.Network.IsValid()
	}
	r.mu.Unlock()
	if err := r.network.begin(inUse); err != nil {
		return err
	}
	if err := r.writeWrapper(); err != nil {
		return err
	}
	if err := r.sweep(ctx); err != nil {
		return err
	}
	r.engine.guard()
	r.owned.Go(r.sweepLate)
	r.prepared = true
	return nil
}

// Retire implements runtime.Retirer.
func (r *Runtime) Retire(ctx context.Context) error {
	r.preparing.Lock()
	defer r.preparing.Unlock()
	r.images.close()
	failed := r.clear(r.in(ctx))
	failed = errors.Join(failed, r.engine.retire(ctx), r.network.end())
	removeGroup("/" + r.namespace())
	r.prepared = false
	return errors.Join(failed, os.RemoveAll(runDir(r.namespace())))
}

// clear ends what still runs: one-off runs. A containerd of ours that does not
// run has nothing.
func (r *Runtime) clear(ctx context.Context) error {
	if !answers(r.engine.socket) {
		return nil
	}
	all, err := r.engine.client.Containers(ctx)
	if err != nil {
		return err
	}
	for _, container := range all {
		err = errors.Join(err, r.scrap(ctx, container.ID(), "", nil))
	}
	return err
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
	r.mu.Unlock()
	r.end()
	r.images.close()
	r.owned.Wait()
	return r.engine.close()
}

var validID = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,126}[a-z0-9])?$`)

// dir is the folder of an instance.
func (r *Runtime) dir(id string) string { return filepath.Join(r.options.Dir, "instances", id) }

func (r *Runtime) checkSpec(spec platform.InstanceSpec) error {
	switch {
	case !validID.MatchString(spec.ID):
		return platform.Invalid("id", "%q cannot name an instance", spec.ID)
	case platform.ValidAppID(spec.App) != nil:
		return platform.Invalid("app", "%q cannot name an app", spec.App)
	case spec.Spec.Bare:
		return &platform.UserError{
			Kind: platform.ErrInvalid, Message: "the build has no stack below it, and cannot run in a container",
			Cure: "Start the node with --runtime auto or process, or make a stack (slipway stack build) and push again.",
		}
	}
	for _, port := range append([]int{listenPort(spec.Spec)}, spec.Spec.Ports...) {
		if port < 1 || port > 65535 {
			return platform.Invalid("ports", "%d is no port", port)
		}
	}
	for _, m := range spec.Spec.Mounts {
		if _, err := r.options.Volumes.Path(m); err != nil {
			return err
		}
	}
	return nil
}

// wrapper is called by containerd's shim in place of runc, for two ends. What
// is called ...-m prints stderr to where stdout leads, so that the two stay in
// order. And the specification with the app's environment is given to runc
// from where no disk keeps it: containerd has one without. The shim is where its
// first container was, which may be gone, and a shell complains of that.
const wrapper = `#!/usr/bin/env -S -C / /bin/sh
for id; do :; done
case " $* " in *" create "*)
	if [ -f "%[1]s/$id/config.in" ]; then
		i=$# bundle=
		while [ "$i" -gt 0 ]; do
			word=$1; shift
			if [ "$before" = --bundle ]; then bundle=$word; set -- "$@" "%[1]s/$id"; else set -- "$@" "$word"; fi
			before=$word i=$((i-1))
		done
		sed "s|\"path\":\"rootfs\"|\"path\":\"$bundle/rootfs\"|" "%[1]s/$id/config.in" >"%[1]s/$id/config.json" || exit 1
	fi
	case $id in *-m) exec %[2]s "$@" 2>&1 ;; esac ;;
*" exec "*"-m.pid "*) exec %[2]s "$@" 2>&1 ;;
esac
exec %[2]s "$@"
`

func (r *Runtime) wrapperPath() string { return filepath.Join(r.options.Dir, "runc") }

func (r *Runtime) writeWrapper() error {
	runc, err := exec.LookPath("runc")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(runDir(r.namespace()), 0o700); err != nil {
		return err
	}
	text := fmt.Sprintf(wrapper, runDir(r.namespace()), runc)
	if old, err := os.ReadFile(r.wrapperPath()); err == nil && string(old) == text {
		return nil
	}
	if err := runtime.WriteFile(r.wrapperPath(), []byte(text)); err != nil {
		return err
	}
	return os.Chmod(r.wrapperPath(), 0o700) //nolint:gosec // it is a program
}
