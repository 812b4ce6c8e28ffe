package buildpack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// Builder builds slugs. It is a builder.Builder; safe for concurrent use.
type Builder struct {
	log       *slog.Logger
	sandbox   *sandbox.Sandbox
	options   Options
	bundle    string // directory of the extracted bundle
	transport http.RoundTripper
}

// New prepares o.Dir and ends builds an earlier process left running.
func New(log *slog.Logger, box *sandbox.Sandbox, o Options) (*Builder, error) {
	o, err := o.validate(os.Geteuid() == 0)
	if err != nil {
		return nil, err
	}
	b := &Builder{log: log, sandbox: box, options: o, transport: &http.Transport{
		MaxIdleConnsPerHost: 4, IdleConnTimeout: 10 * time.Second, ResponseHeaderTimeout: time.Minute, DisableCompression: true,
	}}
	for _, dir := range []string{"", "bundle", "cache"} {
		// Builds pass through to what is theirs; they cannot look around.
		if err := os.MkdirAll(filepath.Join(o.Dir, dir), 0o711); err != nil {
			return nil, fmt.Errorf("buildpack directory: %w", err)
		}
	}
	if err := b.endLeftovers(); err != nil {
		return nil, err
	}
	if b.bundle, err = extractBundle(filepath.Join(o.Dir, "bundle")); err != nil {
		return nil, fmt.Errorf("extract the bundled buildpacks: %w", err)
	}
	return b, nil
}

// Detect is true for every tree: which buildpack fits is found inside the
// sandbox that also compiles. When none does, Build's error matches
// builder.ErrUndetected.
func (b *Builder) Detect(context.Context, string, builder.Request) (bool, error) { return true, nil }

// Build runs the buildpacks on the tree at dir and pushes the slug.
func (b *Builder) Build(ctx context.Context, dir string, r builder.Request) (builder.Result, error) {
	out := newOutput(r.Output)
	if r.Env[debugKey] != "" {
		out.hide(r.Env)
	}
	packs, err := plan(dir, r)
	if err != nil {
		return builder.Result{}, err
	}
	// A broken Procfile is told before minutes of compiling.
	if _, err := builder.ReadProcfile(dir, r.App); err != nil {
		return builder.Result{}, err
	}
	w, err := b.workspace(dir, r, packs)
	if err != nil {
		return builder.Result{}, err
	}
	defer w.remove(b.log)
	w.tellCache(r, out)

	found, err := b.run(ctx, w, r, packs, out)
	if err != nil {
		return builder.Result{}, err
	}
	types, err := b.processTypes(dir, r, found, out)
	if err != nil {
		return builder.Result{}, err
	}
	if err := writeDefaults(dir, found.config); err != nil {
		return builder.Result{}, err
	}
	return b.ship(ctx, w, r, found, types, out)
}

// processTypes is the Procfile, which buildpacks may have written, else what
// the buildpacks propose.
func (b *Builder) processTypes(dir string, r builder.Request, found findings, out *output) (map[string]string, error) {
	out.headline("Discovering process types")
	types, err := builder.ReadProcfile(dir, r.App)
	if err != nil {
		return nil, err
	}
	switch {
	case types != nil:
		out.detail("Procfile declares types -> " + builder.TypesText(types))
		return types, nil
	case len(found.types) > 0:
		out.detail("Default process types for " + found.detected() + " -> " + builder.TypesText(found.types))
		return found.types, nil
	}
	return nil, &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: fmt.Sprintf("nothing to run: the tree has no Procfile, and the %s buildpack proposes no process type", found.detected()),
		Cure:    "Add a file named Procfile with a line such as `web: <command that listens on $PORT>`, commit, and push again.",
	}
}

// ship packs the tree and pushes the image.
func (b *Builder) ship(ctx context.Context, w *workspace, r builder.Request, found findings, types map[string]string, out *output) (builder.Result, error) {
	// A build can leave more, and a .slugignore ask more of each file, than is
	// packed in any time.
	packing, cancel := context.WithTimeoutCause(ctx, b.options.Timeout, b.options.limits().TooLong(r.App))
	defer cancel()
	layer, err := b.pack(packing, w)
	if cause := context.Cause(packing); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return builder.Result{}, err
	}
	out.headline("Compiled slug size is " + builder.SizeText(layer.size))
	below, err := b.below(ctx)
	if err != nil {
		return builder.Result{}, fmt.Errorf("the platform's stack: %w", err)
	}
	image, err := b.push(ctx, r, layer, types, below)
	if err != nil {
		return builder.Result{}, fmt.Errorf("push the image of %s: %w", r.App, err)
	}
	return builder.Result{Image: image, Stack: below, Kind: platform.ImageSlug, Procfile: types, Detected: found.detected(), Size: layer.size}, nil
}

// Forget removes the build cache of an app that is gone. An unknown app is no error.
func (b *Builder) Forget(app string) error {
	if err := platform.ValidAppID(app); err != nil {
		return err
	}
	return builder.RemoveAll(b.cacheOf(app))
}

func (b *Builder) cacheOf(app string) string { return filepath.Join(b.options.Dir, "cache", app) }

var errNotDetected = &platform.UserError{
	Kind:    errors.Join(platform.ErrInvalid, builder.ErrUndetected),
	Message: "Unable to select a buildpack",
	Cure: "Add a Procfile (`web: <command>`), or what a bundled buildpack (" + strings.Join(bundled, ", ") + ") looks for: " +
		"go.mod, pom.xml, package.json, composer.json, index.php, requirements.txt, pyproject.toml, Gemfile, config.ru, app.psgi, cpanfile, a jar or index.html;\n" +
		"or name a buildpack for anything else: slipway config set BUILDPACK_URL=https://github.com/<owner>/<repository>.git; then push again.",
}
