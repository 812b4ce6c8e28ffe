package process

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/slipway-paas/slipway/internal/platform"
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
	r.mu.Lock()
	i := r.live[id]
	r.mu.Unlock()
	if i == nil || !isClosed(i.started) || i.confined == nil {
		return 0, fmt.Errorf("exec: %w", &platform.NotFoundError{Kind: "Instance", ID: id})
	}
	if len(argv) == 0 {
		return 0, platform.Invalid("command", "no command for %s", id)
	}
	// What the launcher added to the environment is only there.
	env := i.confined.Environ()
	if env == nil {
		env = i.record.Env
	}
	if stream.Terminal != nil && stream.Terminal.Term != "" {
		env = append(slices.Clone(env), "TERM="+stream.Terminal.Term)
	}
	wires := &wires{stream: stream}
	defer wires.close()
	name := "exec-" + strconv.FormatInt(r.execs.Add(1), 10)
	p := sandbox.Process{Name: name, Argv: argv, Env: env, Dir: "/app", UID: i.record.UID}
	err := wires.connect(&p)
	if err == nil {
		var confined *sandbox.Confined
		confined, err = r.sandbox.Enter(i.confined, p)
		closeFiles(p.Stdin, p.Stdout, p.Stderr)
		if err == nil {
			return wires.attend(ctx, confined)
		}
	}
	return 0, fmt.Errorf("exec in %s: %w", id, err)
}
