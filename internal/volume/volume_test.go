package volume_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/volume"
)

var data = platform.Mount{App: "4a1f", Volume: "data", Path: "/data"}

func prepared(t *testing.T, dir volume.Dir, uid int) string {
	t.Helper()
	path, err := dir.Prepare(data, uid)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func uidOf(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

func TestAVolumeIsForItsInstanceAlone(t *testing.T) {
	dir := volume.Dir(filepath.Join(t.TempDir(), "volumes"))
	uid := os.Geteuid()
	if uid == 0 {
		uid = 300_007
	}
	path := prepared(t, dir, uid)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o700 || uidOf(t, path) != uid {
		t.Errorf("it is %v of %d, %v", info.Mode(), uidOf(t, path), err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the app's folder is %v, %v", info.Mode(), err)
	}
}

func TestAVolumeFollowsItsAppToAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir := volume.Dir(filepath.Join(t.TempDir(), "volumes"))
	path := prepared(t, dir, 300_001)
	file, foreign, link := filepath.Join(path, "file"), filepath.Join(path, "foreign"), filepath.Join(path, "link")
	outside := filepath.Join(t.TempDir(), "outside")
	for _, made := range []struct {
		name string
		uid  int
	}{{file, 300_001}, {foreign, 999}, {outside, 300_001}} {
		if err := errors.Join(os.WriteFile(made.name, []byte("kept"), 0o600), os.Chown(made.name, made.uid, made.uid)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink(outside, link), os.Lchown(link, 300_001, 300_001)); err != nil {
		t.Fatal(err)
	}
	prepared(t, dir, 300_002)
	for name, want := range map[string]int{path: 300_002, file: 300_002, link: 300_002, foreign: 999, outside: 300_001} {
		if got := uidOf(t, name); got != want {
			t.Errorf("%s is of %d, want %d", filepath.Base(name), got, want)
		}
	}
	// An image's own entrypoint gave it to another user: that stays so.
	if err := os.Chown(path, 999, 999); err != nil {
		t.Fatal(err)
	}
	prepared(t, dir, 300_002)
	if got := uidOf(t, path); got != 999 {
		t.Errorf("what the app gave away is of %d again", got)
	}
}

func TestAHandOverThatACrashCutShortIsTakenToItsEnd(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	dir := volume.Dir(filepath.Join(t.TempDir(), "volumes"))
	path := prepared(t, dir, 300_001)
	early, late := filepath.Join(path, "a"), filepath.Join(path, "z")
	for name, uid := range map[string]int{path: 300_002, early: 300_002, late: 300_001} { // as in the middle of it
		if name != path {
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chown(name, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	prepared(t, dir, 300_002)
	for _, name := range []string{path, early, late} {
		if got := uidOf(t, name); got != 300_002 {
			t.Errorf("%s is of %d", name, got)
		}
	}
}

func TestVolumesAreRemovedOneByOneOrWithTheirApp(t *testing.T) {
	dir := volume.Dir(filepath.Join(t.TempDir(), "volumes"))
	for _, name := range []string{"data", "more"} {
		path, err := dir.Prepare(platform.Mount{App: "4a1f", Volume: name, Path: "/data"}, os.Geteuid())
		if err == nil {
			err = os.WriteFile(filepath.Join(path, "file"), nil, 0o400)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	kept := func() []string {
		names, err := dir.Kept("4a1f")
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	if names := kept(); !slices.Equal(names, []string{"data", "more"}) {
		t.Fatalf("kept are %v", names)
	}
	if err := dir.Remove("4a1f", "data"); err != nil || !slices.Equal(kept(), []string{"more"}) {
		t.Errorf("Remove: %v, left are %v", err, kept())
	}
	if err := dir.Remove("4a1f", ""); err != nil || len(kept()) != 0 {
		t.Errorf("Remove of all: %v, left are %v", err, kept())
	}
	if _, err := os.Stat(filepath.Join(string(dir), "4a1f")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the app's folder is left: %v", err)
	}
	for _, climb := range []string{"", "..", "../x", "."} {
		if err := dir.Remove(climb, ""); err != nil {
			t.Errorf("Remove of %q: %v", climb, err)
		}
	}
	if _, err := os.Stat(string(dir)); err != nil {
		t.Errorf("the folder of all volumes is gone: %v", err)
	}
}
