package builder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// ErrUndetected is matched by the error of a Builder that found, while
// building, that the tree is of no kind it knows.
var ErrUndetected = errors.New("unknown kind of source")

// PickerOptions of a Picker.
type PickerOptions struct {
	// Dir is where trees are unpacked. It belongs to this Picker alone, which
	// empties it when it starts.
	Dir string
	// Source bounds a pushed tree; zero fields mean 1 GiB and 200,000 files.
	Source Bounds
}

// Builders are what a Picker chooses from. Nil: there is none.
type Builders struct {
	Dockerfile, CNB, Buildpack Builder
	// NoDockerfile says why Dockerfiles are not built on this machine; nil, or
	// nil from it: they are.
	NoDockerfile func() *platform.UserError
}

// lacks is why Dockerfiles are not built here.
func (b Builders) lacks() *platform.UserError {
	if b.NoDockerfile != nil {
		return b.NoDockerfile()
	}
	if b.Dockerfile == nil {
		return &platform.UserError{Kind: platform.ErrUnavailable, Message: "this platform builds no Dockerfiles", Cure: "Add a Procfile (`web: <command>`), then push again."}
	}
	return nil
}

// Picker builds a request with the builder its tree and its app's config ask
// for. Safe for concurrent use.
type Picker struct {
	log      *slog.Logger
	dir      string
	bounds   Bounds
	builders Builders
}

// NewPicker returns a Picker that chooses from builders. What an earlier
// process left in o.Dir is removed.
func NewPicker(log *slog.Logger, o PickerOptions, builders Builders) (*Picker, error) {
	if !filepath.IsAbs(o.Dir) {
		return nil, fmt.Errorf("build directory %q: must be an absolute path", o.Dir)
	}
	if err := os.RemoveAll(o.Dir); err != nil {
		return nil, fmt.Errorf("empty the build directory: %w", err)
	}
	// Others may pass through, to trees that are theirs; none may look around.
	if err := os.MkdirAll(o.Dir, 0o711); err != nil {
		return nil, fmt.Errorf("build directory: %w", err)
	}
	bounds := o.Source
	if bounds.Bytes == 0 {
		bounds.Bytes = 1 << 30
	}
	if bounds.Files == 0 {
		bounds.Files = 200_000
	}
	return &Picker{log: log, dir: o.Dir, bounds: bounds, builders: builders}, nil
}

// Build unpacks the request's source into a fresh directory, builds it, and
// removes the directory. A failure the user caused is a *platform.UserError.
func (p *Picker) Build(ctx context.Context, r Request) (Result, error) {
	work, err := os.MkdirTemp(p.dir, r.App+"-")
	if err != nil {
		return Result{}, fmt.Errorf("build of %s: %w", r.App, err)
	}
	defer p.remove(r, work)
	fmt.Fprintln(r.Output, "Starting build... but first, coffee!") // the user may be gone

	tree := filepath.Join(work, "app")
	if err := p.unpack(ctx, r, tree); err != nil {
		return Result{}, err
	}
	chosen, err := p.pick(ctx, tree, r)
	if err != nil {
		return Result{}, err
	}
	result, err := chosen.Build(ctx, tree, r)
	if errors.Is(err, ErrUndetected) && chosen == p.builders.CNB && p.builders.Buildpack != nil {
		chosen = p.builders.Buildpack
		result, err = chosen.Build(ctx, tree, r)
	}
	if errors.Is(err, ErrUndetected) && chosen == p.builders.Buildpack && has(tree, "Dockerfile") {
		if problem := p.builders.lacks(); problem != nil {
			return Result{}, problem
		}
	}
	return result, err
}

// The config values that say how a tree is built.
const (
	// chooser names a builder whatever is in the tree.
	chooser = "SLIPWAY_BUILDER"
	// hephy says what to build where a tree has a Dockerfile and a Procfile.
	hephy = "HEPHY_BUILDER"
)

// pick decides: what the app's config names, else the Dockerfile, else a Cloud
// Native Buildpacks builder that wants the tree, else the bundled buildpacks.
func (p *Picker) pick(ctx context.Context, tree string, r Request) (Builder, error) {
	switch choice := strings.TrimSpace(r.Env[chooser]); choice {
	case "":
	case "dockerfile":
		return p.dockerfile(ctx, tree, r)
	case "cnb":
		return p.cnb()
	case "buildpack":
		return p.buildpack()
	default:
		return nil, wrongChoice(chooser, choice, "dockerfile, cnb or buildpack")
	}
	found, err := p.hasDockerfile(ctx, tree, r)
	if err != nil {
		return nil, err
	}
	if found && has(tree, Procfile) {
		switch choice := strings.TrimSpace(r.Env[hephy]); choice {
		case "", "dockerfile":
		case "procfile":
			found = false
		default:
			return nil, wrongChoice(hephy, choice, "procfile or dockerfile")
		}
	}
	if found {
		problem := p.builders.lacks()
		if problem == nil {
			return p.builders.Dockerfile, nil
		}
		if r.Env[hephy] == "dockerfile" {
			return nil, problem
		}
		fmt.Fprintln(r.Output, "The Dockerfile is not used: "+problem.Message+"; looking for a buildpack") // the user may be gone
	}
	if cnb := p.builders.CNB; cnb != nil {
		if ok, err := cnb.Detect(ctx, tree, r); err != nil || ok {
			return cnb, err
		}
	}
	return p.buildpack()
}

// hasDockerfile reports whether the tree has what the builder of Dockerfiles
// builds.
func (p *Picker) hasDockerfile(ctx context.Context, tree string, r Request) (bool, error) {
	if p.builders.Dockerfile == nil {
		return has(tree, "Dockerfile"), nil
	}
	return p.builders.Dockerfile.Detect(ctx, tree, r)
}

// dockerfile is the builder of Dockerfiles, for a user who wants it.
func (p *Picker) dockerfile(ctx context.Context, tree string, r Request) (Builder, error) {
	found, err := p.hasDockerfile(ctx, tree, r)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, &platform.UserError{
			Kind:    platform.ErrInvalid,
			Message: chooser + " is dockerfile, and the tree has no Dockerfile",
			Cure:    "Add a Dockerfile, or  slipway config unset " + chooser + "  and push again.",
		}
	}
	if problem := p.builders.lacks(); problem != nil {
		return nil, problem
	}
	return p.builders.Dockerfile, nil
}

func (p *Picker) cnb() (Builder, error) {
	if p.builders.CNB == nil {
		return nil, &platform.UserError{
			Kind:    platform.ErrUnavailable,
			Message: "this platform has no builder image for Cloud Native Buildpacks",
			Cure:    "Ask its operator for one, or  slipway config unset " + chooser + "  and push again.",
		}
	}
	return p.builders.CNB, nil
}

func (p *Picker) buildpack() (Builder, error) {
	if p.builders.Buildpack == nil {
		return nil, &platform.UserError{
			Kind:    platform.ErrInvalid,
			Message: "no builder recognises the tree",
			Cure:    "Add a Procfile (`web: <command>`), then push again.",
		}
	}
	return p.builders.Buildpack, nil
}

func wrongChoice(key, choice, allowed string) error {
	return &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: fmt.Sprintf("%s is %q: it is %s", key, choice, allowed),
		Cure:    "Set it with  slipway config set " + key + "=...  or unset it, and push again.",
	}
}

func (p *Picker) unpack(ctx context.Context, r Request, tree string) error {
	if err := os.Mkdir(tree, 0o755); err != nil {
		return err
	}
	source, err := r.Source.Tree()
	if err != nil {
		return fmt.Errorf("source of %s: %w", r.App, err)
	}
	if err := unpack(ctx, tree, source, p.bounds); err != nil {
		_ = source.Close()
		return err
	}
	return source.Close()
}

// remove takes a work directory away, also when a build took its own
// permissions to it.
func (p *Picker) remove(r Request, work string) {
	if err := RemoveAll(work); err != nil {
		p.log.Error("build directory stayed", "app", r.App, "build", r.Build, "err", err)
	}
}

// RemoveAll removes what a build left at path, including directories whose
// permissions it took away. No link is followed.
func RemoveAll(path string) error {
	if err := os.RemoveAll(path); err == nil || os.Geteuid() == 0 {
		return err
	}
	_ = filepath.WalkDir(path, func(at string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() {
			_ = os.Chmod(at, 0o700)
		}
		return nil
	})
	return os.RemoveAll(path)
}

func has(dir, name string) bool {
	info, err := os.Lstat(filepath.Join(dir, name))
	return err == nil && !info.IsDir()
}
