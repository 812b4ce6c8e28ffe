package containerd

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
)

// insides is what must be known of an image's files before it can be started.
type insides struct {
	uid, gid int
	groups   []int
	home     string
	name     string          // of the user, if it has one
	has      map[string]bool // of shells
}

var shells = []string{"/bin/bash", "/bin/sh"}

// look reads the files of a prepared snapshot. It is mounted in a namespace
// that goes with the thread: nothing is left of it, also after kill -9.
func (r *Runtime) look(ctx context.Context, key, user string) (insides, error) {
	mounts, err := r.engine.client.SnapshotService(snapshotter).Mounts(ctx, key)
	if err != nil {
		return insides{}, err
	}
	var found insides
	err = onOwnThread(func() (err error) {
		found, err = inside(mounts, r.dir("."), user)
		return err
	})
	return found, err
}

// onOwnThread runs f on a thread that is thrown away afterwards, so that f may
// change its mounts.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			// The main thread cannot be thrown away. While this goroutine holds it,
			// another gets another.
			done <- onOwnThread(f)
			goruntime.UnlockOSThread()
			return
		}
		done <- f()
	}()
	return <-done
}

func inside(mounts []mount.Mount, at, user string) (insides, error) {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return insides{}, fmt.Errorf("look into the image: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return insides{}, fmt.Errorf("look into the image: %w", err)
	}
	for _, m := range mounts {
		if err := mountHere(m, at); err != nil {
			return insides{}, fmt.Errorf("look into the image: %w", err)
		}
	}
	root, err := os.OpenRoot(at)
	if err != nil {
		return insides{}, err
	}
	defer root.Close()
	found, err := findUser(root, user)
	if err != nil {
		return insides{}, err
	}
	found.has = make(map[string]bool)
	for _, shell := range shells {
		found.has[shell] = isProgram(root, shell[1:], 0)
	}
	return found, nil
}

// mountHere mounts on this very thread. Many layers make long options: the
// folders are named from the one they share.
func mountHere(m mount.Mount, at string) error {
	flags, options := uintptr(unix.MS_RDONLY), ""
	if m.Type == "bind" {
		flags = unix.MS_BIND
	} else {
		var lower []string
		for _, option := range m.Options {
			if dirs, ok := strings.CutPrefix(option, "lowerdir="); ok {
				lower = append(lower, strings.Split(dirs, ":")...)
			} else if dir, ok := strings.CutPrefix(option, "upperdir="); ok {
				lower = slices.Insert(lower, 0, dir)
			}
		}
		if len(lower) == 0 {
			return fmt.Errorf("a mount of type %s has no layers", m.Type)
		}
		common := path.Dir(path.Dir(lower[0]))
		if err := unix.Chdir(common); err != nil {
			return err
		}
		for i, dir := range lower {
			lower[i] = strings.TrimPrefix(dir, common+"/")
		}
		options = "lowerdir=" + strings.Join(lower, ":")
	}
	return unix.Mount(cmp.Or(m.Source, m.Type), at, m.Type, flags, options)
}

const maxLinks = 20

// isProgram follows links as they are inside, where / is the image's.
func isProgram(root *os.Root, name string, depth int) bool {
	resolved, err := resolve(root, name, depth)
	if err != nil {
		return false
	}
	info, err := root.Lstat(resolved)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// resolve returns a name without links in it.
func resolve(root *os.Root, name string, depth int) (string, error) {
	if depth > maxLinks {
		return "", errors.New("too many links")
	}
	walked := "."
	parts := strings.Split(path.Clean("/" + name)[1:], "/")
	for i, part := range parts {
		next := path.Join(walked, part)
		target, err := root.Readlink(next)
		if err != nil {
			walked = next
			continue
		}
		if !path.IsAbs(target) {
			target = path.Join("/", walked, target)
		}
		return resolve(root, path.Join(append([]string{target}, parts[i+1:]...)...), depth+1)
	}
	return walked, nil
}

// findUser reads USER of an image: a name or number, maybe a group after a
// colon. Empty: root.
func findUser(root *os.Root, user string) (insides, error) {
	name, group, grouped := strings.Cut(cmp.Or(user, "0"), ":")
	found := insides{uid: -1, home: "/"}
	number, err := strconv.Atoi(name)
	if err == nil && number >= 0 {
		found.uid = number
	}
	for _, line := range lines(root, "etc/passwd", 7) {
		uid, _ := strconv.Atoi(line[2])
		if line[0] != name && (err != nil || uid != number) {
			continue
		}
		found.uid, found.name, found.home = uid, line[0], cmp.Or(line[5], "/")
		found.gid, _ = strconv.Atoi(line[3])
		break
	}
	if found.uid < 0 {
		return insides{}, platform.Invalid("image", "its user %q is not in its /etc/passwd", user)
	}
	gid, numeric := strconv.Atoi(group)
	for _, line := range lines(root, "etc/group", 4) {
		id, err := strconv.Atoi(line[2])
		switch {
		case err != nil:
		case grouped && line[0] == group && numeric != nil:
			gid, numeric = id, nil
		case !grouped && found.name != "" && slices.Contains(strings.Split(line[3], ","), found.name):
			found.groups = append(found.groups, id)
		}
	}
	if grouped {
		if numeric != nil || gid < 0 {
			return insides{}, platform.Invalid("image", "its group %q is not in its /etc/group", group)
		}
		found.gid = gid
	}
	return found, nil
}

// lines are those of a table with so many fields, of a reasonable size.
func lines(root *os.Root, name string, fields int) [][]string {
	resolved, err := resolve(root, name, 0)
	if err != nil {
		return nil
	}
	info, err := root.Lstat(resolved)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	file, err := root.Open(resolved)
	if err != nil {
		return nil
	}
	defer file.Close()
	var table [][]string
	for scan := bufio.NewScanner(io.LimitReader(file, 1<<20)); scan.Scan(); {
		if line := strings.Split(scan.Text(), ":"); len(line) >= fields {
			table = append(table, line)
		}
	}
	return table
}
