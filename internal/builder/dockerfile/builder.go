package dockerfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/builder/buildkitd"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// Builder builds Dockerfiles. It is a builder.Builder; safe for concurrent use.
type Builder struct {
	log      *slog.Logger
	options  Options
	networks *networks
	shelf    *shelf
}

// New prepares o.Dir and ends builds an earlier process left running. It needs
// nothing of the machine: where Check finds something missing, builds say so.
func New(log *slog.Logger, o Options) (*Builder, error) {
	o, err := o.validate()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory of Dockerfile builds: %w", err)
	}
	b := &Builder{log: log, options: o, networks: newNetworks(o.Dir), shelf: &shelf{log: log, dir: o.Dir, bound: o.CacheBytes}}
	if Check() == nil {
		b.endLeftovers()
	}
	return b, nil
}

// endLeftovers ends what builds of a platform that was killed left: their
// children end by themselves, but perhaps not yet.
func (b *Builder) endLeftovers() {
	for _, app := range b.shelf.apps() {
		group := sandbox.FindGroup(b.groupOf(app))
		group.Kill()
		group.Remove()
	}
	b.networks.clear()
	b.networks.sweep()
}

// groupOf names the control group of an app's build.
func (b *Builder) groupOf(app string) string { return "dockerfile-" + b.networks.id + "-" + app }

// Detect is true where the tree has the Dockerfile.
func (b *Builder) Detect(_ context.Context, dir string, r builder.Request) (bool, error) {
	path := dockerfileOf(r)
	if !filepath.IsLocal(path) {
		return true, nil // Build says what is wrong with it
	}
	info, err := os.Lstat(filepath.Join(dir, path))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && !info.IsDir(), nil
}

// Build builds the Dockerfile of the tree at dir and pushes the image.
func (b *Builder) Build(ctx context.Context, dir string, r builder.Request) (builder.Result, error) {
	if problem := Check(); problem != nil {
		return builder.Result{}, problem
	}
	// A broken Procfile is told before minutes of compiling.
	types, err := builder.ReadProcfile(dir, r.App)
	if err != nil {
		return builder.Result{}, err
	}
	s, err := readSettings(dir, r)
	if err != nil {
		return builder.Result{}, err
	}
	cache, giveBack, err := b.shelf.take(r.App, builder.CacheDisabled(r))
	if err != nil {
		return builder.Result{}, err
	}
	defer giveBack()
	out := builder.NewOutput(r.Output)
	out.Hide(s.hidden())
	limits := b.options.Limits
	limits.DiskBytes += builder.Usage(cache) // what this build adds is bounded

	var digest string
	err = limits.Guard(ctx, r.App, out, []string{cache}, func(ctx context.Context) error {
		digest, err = b.run(ctx, dir, r, s, out)
		return err
	})
	if err != nil {
		out.Print(stopped)
		return builder.Result{}, err
	}
	result, err := b.result(ctx, r, digest)
	if err != nil {
		return builder.Result{}, err
	}
	if types == nil {
		types = map[string]string{}
	}
	result.Procfile = types
	return result, nil
}

// stopped is the line by which scripts know a build that failed.
const stopped = "Build pod exited with code 1, stopping build."

// run starts a child, has it build, and returns when nothing of it is left.
func (b *Builder) run(ctx context.Context, dir string, r builder.Request, s settings, out *builder.Output) (string, error) {
	c, err := b.start(ctx, r.App)
	if err != nil {
		return "", err
	}
	defer c.stop()
	digest, err := b.solve(ctx, c, dir, r, s, out)
	if err != nil {
		return "", b.failure(ctx, c, r, err, out)
	}
	if err := c.Prune(ctx, nil, keep(b.options.CacheBytes)...); err != nil {
		b.log.Warn("build cache was not cut", "app", r.App, "err", err)
	}
	return digest, nil
}

// config is what the child is told.
func (b *Builder) config(app string, network buildkitd.Network) buildkitd.Config {
	runc, _ := lookPath("runc") // checked
	c := buildkitd.Config{
		Root: b.shelf.at(app), Binary: runc, CacheBytes: b.options.CacheBytes, FileBytes: b.options.DiskBytes,
		Processes: b.options.Processes, Network: network,
		Registries: map[string]buildkitd.Registry{b.options.RegistryAddr: {Plain: true}},
	}
	hosts := b.options.Hosts
	for _, name := range hosts.Names() {
		r := buildkitd.Registry{Only: hosts.Only[name], Insecure: hosts.Insecure[name], Plain: hosts.Insecure[name]}
		if file := hosts.CAs[name]; file != "" {
			r.CAs = []string{file}
		}
		for _, mirror := range hosts.Mirrors[name] {
			r.Mirrors = append(r.Mirrors, strings.TrimSuffix(mirror.Host+"/"+mirror.Path, "/"))
		}
		for _, mirrors := range hosts.Mirrors {
			for _, mirror := range mirrors {
				r.Plain = r.Plain || mirror.Plain && mirror.Host == name
			}
		}
		c.Registries[name] = r
	}
	return c
}

// Forget removes the build cache of an app that is gone. An unknown app is no error.
func (b *Builder) Forget(app string) error {
	if err := platform.ValidAppID(app); err != nil {
		return err
	}
	return b.shelf.forget(app)
}
