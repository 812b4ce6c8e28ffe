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

// Picker builds a request with the first builder the tree is for. Safe for
// concurrent use.
type Picker struct {
	log      *slog.Logger
	dir      string
	bounds   Bounds
	builders []Builder
}

// NewPicker returns a Picker that asks builders in their order. What an
// earlier process left in o.Dir is removed.
func NewPicker(log *slog.Logger, o PickerOptions, builders ...Builder) (*Picker, error) {
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
	if err := decide(tree, r); err != nil {
		return Result{}, err
	}
	result, err := p.pick(ctx, tree, r)
	if errors.Is(err, ErrUndetected) && has(tree, "Dockerfile") {
		return Result{}, errDockerfile
	}
	return result, err
}

// chooser is the config value that says what to build where a tree has both a
// Dockerfile and a Procfile.
const chooser = "HEPHY_BUILDER"

// decide says what becomes of a Dockerfile, until there is a builder for it:
// buildpacks build the tree, unless its owner wants the Dockerfile.
func decide(tree string, r Request) error {
	if !has(tree, "Dockerfile") {
		return nil
	}
	choice := strings.TrimSpace(r.Env[chooser])
	switch {
	case choice == "dockerfile":
		return errDockerfile
	case choice != "" && choice != "procfile":
		return &platform.UserError{
			Kind:    platform.ErrInvalid,
			Message: fmt.Sprintf("%s is %q: it is procfile or dockerfile", chooser, choice),
			Cure:    "Set it with  slipway config set " + chooser + "=procfile  and push again.",
		}
	case choice == "" && has(tree, Procfile):
		fmt.Fprintln(r.Output, "The tree has a Dockerfile and a Procfile: the Procfile is built ("+chooser+"=procfile says so without this line)") // the user may be gone
	case choice == "":
		fmt.Fprintln(r.Output, "The Dockerfile is not used: Dockerfile builds are not available yet; looking for a buildpack") // as above
	}
	return nil
}

var errDockerfile = &platform.UserError{
	Kind:    platform.ErrInvalid,
	Message: "the tree has a Dockerfile, and Dockerfile builds are not available yet",
	Cure:    "Add a Procfile (`web: <command>`) and the files of a bundled buildpack (go.mod, package.json, requirements.txt, Gemfile or index.html), set " + chooser + "=procfile, or name a buildpack with BUILDPACK_URL, then push again.",
}

func (p *Picker) pick(ctx context.Context, tree string, r Request) (Result, error) {
	for _, b := range p.builders {
		ok, err := b.Detect(ctx, tree, r)
		if err != nil {
			return Result{}, err
		}
		if ok {
			return b.Build(ctx, tree, r)
		}
	}
	return Result{}, &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: "no builder recognises the tree",
		Cure:    "Add a Procfile (`web: <command>`), then push again.",
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
