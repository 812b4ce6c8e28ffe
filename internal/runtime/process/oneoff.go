package process

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// Run implements runtime.Runtime.
func (r *Runtime) Run(ctx context.Context, spec platform.InstanceSpec, stream platform.IO) (int, error) {
	spec = withTerm(spec, stream.Terminal)
	wires := &wires{stream: stream}
	defer wires.close()
	i, err := r.begin(ctx, spec, true, func(_ string, p *sandbox.Process) error { return wires.connect(p) })
	if err != nil {
		return 0, err
	}
	exit, err := wires.attend(ctx, i.confined)
	<-i.gone
	return exit, err
}

// withTerm adds TERM, as a login would.
func withTerm(spec platform.InstanceSpec, terminal *platform.Terminal) platform.InstanceSpec {
	if terminal == nil || terminal.Term == "" {
		return spec
	}
	env := map[string]string{"TERM": terminal.Term}
	maps.Copy(env, spec.Spec.Env)
	spec.Spec.Env = env
	return spec
}

// Exec implements runtime.Runtime.
func (r *Runtime) Exec(ctx context.Context, id string, argv []string, stream platform.IO) (int, error) {
	i, err := r.runningOne(id)
	if err != nil {
		return 0, err
	}
	if len(argv) == 0 {
		return 0, platform.Invalid("command", "no command for %s", id)
	}
	// What the launcher added to the environment is only there.
	env := runtime.Completed(i.record.env, i.confined.Environ())
	return r.enter(ctx, i, sandbox.Process{Argv: argv, Env: env, Dir: "/app"}, stream)
}

// Shell implements runtime.Runtime. The launcher makes the environment anew:
// that of the instance's own may be under way still.
func (r *Runtime) Shell(ctx context.Context, id, line string, stream platform.IO) (int, error) {
	i, err := r.runningOne(id)
	if err != nil {
		return 0, err
	}
	image, err := r.images.read(i.image)
	if err != nil {
		return 0, fmt.Errorf("image of %s: %w", id, err)
	}
	env := i.record.env
	if env == nil { // the key to it is gone
		env = i.confined.Environ()
	}
	return r.enter(ctx, i, sandbox.Process{
		Argv: append(r.entrypoint(image), line), Env: env, Dir: image.workingDir(),
	}, stream)
}

// runningOne returns the instance that runs under this id.
func (r *Runtime) runningOne(id string) (*instance, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.live[id]
	if i == nil || !isClosed(i.started) || i.confined == nil {
		return nil, fmt.Errorf("exec: %w", &platform.NotFoundError{Kind: "Instance", ID: id})
	}
	return i, nil
}

// enter runs p inside an instance until it ends.
func (r *Runtime) enter(ctx context.Context, i *instance, p sandbox.Process, stream platform.IO) (int, error) {
	if t := stream.Terminal; t != nil && t.Term != "" {
		p.Env = append(slices.Clone(p.Env), "TERM="+t.Term)
	}
	p.Name = "exec-" + rand.Text() // what a node that was killed left behind has another
	p.UID = i.record.UID
	wires := &wires{stream: stream}
	defer wires.close()
	err := wires.connect(&p)
	if err == nil {
		var confined *sandbox.Confined
		confined, err = r.sandbox.Enter(i.confined, p)
		closeFiles(p.Stdin, p.Stdout, p.Stderr)
		if err == nil {
			return wires.attend(ctx, confined)
		}
	}
	if i.hasEnded() {
		return 0, fmt.Errorf("exec: %w", &platform.NotFoundError{Kind: "Instance", ID: i.id})
	}
	return 0, fmt.Errorf("exec in %s: %w", i.id, err)
}

func (i *instance) hasEnded() bool {
	select {
	case <-i.confined.Done():
		return true
	default:
		return false
	}
}

// own marks a one-off as attached to this process.
func (i *instance) own() (err error) {
	i.owner, err = runtime.Own(i.dir)
	return err
}
