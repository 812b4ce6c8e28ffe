// Package stacktest is the one place that makes a root file system for tests:
// Debian's smallest, by debootstrap, once a machine, kept in the user's cache.
package stacktest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Suite is the Debian release of the file system.
const Suite = "bookworm"

// Layer is the compressed file system as a layer: a shell, perl, coreutils, no
// network tools. A machine without root or debootstrap skips the test.
func Layer(t testing.TB) v1.Layer {
	t.Helper()
	layer, err := tarball.LayerFromFile(Tar(t))
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

// Image is the file system as an image without an entrypoint.
func Image(t testing.TB) v1.Image {
	t.Helper()
	image, err := mutate.AppendLayers(empty.Image, Layer(t))
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

// Tar is the path of the file system as a gzipped tar.
func Tar(t testing.TB) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making a root file system needs root")
	}
	if _, err := exec.LookPath("debootstrap"); err != nil {
		t.Skip("debootstrap is not installed: scripts/deps --all installs it")
	}
	path, err := Cached()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Possible reports whether this machine can make the file system.
func Possible() bool {
	_, err := exec.LookPath("debootstrap")
	return err == nil && os.Geteuid() == 0
}

// Cached is Tar outside of a test of Go. It makes the tar under a lock, so that packages tested side by side make
// it once.
func Cached() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "slipway-test")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	path := filepath.Join(dir, Suite+"-1.tar.gz")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, bootstrap(dir, path)
}

func bootstrap(dir, path string) (err error) {
	tree, err := os.MkdirTemp(dir, "tree-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tree)) }()
	for _, argv := range [][]string{
		{"debootstrap", "--variant=minbase", Suite, tree},
		{"tar", "-C", tree, "--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*", "--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*", "-czf", path + ".new", "."},
	} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", argv, err, out[max(0, len(out)-1000):])
		}
	}
	return os.Rename(path+".new", path)
}
