package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Self is where a process with a Root finds the program of the platform.
const Self = "/.slipway"

// Not shown of a root: the sandbox has its own.
var ownOfSandbox = []string{"dev", "proc", "run", "sys", "tmp"}

// files of a root over which the machine's are shown, so that names of hosts
// are found as they are outside.
var machineFiles = []string{"/etc/hosts", "/etc/resolv.conf"}

// FurnishRoot makes in a root what things are mounted over, where it is not
// there: the empty files /etc/hosts and /etc/resolv.conf and the directories
// named, absolute paths inside. No link of the root is followed; one that is in
// the way is an error, but for the two files, which it replaces.
func FurnishRoot(root string, dirs ...string) error {
	in, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer in.Close()
	for _, dir := range append([]string{"/etc"}, dirs...) {
		if err := in.MkdirAll(inside(dir), 0o755); err != nil {
			return fmt.Errorf("furnish a root: %w", err)
		}
		if err := meets(root, dir, nil); err != nil {
			return err
		}
	}
	for _, path := range machineFiles {
		if info, err := in.Lstat(inside(path)); err == nil && info.Mode().IsRegular() {
			continue
		}
		if err := in.RemoveAll(inside(path)); err != nil {
			return fmt.Errorf("furnish a root: %w", err)
		}
		if err := in.WriteFile(inside(path), nil, 0o644); err != nil {
			return fmt.Errorf("furnish a root: %w", err)
		}
	}
	return nil
}

func inside(path string) string { return strings.Trim(filepath.Clean(path), "/") }

// checkRoot refuses what cannot be shown, or would be shown elsewhere.
func (s *Sandbox) checkRoot(p Process) error {
	switch {
	case s.offer.Isolation != platform.IsolationSandbox:
		return fmt.Errorf("%w: %s has a root of its own, and this machine offers no namespaces: %s", ErrDescription, p.Name, strings.Join(s.offer.Missing, "; "))
	case p.Terminal:
		return fmt.Errorf("%w: %s has a terminal and a root of its own", ErrDescription, p.Name)
	case !filepath.IsAbs(p.Root) || strings.ContainsRune(p.Root, 0):
		return fmt.Errorf("%w: %s has the root %q", ErrDescription, p.Name, p.Root)
	}
	if info, err := os.Lstat(p.Root); err != nil || !info.IsDir() {
		return fmt.Errorf("%w: %s: its root %s is no directory", ErrDescription, p.Name, p.Root)
	}
	var mounted []string
	for _, name := range ownOfSandbox {
		mounted = append(mounted, "/"+name)
	}
	for _, m := range p.Mounts {
		if filepath.Clean(m.Target) == "/" || filepath.Clean(m.Target) == Self {
			return fmt.Errorf("%w: %s mounts %s at %s", ErrDescription, p.Name, m.Source, m.Target)
		}
		if err := meets(p.Root, m.Target, mounted); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrDescription, p.Name, err)
		}
		mounted = append(mounted, filepath.Clean(m.Target))
	}
	return nil
}

// meets reports why a mount at target would not be there: bubblewrap makes
// what lacks on top, but cannot write below, and would follow a link of the
// root to where it leads on the machine.
func meets(root, target string, mounted []string) error {
	root = filepath.Clean(root)
	at := root
	for part := range strings.SplitSeq(inside(target), "/") {
		top := at == root
		at = filepath.Join(at, part)
		if slices.Contains(mounted, strings.TrimPrefix(at, root)) {
			return nil // not the root's any more
		}
		info, err := os.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && top:
			return nil
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("the root has no %s to mount at", target)
		case err != nil:
			return err
		case info.Mode()&fs.ModeSymlink != 0:
			return fmt.Errorf("%s of the root is a link: nothing is mounted at %s", strings.TrimPrefix(at, root), target)
		}
	}
	return nil
}

// rootOptions show what a root has, read-only, each entry at its place: what
// is mounted beside them needs no place in the root.
func rootOptions(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	var options []string
	for _, entry := range entries {
		path := filepath.Join(root, entry.Name())
		switch {
		case slices.Contains(ownOfSandbox, entry.Name()):
		case entry.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return nil, err
			}
			options = append(options, "--symlink", target, "/"+entry.Name())
		case entry.IsDir(), entry.Type().IsRegular():
			options = append(options, "--ro-bind", path, "/"+entry.Name())
		}
	}
	for _, path := range machineFiles {
		if real, err := filepath.EvalSymlinks(path); err == nil && plain(root, path, false) {
			options = append(options, "--ro-bind", real, path)
		}
	}
	if plain(root, "/var/tmp", true) {
		options = append(options, "--perms", "1777", "--tmpfs", "/var/tmp")
	}
	program, err := os.Executable()
	return append(options, "--ro-bind", program, Self), err
}

// plain reports whether the root has a file or directory at path, reached
// through no link.
func plain(root, path string, dir bool) bool {
	info, err := os.Lstat(filepath.Join(root, path))
	return err == nil && info.IsDir() == dir && meets(root, path, nil) == nil
}

// beginning returns p with its environment sealed and its command begun by
// the platform's own program: a program of the root would have privileges.
func (s *Sandbox) beginning(p Process) Process {
	user := "keep"
	if s.offer.mode == modeRoot {
		user = fmt.Sprintf("%d:%d", p.UID, cmp.Or(p.GID, p.UID))
	}
	env := []string{ownEnv}
	for n, entry := range p.Env {
		env = append(env, fmt.Sprintf("%s%d=%s", sealPrefix, n, entry))
	}
	p.Env, p.Argv = env, append([]string{Self, BeginVerb, user}, p.Argv...)
	return p
}
