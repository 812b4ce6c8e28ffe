package process

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// Prepare implements runtime.Preparer: it pulls the image, which stays for the
// start that follows soon.
func (r *Runtime) Prepare(ctx context.Context, spec platform.InstanceSpec) error {
	err := checkSpec(spec)
	if err == nil {
		err = r.checkMounts(spec)
	}
	if err != nil {
		return err
	}
	uid, err := r.uids.Of(spec.App)
	if err != nil {
		return err
	}
	image, err := r.images.use(ctx, spec.App, spec.Spec.Image, uid)
	if err != nil {
		return err
	}
	r.images.release(image.dir)
	return nil
}

// ofTheMachine are folders inside which bubblewrap shows the machine's own,
// read-only: nothing can be mounted there.
var ofTheMachine = []string{"/bin", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/sbin", "/slipway", "/usr"}

// checkMounts refuses mounts that cannot be made here.
func (r *Runtime) checkMounts(spec platform.InstanceSpec) error {
	for _, m := range spec.Spec.Mounts {
		if r.sandbox.Offer().Isolation != platform.IsolationSandbox {
			return &platform.UserError{
				Kind:    platform.ErrUnavailable,
				Message: fmt.Sprintf("volume %s cannot be mounted at %s: this machine lets no process have mounts of its own", m.Volume, m.Path),
				Cure:    "Install bubblewrap (apt-get install bubblewrap), or containerd, and start the node again; slipway doctor tells what is missing.",
			}
		}
		if slices.ContainsFunc(ofTheMachine, func(dir string) bool { return strings.HasPrefix(m.Path, dir+"/") }) {
			return platform.Invalid("mounts", "volume %s cannot be mounted at %s: what is there is the machine's own. Choose a path such as /data or /app/data", m.Volume, m.Path)
		}
	}
	return nil
}

// volumes makes the directories of an instance's volumes and says where they
// go. The same volume is never in two instances that run.
func (r *Runtime) volumes(i *instance, spec platform.InstanceSpec, uid int) ([]sandbox.Mount, error) {
	if err := r.checkMounts(spec); err != nil {
		return nil, err
	}
	if volume, holder := r.holder(i, spec.Spec); holder != "" {
		return nil, fmt.Errorf("volume %s is held by %s: %w", volume, holder, platform.ErrBusy)
	}
	var mounts []sandbox.Mount
	for _, m := range spec.Spec.Mounts {
		path, err := r.options.Volumes.Prepare(m, uid)
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, sandbox.Mount{Source: path, Target: filepath.Clean(m.Path), Writable: true})
	}
	return mounts, nil
}

// holder is another instance that has, or is being given, a volume of spec.
func (r *Runtime) holder(i *instance, spec platform.Spec) (volume, holder string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range r.live {
		if other == i {
			continue
		}
		if name, shared := platform.Shared(spec, other.wish); shared {
			return name, other.id
		}
	}
	return "", ""
}
