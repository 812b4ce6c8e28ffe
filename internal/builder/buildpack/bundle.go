package buildpack

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// bundle holds driver.sh, which runs a build inside its sandbox, launch.sh,
// which every slug starts with, and the buildpacks that come with Slipway.
//
//go:embed all:bundle
var bundle embed.FS

// bundled are the buildpacks that come with Slipway, in the order in which
// they are asked. The first that detects builds.
var bundled = []string{"go", "java", "nodejs", "php", "python", "ruby", "perl", "jar", "static", "procfile"}

// extractBundle writes the bundle below dir, under a name made from its
// content, and removes other versions. A directory of that name is complete:
// it gets it by a rename.
func extractBundle(dir string) (string, error) {
	files, err := fs.Sub(bundle, "bundle")
	if err != nil {
		return "", err
	}
	name, err := contentHash(files)
	if err != nil {
		return "", err
	}
	final := filepath.Join(dir, name)
	if err := removeOthers(dir, name); err != nil {
		return "", err
	}
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	fresh, err := os.MkdirTemp(dir, "new-")
	if err != nil {
		return "", err
	}
	if err := writeScripts(files, fresh); err != nil {
		return "", err
	}
	return final, os.Rename(fresh, final)
}

func contentHash(files fs.FS) (string, error) {
	sum := sha256.New()
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(content), content)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil))[:16], err
}

func removeOthers(dir, name string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() != name {
			if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeScripts(files fs.FS, dir string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	return fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		at := filepath.Join(dir, filepath.FromSlash(path))
		if entry.IsDir() {
			return os.Mkdir(at, 0o755)
		}
		content, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(string(content), "#!") {
			mode = 0o755
		}
		return os.WriteFile(at, content, mode)
	})
}
