// Package pick chooses between two runtimes for each instance: it is handed
// both, or one and why there is no other, and is a runtime itself. What runs is
// asked of the one that started it.
package pick

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

// Mode is what an operator asks for.
type Mode string

// The modes.
const (
	// Auto: containers for what they can run, processes for the rest.
	Auto Mode = "auto"
	// Containerd: containers alone.
	Containerd Mode = "containerd"
	// Process: processes alone.
	Process Mode = "process"
)

// ParseMode reads a mode.
func ParseMode(text string) (Mode, error) {
	if mode := Mode(text); mode == Auto || mode == Containerd || mode == Process {
		return mode, nil
	}
	return "", platform.Invalid("runtime", "--runtime is auto, containerd or process, not %q", text)
}

// Runtime implements runtime.Runtime over two.
type Runtime struct {
	mode       Mode
	processes  runtime.Runtime
	containers runtime.Runtime
	missing    []string // for containers, one cure a line

	mu    sync.Mutex
	owner map[string]runtime.Runtime // by id, of what was started or adopted
	left  []runtime.Exit             // that the watcher before did not take
}

var (
	_ runtime.Runtime       = (*Runtime)(nil)
	_ runtime.Outputs       = (*Runtime)(nil)
	_ runtime.PortChecker   = (*Runtime)(nil)
	_ runtime.PortExplainer = (*Runtime)(nil)
	_ runtime.Preparer      = (*Runtime)(nil)
	_ runtime.Retirer       = (*Runtime)(nil)
	_ runtime.Describer     = (*Runtime)(nil)
)

// New chooses between processes and containers; missing is what the machine
// lacks for the latter, one cure a line. Both are asked for what an earlier
// mode left running.
func New(mode Mode, processes, containers runtime.Runtime, missing []string) *Runtime {
	return &Runtime{mode: mode, processes: processes, containers: containers, missing: missing, owner: make(map[string]runtime.Runtime)}
}

func (r *Runtime) both() []runtime.Runtime { return []runtime.Runtime{r.processes, r.containers} }

// choose is the rule.
func (r *Runtime) choose(spec platform.Spec) (runtime.Runtime, error) {
	image := wantsImage(spec)
	switch {
	case r.mode == Process && image:
		return nil, &platform.UserError{
			Kind: platform.ErrInvalid, Message: "this node runs builds by buildpacks only, as processes of the machine; this image needs a container",
			Cure: "Ask the platform's administrator to start the node with --runtime auto.",
		}
	case r.mode == Process:
		return r.processes, nil
	case r.mode == Auto && spec.Bare:
		return r.processes, nil
	case len(r.missing) == 0:
		return r.containers, nil
	case r.mode == Auto && !image:
		return r.processes, nil
	}
	what, cure := r.lacking()
	return nil, &platform.UserError{Kind: platform.ErrUnavailable, Message: "this machine cannot run images: " + what, Cure: cure}
}

// lacking is what is missing in words, and all the cures.
func (r *Runtime) lacking() (what, cure string) {
	var lacks, cures []string
	for _, line := range r.missing {
		lack, remedy, _ := strings.Cut(line, ": ")
		lacks, cures = append(lacks, lack), append(cures, remedy)
	}
	return strings.Join(lacks, "; "), "Ask the platform's administrator to do this and start the node again: " + strings.Join(cures, "; ")
}

// wantsImage reports that a spec is not of a slug: its launcher is the image's
// entrypoint and takes one command line.
func wantsImage(spec platform.Spec) bool {
	return !spec.Bare && (spec.Entrypoint != nil || len(spec.Args) != 1)
}

// of is who runs an id, as far as it is known.
func (r *Runtime) of(id string) runtime.Runtime {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.owner[id]
}

func (r *Runtime) note(id string, rt runtime.Runtime) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owner[id] = rt
}

// Start implements runtime.Runtime.
func (r *Runtime) Start(ctx context.Context, spec platform.InstanceSpec) (runtime.Running, error) {
	rt, err := r.choose(spec.Spec)
	if err != nil {
		return runtime.Running{}, err
	}
	if err := r.moved(spec.ID, rt); err != nil {
		return runtime.Running{}, err
	}
	running, err := rt.Start(ctx, spec)
	if err == nil {
		r.note(spec.ID, rt)
	}
	return running, err
}

// moved sees to an id that another runtime had before: what that one kept of
// it goes, unless it runs.
func (r *Runtime) moved(id string, to runtime.Runtime) error {
	before := r.of(id)
	if before == nil || before == to {
		return nil
	}
	if outputs, ok := before.(runtime.Outputs); ok {
		return outputs.Forget(id)
	}
	return nil
}

// Stop implements runtime.Runtime.
func (r *Runtime) Stop(ctx context.Context, id string, grace time.Duration) error {
	return r.each(func(rt runtime.Runtime) error { return rt.Stop(ctx, id, grace) })
}

// each asks both.
func (r *Runtime) each(ask func(runtime.Runtime) error) error {
	var failed error
	for _, rt := range r.both() {
		failed = errors.Join(failed, ask(rt))
	}
	return failed
}

// Adopt implements runtime.Runtime.
func (r *Runtime) Adopt(ctx context.Context) ([]runtime.Running, error) {
	var all []runtime.Running
	for _, rt := range r.both() {
		adopted, err := rt.Adopt(ctx)
		for _, running := range adopted {
			r.note(running.Spec.ID, rt)
		}
		all = append(all, adopted...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// Run implements runtime.Runtime.
func (r *Runtime) Run(ctx context.Context, spec platform.InstanceSpec, stream platform.IO) (int, error) {
	rt, err := r.choose(spec.Spec)
	if err != nil {
		return 0, err
	}
	return rt.Run(ctx, spec, stream)
}

// Exec implements runtime.Runtime.
func (r *Runtime) Exec(ctx context.Context, id string, argv []string, stream platform.IO) (int, error) {
	rt := r.of(id)
	if rt == nil {
		return 0, fmt.Errorf("exec: %w", &platform.NotFoundError{Kind: "Instance", ID: id})
	}
	return rt.Exec(ctx, id, argv, stream)
}

// Shell implements runtime.Runtime.
func (r *Runtime) Shell(ctx context.Context, id, line string, stream platform.IO) (int, error) {
	rt := r.of(id)
	if rt == nil {
		return 0, fmt.Errorf("exec: %w", &platform.NotFoundError{Kind: "Instance", ID: id})
	}
	return rt.Shell(ctx, id, line, stream)
}

// Watch implements runtime.Runtime. Each of the two goes on only after its end
// was taken; one that came as the watcher left is kept for the next.
func (r *Runtime) Watch(ctx context.Context) iter.Seq[runtime.Exit] {
	return func(yield func(runtime.Exit) bool) {
		for {
			exit, any := r.kept()
			if !any {
				break
			}
			if !yield(exit) {
				return
			}
		}
		r.watchBoth(ctx, yield)
	}
}

func (r *Runtime) kept() (exit runtime.Exit, any bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.left) == 0 {
		return exit, false
	}
	exit, r.left = r.left[0], r.left[1:]
	return exit, true
}

func (r *Runtime) watchBoth(ctx context.Context, yield func(runtime.Exit) bool) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	type end struct {
		exit  runtime.Exit
		taken chan bool // whether more are wanted
	}
	ends, quiet := make(chan end), make(chan struct{})
	var work sync.WaitGroup
	for _, rt := range r.both() {
		work.Go(func() {
			for exit := range rt.Watch(ctx) {
				e := end{exit, make(chan bool)}
				ends <- e
				if !<-e.taken {
					return
				}
			}
		})
	}
	go func() { work.Wait(); close(quiet) }()
	for more := true; ; {
		select {
		case e := <-ends:
			if more {
				more = yield(e.exit)
			} else {
				r.mu.Lock()
				r.left = append(r.left, e.exit)
				r.mu.Unlock()
			}
			if !more {
				stop()
			}
			e.taken <- more
		case <-quiet:
			return
		}
	}
}

// Forget implements runtime.Outputs.
func (r *Runtime) Forget(id string) error {
	err := r.each(func(rt runtime.Runtime) error {
		if outputs, ok := rt.(runtime.Outputs); ok {
			return outputs.Forget(id)
		}
		return nil
	})
	if err == nil {
		r.mu.Lock()
		delete(r.owner, id)
		r.mu.Unlock()
	}
	return err
}

// CheckPort implements runtime.PortChecker. Instances with a network of their
// own share no port.
func (r *Runtime) CheckPort(id string) error {
	if checker, ok := r.of(id).(runtime.PortChecker); ok {
		return checker.CheckPort(id)
	}
	return nil
}

// ExplainPort implements runtime.PortExplainer.
func (r *Runtime) ExplainPort(id string, port int) error {
	if explainer, ok := r.of(id).(runtime.PortExplainer); ok {
		return explainer.ExplainPort(id, port)
	}
	return nil
}

// Prepare implements runtime.Preparer.
func (r *Runtime) Prepare(ctx context.Context, spec platform.InstanceSpec) error {
	rt, err := r.choose(spec.Spec)
	if err != nil {
		return err
	}
	if preparer, ok := rt.(runtime.Preparer); ok {
		return preparer.Prepare(ctx, spec)
	}
	return nil
}

// Retire implements runtime.Retirer.
func (r *Runtime) Retire(ctx context.Context) error {
	return r.each(func(rt runtime.Runtime) error {
		if retirer, ok := rt.(runtime.Retirer); ok {
			return retirer.Retire(ctx)
		}
		return nil
	})
}

// SetRegistry says where images are pulled from.
func (r *Runtime) SetRegistry(host, user, password string) {
	for _, rt := range r.both() {
		if puller, ok := rt.(interface {
			SetRegistry(host, user, password string)
		}); ok {
			puller.SetRegistry(host, user, password)
		}
	}
}

// Reseal tells both that there is a newer key.
func (r *Runtime) Reseal() error {
	return r.each(func(rt runtime.Runtime) error {
		if sealer, ok := rt.(interface{ Reseal() error }); ok {
			return sealer.Reseal()
		}
		return nil
	})
}

// Describe tells which runtime is used, and what keeps the other from it.
func (r *Runtime) Describe() platform.RuntimeInfo {
	var info, other platform.RuntimeInfo
	if d, ok := r.processes.(runtime.Describer); ok {
		info = d.Describe()
	}
	if d, ok := r.containers.(runtime.Describer); ok {
		other = d.Describe()
	}
	switch {
	case r.mode == Process:
		info.Why = "asked for with --runtime process: images of others are refused"
	case r.mode == Containerd && len(r.missing) == 0:
		other.Why = "asked for with --runtime containerd: builds without a stack are refused"
		return other
	case len(r.missing) == 0:
		info.Name, info.Isolation = other.Name, other.Isolation
		info.Why = "images run in containers, builds without a stack as processes"
	default:
		info.Why = "images of others are refused: this machine cannot run containers"
		info.Missing = append(slices.Clone(info.Missing), r.missing...)
	}
	return info
}
