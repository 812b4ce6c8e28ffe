package cnb

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/builder/cnb/phase"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// workspace is where one build happens on disk. All of it but the app's own
// directory goes with the build.
type workspace struct {
	tree  string // the pushed tree
	kept  string // of the app: what the next build may use
	dir   string // the rest, all below it
	image *image
}

// Below the directory of a build.
const (
	dirLayers   = "layers"
	dirPlatform = "platform"
	dirNotes    = "notes"
	dirTmp      = "tmp"
	dirHome     = "home" // what the build changes of its home
)

func (w *workspace) path(name string) string { return filepath.Join(w.dir, name) }
func (w *workspace) cache() string           { return filepath.Join(w.kept, "cache") }

// previousFile names the digest of the app's last image.
func (w *workspace) previousFile() string { return filepath.Join(w.kept, "previous") }

// measured is what a build fills.
func (w *workspace) measured() []string { return []string{w.dir, w.tree, w.kept} }

func (b *Builder) workspace(tree string, r builder.Request, with *image) (*workspace, error) {
	dir, err := os.MkdirTemp(b.workDir(), r.App+"-")
	if err != nil {
		return nil, err
	}
	w := &workspace{tree: tree, kept: appDir(b.options.Dir, r.App), dir: dir, image: with}
	if err := w.furnish(r); err != nil {
		w.remove(b.log)
		return nil, err
	}
	return w, nil
}

func (w *workspace) furnish(r builder.Request) error {
	if builder.CacheDisabled(r) {
		if err := builder.RemoveAll(w.kept); err != nil {
			return err
		}
	}
	for _, dir := range []string{w.path(dirLayers), w.path(filepath.Join(dirPlatform, "env")), w.path(dirNotes), w.path(dirTmp), w.path(dirHome), w.cache()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for name, value := range r.Env {
		if !forBuildpacks(name) {
			continue
		}
		if err := os.WriteFile(w.path(filepath.Join(dirPlatform, "env", name)), []byte(value), 0o444); err != nil {
			return err
		}
	}
	return w.own()
}

// kept from buildpacks: what would change how they themselves are found and
// loaded, and what the specification fixes.
var withheld = []string{"PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "LIBRARY_PATH", "CPATH", "CPPATH", "PKG_CONFIG_PATH", "GIT_DIR", "HOME", "PWD", "SHELL", "BASH_ENV", "ENV", "IFS", Chooser}

func forBuildpacks(name string) bool {
	return fs.ValidPath(name) && !strings.ContainsRune(name, '/') && !slices.Contains(withheld, name) && !strings.HasPrefix(name, "CNB_")
}

// own gives to the build's user what the build may touch.
func (w *workspace) own() error {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, dir := range []string{w.tree, w.path(dirLayers), w.path(dirNotes), w.path(dirTmp), w.cache()} {
		if err := w.chown(dir); err != nil {
			return err
		}
	}
	return nil
}

// chown gives all below dir, links themselves included, to the build's user.
func (w *workspace) chown(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, w.image.uid, w.image.gid)
	})
}

// mounts are what a phase sees of the workspace: those that run buildpacks
// neither the cache nor the registry, and those that run none everything.
func (w *workspace) mounts(kind string, g *gate) []sandbox.Mount {
	buildpacks := kind == phase.Detect || kind == phase.Build
	mounts := []sandbox.Mount{
		{Source: w.path(dirTmp), Target: "/tmp", Writable: true},
		// A tree that no buildpack is for goes on to another builder, unchanged.
		{Source: w.tree, Target: phase.Workspace, Writable: kind != phase.Detect},
		{Source: w.path(dirLayers), Target: phase.Layers, Writable: true},
		{Source: w.path(dirPlatform), Target: phase.Platform},
		{Source: w.path(dirNotes), Target: phase.Notes, Writable: !buildpacks},
	}
	if buildpacks {
		return append(mounts, sandbox.Mount{Source: filepath.Join(w.image.root, w.image.home), Target: w.image.home, Scratch: w.scratch(kind)})
	}
	return append(mounts,
		sandbox.Mount{Source: w.cache(), Target: phase.Cache, Writable: true},
		sandbox.Mount{Source: g.path, Target: phase.Socket, Writable: true})
}

// scratch is where a phase's changes of its home go: each has its own.
func (w *workspace) scratch(kind string) string {
	return w.path(filepath.Join(dirHome, kind))
}

// previous is the digest of the app's last image; empty: none.
func (w *workspace) previous() string {
	text, err := os.ReadFile(w.previousFile())
	if err != nil || !digest.Match(text) {
		return ""
	}
	return string(text)
}

// remember keeps the digest for the next build, and a cache only while it
// leaves a build room to work.
func (w *workspace) remember(made string, most int64) error {
	if builder.Usage(w.cache()) > most {
		if err := builder.RemoveAll(w.cache()); err != nil {
			return err
		}
	}
	next := w.previousFile() + ".new"
	return errors.Join(os.WriteFile(next, []byte(made), 0o600), os.Rename(next, w.previousFile()))
}

func (w *workspace) remove(log *slog.Logger) {
	if err := builder.RemoveAll(w.dir); err != nil {
		log.Error("build workspace stayed", "err", err)
	}
}

// readNote reads a small file that a phase left, following no link: the
// directory was the build's.
func (w *workspace) readNote(name string) (string, error) {
	fd, err := unix.Open(filepath.Join(w.path(dirNotes), name), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: name, Err: err}
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	text := make([]byte, 200)
	n, err := file.Read(text)
	return string(text[:n]), err
}
