package cnb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// Chooser is the config value of an app that says which builder it wants, and
// Choice the value that means this one.
const (
	Chooser = "SLIPWAY_BUILDER"
	Choice  = "cnb"
)

// Builder builds with Cloud Native Buildpacks. It is a builder.Builder; safe
// for concurrent use.
type Builder struct {
	log       *slog.Logger
	sandbox   *sandbox.Sandbox
	options   Options
	transport http.RoundTripper

	preparing sync.Mutex
	image     *image // nil until it is prepared
}

// New prepares o.Dir and ends builds an earlier process left running. The
// builder image is fetched by the first build that needs it.
func New(log *slog.Logger, box *sandbox.Sandbox, o Options) (*Builder, error) {
	o, err := o.validate()
	if err != nil {
		return nil, err
	}
	b := &Builder{log: log, sandbox: box, options: o, transport: &http.Transport{
		MaxIdleConnsPerHost: 4, IdleConnTimeout: 10 * time.Second, ResponseHeaderTimeout: time.Minute, DisableCompression: true,
	}}
	// Nobody but the platform passes through: sandboxes get what they see by mounts.
	for _, dir := range []string{"", "images", "apps"} {
		if err := os.MkdirAll(filepath.Join(o.Dir, dir), 0o700); err != nil {
			return nil, fmt.Errorf("directory of cloud native buildpacks: %w", err)
		}
	}
	return b, errors.Join(b.endLeftovers(), b.dropImages())
}

// endLeftovers ends builds that an earlier process left running and removes
// their workspaces.
func (b *Builder) endLeftovers() error {
	entries, err := os.ReadDir(b.workDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		if b.sandbox.EndRecorded(filepath.Join(b.workDir(), entry.Name())) {
			b.log.Info("build of an earlier process was ended", "build", entry.Name())
		}
	}
	for _, dir := range []string{b.workDir(), b.socketDir()} {
		if err := errors.Join(builder.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
			return err
		}
	}
	return nil
}

func (b *Builder) workDir() string   { return filepath.Join(b.options.Dir, "work") }
func (b *Builder) socketDir() string { return filepath.Join(b.options.Dir, "s") }

// appDir keeps what the next build of an app may use.
func appDir(dir, app string) string { return filepath.Join(dir, "apps", app) }

// Forget removes what builds of an app that is gone kept in a Builder's
// directory, whether there is a Builder or not any more. An unknown app is no
// error.
func Forget(dir, app string) error {
	if err := platform.ValidAppID(app); err != nil {
		return err
	}
	return builder.RemoveAll(appDir(dir, app))
}

// Detect is true for a tree whose app asks for these buildpacks, and for every
// tree where they are the default: which buildpack fits is found inside the
// builder image. When none does, and the app has not asked, Build's error
// matches builder.ErrUndetected and the tree is as it was.
func (b *Builder) Detect(_ context.Context, _ string, r builder.Request) (bool, error) {
	return asked(r) || b.options.Default && b.able() == nil, nil
}

func asked(r builder.Request) bool { return strings.TrimSpace(r.Env[Chooser]) == Choice }

// Build runs the phases on the tree at dir.
func (b *Builder) Build(ctx context.Context, dir string, r builder.Request) (builder.Result, error) {
	if err := platform.ValidAppID(r.App); err != nil {
		return builder.Result{}, err
	}
	if err := b.able(); err != nil {
		return builder.Result{}, err
	}
	types, err := builder.ReadProcfile(dir, r.App)
	if err != nil {
		return builder.Result{}, err
	}
	out := builder.NewOutput(r.Output)
	with, err := b.prepare(ctx, out)
	if err != nil {
		return builder.Result{}, err
	}
	w, err := b.workspace(dir, r, with)
	if err != nil {
		return builder.Result{}, fmt.Errorf("build of %s: %w", r.App, err)
	}
	defer w.remove(b.log)
	gate, err := b.openGate(r.App, with)
	if err != nil {
		return builder.Result{}, fmt.Errorf("build of %s: %w", r.App, err)
	}
	defer gate.close()

	run := &build{Builder: b, request: r, workspace: w, image: with, gate: gate, out: out, types: types}
	err = b.options.Limits.Guard(ctx, r.App, out, w.measured(), run.phases)
	if err != nil {
		return builder.Result{}, err
	}
	return run.result(ctx)
}

// able says why nothing can be built, to the app's owner.
func (b *Builder) able() error {
	if b.sandbox.Offer().Isolation == platform.IsolationSandbox {
		return nil
	}
	return &platform.UserError{
		Kind:    platform.ErrUnavailable,
		Message: "Cloud Native Buildpacks need namespaces, which this machine does not offer: " + strings.Join(b.sandbox.Offer().Missing, "; "),
		Cure:    "Unset " + Chooser + " to build with the bundled buildpacks, or ask the platform's operator for what is missing.",
	}
}
