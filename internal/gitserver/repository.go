package gitserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// repositories are the bare repositories of all apps, one folder each.
type repositories struct {
	dir string
	git git
}

func (r repositories) path(app string) string { return filepath.Join(r.dir, app+".git") }

// ensure makes the app's repository when it is missing, and makes a broken
// frame whole again. It is safe to be called by several at once.
func (r repositories) ensure(ctx context.Context, app string) (path string, err error) {
	path = r.path(app)
	if framed(path) {
		return path, nil
	}
	if _, err := os.Stat(path); err == nil {
		return path, r.repair(ctx, path)
	}
	fresh, err := os.MkdirTemp(r.dir, ".new-")
	if err != nil {
		return "", fmt.Errorf("repository of %s: %w", app, err)
	}
	defer os.RemoveAll(fresh) // gone once renamed
	if err := r.init(ctx, fresh); err != nil {
		return "", fmt.Errorf("repository of %s: %w", app, err)
	}
	if err := os.Rename(fresh, path); err != nil && !framed(path) {
		return "", fmt.Errorf("repository of %s: %w", app, err)
	}
	return path, nil
}

func (r repositories) init(ctx context.Context, path string) error {
	cmd := r.git.command(ctx, path, "init", "--bare", "--quiet", "--template=", "--initial-branch=main", ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git init: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// repair gives a repository its frame back; objects and refs stay.
func (r repositories) repair(ctx context.Context, path string) error {
	if !headed(path) {
		if err := os.Remove(filepath.Join(path, "HEAD")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if info, err := os.Stat(filepath.Join(path, "config")); err == nil && info.Size() == 0 {
		if err := os.Remove(filepath.Join(path, "config")); err != nil {
			return err
		}
	}
	return r.init(ctx, path)
}

// framed reports whether git will take path for a repository.
func framed(path string) bool {
	for _, dir := range []string{"objects", "refs"} {
		if info, err := os.Stat(filepath.Join(path, dir)); err != nil || !info.IsDir() {
			return false
		}
	}
	info, err := os.Stat(filepath.Join(path, "config"))
	return err == nil && info.Size() > 0 && headed(path)
}

func headed(path string) bool {
	head, err := os.ReadFile(filepath.Join(path, "HEAD"))
	return err == nil && strings.HasPrefix(string(head), "ref: refs/")
}

// remove deletes the app's repository, in one step as others see it.
func (r repositories) remove(app string) error {
	doomed, err := os.MkdirTemp(r.dir, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(doomed) // start-up removes what stays
	err = os.Rename(r.path(app), filepath.Join(doomed, app))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(doomed)
}

// rename moves a repository. One in its way was made for a push that was
// refused, or for somebody who looked.
func (r repositories) rename(app, id string) error {
	if _, err := os.Stat(r.path(app)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := r.remove(id); err != nil {
		return err
	}
	return os.Rename(r.path(app), r.path(id))
}

// sweepAll clears what a killed server left, in every repository that no git
// program of it still works in.
func (r repositories) sweepAll() error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(r.dir, entry.Name())
		if strings.HasPrefix(entry.Name(), ".new-") {
			os.RemoveAll(path) // where git still works for the dead server, the next start tries again
			continue
		}
		guard, err := lockFile(filepath.Join(path, pushLock))
		if err != nil {
			continue // a push of the dead server is still ending; the next push sweeps
		}
		sweep(path)
		guard.Close() // nothing was written
	}
	return nil
}

// sweep removes what pushes that died have left. The caller holds pushLock.
func sweep(path string) {
	sweepLocks(path)
	for _, pattern := range []string{"tmp_objdir-*", "incoming-*"} {
		quarantines, _ := filepath.Glob(filepath.Join(path, "objects", pattern))
		for _, quarantine := range quarantines {
			os.RemoveAll(quarantine) // the next push tries again
		}
	}
}

// sweepLocks removes the ref locks that git programs left when they, or the
// machine, were killed. The caller holds pushLock; while a repack is still at
// work the locks are its own and stay.
func sweepLocks(path string) {
	guard, err := lockFile(filepath.Join(path, upkeepLock))
	if err != nil {
		return
	}
	defer guard.Close() // nothing was written
	for _, name := range []string{"HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock", "gc.pid", "gc.pid.lock"} {
		os.Remove(filepath.Join(path, name)) // mostly not there
	}
	filepath.WalkDir(filepath.Join(path, "refs"), func(file string, entry fs.DirEntry, err error) error { //nolint:errcheck // what cannot be read stays
		if err == nil && !entry.IsDir() && strings.HasSuffix(file, ".lock") {
			os.Remove(file) // git names the file when it is in the way
		}
		return nil
	})
}

// The files of a repository whose locks say that a program of ours, or a child
// of it, works there. The kernel drops them with the last of these processes,
// so they never go stale.
const (
	pushLock   = "slipway-push.lock"
	upkeepLock = "slipway-upkeep.lock"
)

// lockFile locks a file until it is closed here and in every child that
// inherited it. platform.ErrBusy when somebody else has it.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close() // nothing was written
		return nil, fmt.Errorf("%s: %w", path, platform.ErrBusy)
	}
	return file, nil
}

// awaitLock is lockFile, waiting a little for the git programs of a server
// that was killed to notice it.
func awaitLock(ctx context.Context, path string) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, killAfter)
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		file, err := lockFile(path)
		if !errors.Is(err, platform.ErrBusy) {
			return file, err
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}

// adoptHead points HEAD at the ref that deploys while it points at a branch
// that does not exist, so that a clone of a repository with only master checks
// master out.
func (r repositories) adoptHead(ctx context.Context, path, ref string) {
	head, err := os.ReadFile(filepath.Join(path, "HEAD"))
	if ref == "" || err == nil && strings.TrimSpace(string(head)) == "ref: "+ref {
		return
	}
	if r.git.command(ctx, path, "rev-parse", "--quiet", "--verify", "HEAD").Run() == nil {
		return
	}
	r.git.command(ctx, path, "symbolic-ref", "HEAD", ref).Run() //nolint:errcheck // a clone then says what to check out
}
