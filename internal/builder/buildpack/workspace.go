package buildpack

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// workspace is where one build happens on disk. All of it but the cache goes
// with the build.
type workspace struct {
	tree  string // the pushed tree, which becomes the slug
	cache string // what the next build of the app may use
	dir   string // the rest:
	in    string // env and plan, read-only inside
	out   string // what the driver found
	tmp   string // /tmp inside
	home  string // /app inside: HOME, gone after the build
}

// Where a build finds things inside its sandbox.
const (
	insideTmp    = "/tmp"
	insideTree   = "/tmp/build"
	insideCache  = "/tmp/cache"
	insideIn     = "/tmp/in"
	insideOut    = "/tmp/out"
	insideBundle = "/tmp/buildpacks"
	insideHome   = "/app"
)

func (b *Builder) workspace(tree string, r builder.Request, packs []pack) (*workspace, error) {
	if err := platform.ValidAppID(r.App); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.workDir(), r.App+"-")
	if err != nil {
		return nil, fmt.Errorf("build of %s: %w", r.App, err)
	}
	w := &workspace{
		tree: tree, cache: b.cacheOf(r.App), dir: dir, in: filepath.Join(dir, "in"), out: filepath.Join(dir, "out"),
		tmp: filepath.Join(dir, "tmp"), home: filepath.Join(dir, "home"),
	}
	if err := b.furnish(w, r, packs); err != nil {
		w.remove(b.log)
		return nil, fmt.Errorf("build of %s: %w", r.App, err)
	}
	return w, nil
}

func (b *Builder) workDir() string { return filepath.Join(b.options.Dir, "work") }

func (b *Builder) furnish(w *workspace, r builder.Request, packs []pack) error {
	if err := os.Chmod(w.dir, 0o711); err != nil {
		return err
	}
	if builder.CacheDisabled(r) {
		if err := builder.RemoveAll(w.cache); err != nil {
			return err
		}
	}
	for _, dir := range []string{w.tmp, w.out, w.home, w.cache, filepath.Join(w.home, ".ssh"), filepath.Join(w.in, "env")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	// The driver's directories are where sandboxes mount things: they exist
	// beforehand and belong to the build.
	inside := []string{insideTree, insideCache, insideIn, insideOut, insideBundle}
	for n := range packs {
		inside = append(inside, insideLocal(n))
	}
	for _, inside := range inside {
		if err := os.Mkdir(filepath.Join(w.tmp, filepath.Base(inside)), 0o755); err != nil {
			return err
		}
	}
	if err := w.write(r, packs, b.sandbox.Offer().Isolation == platform.IsolationSandbox); err != nil {
		return err
	}
	return b.own(w)
}

// tellCache says whether the build finds what an earlier one left.
func (w *workspace) tellCache(r builder.Request, out *output) {
	if builder.CacheDisabled(r) {
		return
	}
	out.headline("Restoring cache...")
	if entries, err := os.ReadDir(w.cache); err == nil && len(entries) > 0 {
		out.detail("Done!")
		return
	}
	out.detail("No cache file found. If this is the first deploy, it will be created now.")
}

// write puts down what the build is told: config as files, chosen buildpacks,
// the app's SSH key, a git that trusts repositories of any owner.
func (w *workspace) write(r builder.Request, packs []pack, mounted bool) error {
	for key, value := range r.Env {
		if strings.ContainsRune(key, '/') || !fs.ValidPath(key) {
			continue
		}
		if err := os.WriteFile(filepath.Join(w.in, "env", key), []byte(value), 0o600); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(w.home, ".gitconfig"), []byte("[safe]\n\tdirectory = *\n"), 0o600); err != nil {
		return err
	}
	if err := w.writeKey(r.Env["SSH_KEY"]); err != nil {
		return err
	}
	if len(packs) == 0 {
		return nil
	}
	return os.WriteFile(filepath.Join(w.in, "plan"), []byte(planText(packs, mounted)), 0o600)
}

// planText is the driver's plan file. A repository of this machine is found
// where it is mounted, if there are mounts.
func planText(packs []pack, mounted bool) string {
	var text strings.Builder
	for n, p := range packs {
		switch {
		case p.bundled != "":
			fmt.Fprintf(&text, "bundled %s\n", p.bundled)
		case p.local != "" && mounted:
			fmt.Fprintf(&text, "git %s file://%s %s\n", p.key(), insideLocal(n), p.ref)
		default:
			fmt.Fprintf(&text, "git %s %s %s\n", p.key(), p.url, p.ref)
		}
	}
	return text.String()
}

// insideLocal is where the repository of the n-th buildpack is mounted.
func insideLocal(n int) string { return fmt.Sprintf("%s/repository-%d", insideTmp, n) }

func (w *workspace) writeKey(encoded string) error {
	if encoded == "" {
		return nil
	}
	key, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(encoded), ""))
	if err != nil {
		return &platform.UserError{
			Kind: platform.ErrInvalid, Message: "SSH_KEY is not base64",
			Cure: "Set it with: slipway config set SSH_KEY=\"$(base64 -w0 <private key file>)\"",
		}
	}
	if len(key) > 0 && key[len(key)-1] != '\n' {
		key = append(key, '\n')
	}
	return os.WriteFile(filepath.Join(w.home, ".ssh", "id_rsa"), key, 0o600)
}

// own gives to the build's user what the build may touch.
func (b *Builder) own(w *workspace) error {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, dir := range []string{w.tree, w.in, w.out, w.tmp, w.home} {
		if err := chown(dir, b.options.UID); err != nil {
			return err
		}
	}
	// The cache is the build's already, unless it is new or builds changed
	// their user.
	info, err := os.Lstat(w.cache)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) == b.options.UID {
		return nil
	}
	return chown(w.cache, b.options.UID)
}

// chown gives all below dir, links themselves included, to a user.
func chown(dir string, uid int) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, uid)
	})
}

func (w *workspace) mounts(bundle string, packs []pack) []sandbox.Mount {
	mounts := []sandbox.Mount{
		{Source: w.tmp, Target: insideTmp, Writable: true},
		{Source: w.tree, Target: insideTree, Writable: true},
		{Source: w.cache, Target: insideCache, Writable: true},
		{Source: w.in, Target: insideIn},
		{Source: w.out, Target: insideOut, Writable: true},
		{Source: bundle, Target: insideBundle},
		{Source: w.home, Target: insideHome, Writable: true},
	}
	for n, p := range packs {
		if p.local != "" {
			mounts = append(mounts, sandbox.Mount{Source: p.local, Target: insideLocal(n)})
		}
	}
	return mounts
}

func (w *workspace) remove(log *slog.Logger) {
	if err := builder.RemoveAll(w.dir); err != nil {
		log.Error("build workspace stayed", "err", err)
	}
}
