package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// state looks at the state directory itself: secrets live there.
func state(_ context.Context, o Options) []Finding {
	const name = "state"
	if o.State == "" {
		return nil
	}
	info, err := os.Stat(o.State)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return one(name, OK, o.State+" is not there yet and will be made", "")
	case err != nil:
		return one(name, Fail, err.Error(), "")
	case !info.IsDir():
		return one(name, Fail, o.State+" is not a directory", "choose another with --state")
	}
	owner := -1
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = int(stat.Uid)
	}
	switch {
	case owner != os.Geteuid():
		return one(name, Fail, fmt.Sprintf("%s belongs to user %d, and this is user %d", o.State, owner, os.Geteuid()),
			fmt.Sprintf("chown -R %d %s", os.Geteuid(), o.State))
	case info.Mode().Perm()&0o022 != 0:
		return one(name, Fail, fmt.Sprintf("%s can be changed by other users (mode %04o)", o.State, info.Mode().Perm()), "chmod go-w "+o.State)
	case syscall.Access(o.State, accessWrite) != nil:
		return one(name, Fail, o.State+" cannot be written to: is its disk mounted read-only?", "mount -o remount,rw <its disk>")
	}
	return one(name, OK, fmt.Sprintf("%s is ours (mode %04o)", o.State, info.Mode().Perm()), "")
}

// accessWrite is W_OK of access(2).
const accessWrite = 2

// The least free space and files; below the first number the platform is about
// to stop, below the second it is time to do something.
const (
	noSpace     = 256 << 20
	littleSpace = 2 << 30
	noFiles     = 10_000
	littleFiles = 100_000
)

func disk(_ context.Context, o Options) []Finding {
	if o.State == "" {
		return nil
	}
	dir := existing(o.State)
	var held syscall.Statfs_t
	if err := syscall.Statfs(dir, &held); err != nil {
		return one("disk", Warn, fmt.Sprintf("the disk of %s cannot be asked: %v", dir, err), "")
	}
	return []Finding{space(dir, held.Bavail*uint64(held.Bsize)), files(dir, held.Files, held.Ffree)} //nolint:gosec // a block size is positive
}

func space(dir string, free uint64) Finding {
	f := Finding{Name: "disk", Status: OK, Text: fmt.Sprintf("%.1f GiB free at %s", float64(free)/(1<<30), dir)}
	switch {
	case free < noSpace:
		f.Status, f.Cure = Fail, "make room: slipway destroy an app, or grow the disk"
	case free < littleSpace:
		f.Status, f.Cure = Warn, "make room: every push needs some"
	}
	return f
}

// files looks at inodes; a file system that makes them as needed has none.
func files(dir string, all, free uint64) Finding {
	f := Finding{Name: "inodes", Status: OK, Text: fmt.Sprintf("%d more files fit at %s", free, dir)}
	switch {
	case all == 0:
		f.Text = dir + " makes inodes as needed"
	case free < noFiles:
		f.Status, f.Cure = Fail, "remove many small files, or use a file system with more inodes"
	case free < littleFiles:
		f.Status, f.Cure = Warn, "watch df -i: a Node.js app takes tens of thousands"
	}
	return f
}

// existing is the path, or the nearest folder above that is there.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil {
			return path
		}
		parent := filepath.Dir(path)
		if parent == path {
			return path
		}
		path = parent
	}
}
