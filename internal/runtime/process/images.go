package process

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

// image is an unpacked image on disk: tree/ and image.json, which is written
// last, so that its presence means the tree is whole.
type image struct {
	dir string

	Entrypoint []string `json:"entrypoint"`
	Env        []string `json:"env"`
	WorkingDir string   `json:"working_dir"`
	// Boot is the boot in which it was unpacked, until Synced says that the
	// disk has all of it: after a power cut in between it is pulled again.
	Boot   string `json:"boot"`
	Synced bool   `json:"synced"`
}

func (i image) workingDir() string { return cmp.Or(i.WorkingDir, "/app") }

const (
	imageFile = "image.json"
	// keptImages are the last images of an app that stay for a rollback, used or not.
	keptImages = 3
	// pullPatience bounds one pull; the caller's context bounds the wait for it.
	pullPatience = 10 * time.Minute
)

// images keeps unpacked images, pulling each once.
type images struct {
	log  *slog.Logger
	dir  string
	boot string

	mu       sync.Mutex
	registry registry
	pulls    map[string]*pull
	used     map[string]int // by folder
	stop     context.CancelFunc
	life     context.Context
	owned    sync.WaitGroup
}

// pull is one under way, which any number wait for.
type pull struct {
	done  chan struct{}
	image image
	err   error
}

func newImages(log *slog.Logger, dir string) *images {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	s := &images{
		log: log, dir: dir, boot: strings.TrimSpace(string(boot)),
		pulls: make(map[string]*pull), used: make(map[string]int),
	}
	s.life, s.stop = context.WithCancel(context.Background())
	return s
}

func (s *images) setRegistry(host, user, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registry = registry{host: host, user: user, password: password}
}

// close ends the pulls under way and waits for them.
func (s *images) close() {
	s.stop()
	s.owned.Wait()
}

// folder is where an image of an app lies; the app's own copy, for its files
// belong to the app's uid.
func (s *images) folder(app, ref string) (string, error) {
	_, digest, ok := strings.Cut(ref, "@sha256:")
	if !ok || len(digest) != 64 || strings.Trim(digest, "0123456789abcdef") != "" {
		return "", platform.Invalid("image", "%q is not repository@sha256:digest", ref)
	}
	return filepath.Join(s.dir, app, digest), nil
}

// use returns the image, pulled if need be, and keeps it until release.
func (s *images) use(ctx context.Context, app, ref string, uid int) (image, error) {
	dir, err := s.folder(app, ref)
	if err != nil {
		return image{}, err
	}
	s.mu.Lock()
	s.used[dir]++
	s.mu.Unlock()
	img, err := s.get(ctx, dir, ref, uid)
	if err != nil {
		s.release(dir)
		return image{}, fmt.Errorf("image %s: %w", ref, err)
	}
	return img, nil
}

// keep marks the image of an adopted instance as used and returns its folder.
func (s *images) keep(app, ref string) string {
	dir, err := s.folder(app, ref)
	if err != nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[dir]++
	return dir
}

func (s *images) release(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used[dir]--; s.used[dir] == 0 {
		delete(s.used, dir)
	}
}

func (s *images) get(ctx context.Context, dir, ref string, uid int) (image, error) {
	s.mu.Lock()
	if img, err := s.read(dir); err == nil {
		s.mu.Unlock()
		now := time.Now()
		_ = os.Chtimes(dir, now, now) // lately used: kept for a rollback
		return img, nil
	}
	p := s.pulls[dir]
	if p == nil {
		p = &pull{done: make(chan struct{})}
		s.pulls[dir] = p
		registry := s.registry
		s.owned.Go(func() { s.fetch(p, registry, dir, ref, uid) })
	}
	s.mu.Unlock()
	select {
	case <-p.done:
		return p.image, p.err
	case <-ctx.Done():
		return image{}, ctx.Err()
	}
}

// read returns the image at dir if it is whole.
func (s *images) read(dir string) (image, error) {
	text, err := os.ReadFile(filepath.Join(dir, imageFile))
	if err != nil {
		return image{}, err
	}
	img := image{dir: dir}
	if err := json.Unmarshal(text, &img); err != nil {
		return image{}, err
	}
	if !img.Synced && img.Boot != s.boot {
		return image{}, runtime.ErrDamaged
	}
	return img, nil
}

// fetch pulls for everybody who waits, then sees to the disk.
func (s *images) fetch(p *pull, from registry, dir, ref string, uid int) {
	ctx, cancel := context.WithTimeout(s.life, pullPatience)
	defer cancel()
	p.image, p.err = s.pullInto(ctx, from, dir, ref, uid)
	s.mu.Lock()
	delete(s.pulls, dir)
	s.mu.Unlock()
	close(p.done)
	if p.err != nil {
		return
	}
	s.sync(p.image)
	s.prune(filepath.Dir(dir))
}

// pullInto unpacks beside dir and renames: dir is whole or not there.
func (s *images) pullInto(ctx context.Context, from registry, dir, ref string, uid int) (image, error) {
	began := time.Now()
	parent := filepath.Dir(dir)
	if err := makeDir(parent, 0o711); err != nil {
		return image{}, err
	}
	if err := s.ownedBy(parent, uid); err != nil {
		return image{}, err
	}
	fresh, err := os.MkdirTemp(parent, ".new-")
	if err != nil {
		return image{}, err
	}
	defer s.remove(fresh)
	tree := filepath.Join(fresh, "tree")
	for _, folder := range []string{fresh, tree} {
		if err := makeDir(folder, 0o755); err != nil {
			return image{}, err
		}
	}
	img, err := from.unpack(ctx, ref, tree, uid)
	if err != nil {
		return image{}, err
	}
	img.dir, img.Boot = dir, s.boot
	text, err := json.Marshal(img)
	if err == nil {
		err = os.WriteFile(filepath.Join(fresh, imageFile), text, 0o600)
	}
	if err == nil {
		err = s.replace(fresh, dir)
	}
	if err != nil {
		return image{}, err
	}
	s.log.Info("image was pulled", "app", filepath.Base(parent), "image", ref, "duration", time.Since(began))
	return img, nil
}

// ownedBy keeps other apps out of an app's images: only its uid, and root,
// may pass.
func (s *images) ownedBy(dir string, uid int) error {
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, uid, uid); err != nil {
			return err
		}
	}
	return os.Chmod(dir, 0o700)
}

// replace puts fresh where a damaged image may still lie.
func (s *images) replace(fresh, dir string) error {
	s.remove(dir)
	return os.Rename(fresh, dir)
}

// remove takes a folder away; it may hold folders nobody may write to.
func (s *images) remove(dir string) {
	if err := os.RemoveAll(dir); err == nil {
		return
	}
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, _ error) error {
		if entry != nil && entry.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	if err := os.RemoveAll(dir); err != nil {
		s.log.Warn("image could not be removed", "path", dir, "err", err)
	}
}

// sync makes the image survive a power cut. It runs beside the first
// instance's start, which does not wait for the disk.
func (s *images) sync(img image) {
	f, err := os.Open(img.dir)
	if err != nil {
		return // pruned already
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		s.log.Warn("image could not be synced", "path", img.dir, "err", err)
		return
	}
	img.Synced = true
	if text, err := json.Marshal(img); err == nil {
		err = runtime.WriteFile(filepath.Join(img.dir, imageFile), text)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("image could not be marked", "path", img.dir, "err", err)
		}
	}
}

// prune removes an app's images but the last few and the used ones.
func (s *images) prune(app string) {
	entries, err := os.ReadDir(app)
	if err != nil {
		return
	}
	type dated struct {
		dir  string
		used time.Time
	}
	var found []dated
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && !strings.HasPrefix(entry.Name(), ".") {
			found = append(found, dated{filepath.Join(app, entry.Name()), info.ModTime()})
		}
	}
	slices.SortFunc(found, func(a, b dated) int { return b.used.Compare(a.used) })
	for _, old := range found[min(keptImages, len(found)):] {
		s.discard(old.dir)
	}
}

// discard removes an image unless somebody uses it. The rename happens under
// the lock: who asks for the image afterwards pulls it again.
func (s *images) discard(dir string) {
	s.mu.Lock()
	if s.used[dir] > 0 {
		s.mu.Unlock()
		return
	}
	trash := filepath.Join(filepath.Dir(dir), ".old-"+filepath.Base(dir))
	err := os.Rename(dir, trash)
	s.mu.Unlock()
	if err == nil {
		s.remove(trash)
	}
}

// tidy removes what a crash left half made. Nothing is being pulled yet.
func (s *images) tidy() {
	left, _ := filepath.Glob(filepath.Join(s.dir, "*", ".*-*"))
	for _, dir := range left {
		s.remove(dir)
	}
}
