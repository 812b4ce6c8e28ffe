package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// overlay mounts, in the calling thread's namespace, a view of m.Source whose
// changes go to m.Scratch, and returns where. It needs ownMounts.
func overlay(m Mount) (string, error) {
	upper, work, view := filepath.Join(m.Scratch, "upper"), filepath.Join(m.Scratch, "work"), filepath.Join(m.Scratch, "view")
	for _, dir := range []string{upper, work, view} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", err
		}
	}
	// The view's own owner and mode are the upper's.
	var source unix.Stat_t
	if err := unix.Stat(m.Source, &source); err != nil {
		return "", fmt.Errorf("overlay %s: %w", m.Source, err)
	}
	if err := os.Chown(upper, int(source.Uid), int(source.Gid)); err != nil {
		return "", err
	}
	if err := unix.Chmod(upper, source.Mode&0o7777); err != nil {
		return "", err
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", overlayPath(m.Source), overlayPath(upper), overlayPath(work))
	// The changes are thrown away: no need to ever sync them.
	err := unix.Mount("overlay", view, "overlay", 0, options+",volatile")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("overlay", view, "overlay", 0, options)
	}
	if err != nil {
		return "", fmt.Errorf("overlay %s: %w", m.Source, err)
	}
	return view, nil
}

// overlayPath escapes what separates the options of an overlay mount.
func overlayPath(path string) string {
	return strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`).Replace(path)
}
