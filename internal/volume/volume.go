// Package volume keeps the volumes of apps on this machine's disk. It is handed
// an instance's mounts and makes the directories they lead to, owned by who
// shall write there; what is asked to be forgotten it removes. Who may have a
// volume when is not its business: see node, which lets one instance at a time.
//
// A volume lies at <dir>/<uuid of the app>/<name>. The uuid stays when the app
// gets another id, and no other app ever has it, so that data is never lost or
// shared by a name that passes on.
package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Dir is the directory that holds all volumes of a machine. It is made when
// first needed, and only the platform may pass it.
type Dir string

var appUUID = regexp.MustCompile(`^[0-9a-zA-Z][0-9a-zA-Z-]{0,63}$`)

// Path is where the data of a mount's volume lies. It checks the mount, so that
// no path leads out of the directory.
func (d Dir) Path(m platform.Mount) (string, error) {
	switch {
	case d == "":
		return "", errors.New("this runtime has no directory for volumes")
	case !appUUID.MatchString(m.App):
		return "", platform.Invalid("mounts", "volume %q is of no app", m.Volume)
	}
	if err := errors.Join(platform.ValidVolumeName(m.Volume), platform.ValidMountPath(m.Path)); err != nil {
		return "", err
	}
	return filepath.Join(string(d), m.App, m.Volume), nil
}

// Prepare makes the volume's directory unless it is there, with mode 0700 and
// owned by uid, and returns its path. When it was prepared for another uid
// before, as after the app got another id, what that one owned becomes uid's;
// what others own in it stays theirs. No instance may have the volume meanwhile.
// A crash in between is made up for by the next Prepare.
func (d Dir) Prepare(m platform.Mount, uid int) (string, error) {
	path, err := d.Path(m)
	if err == nil {
		err = d.prepare(path, uid)
	}
	if err != nil {
		return "", fmt.Errorf("volume %s: %w", m.Volume, err)
	}
	return path, nil
}

func (d Dir) prepare(path string, uid int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	err := os.Mkdir(path, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if os.Geteuid() != 0 {
		return nil // everything here is the platform's own user's
	}
	made := err == nil
	before, known := readOwner(path)
	switch {
	case made || !known:
		// Not known: a crash came between the two, or it was put back by hand.
		if err := os.Lchown(path, uid, uid); err != nil {
			return err
		}
	case before != uid:
		if err := handOver(path, before, uid); err != nil {
			return err
		}
	default:
		return nil
	}
	return writeOwner(path, uid)
}

// ownerFile notes for whom a volume was prepared, beside it: the app can write
// into it, and may give it away.
func ownerFile(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".owner")
}

func readOwner(path string) (uid int, known bool) {
	text, err := os.ReadFile(ownerFile(path))
	if err != nil {
		return 0, false
	}
	uid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	return uid, err == nil
}

func writeOwner(path string, uid int) error {
	fresh := ownerFile(path) + ".new"
	if err := os.WriteFile(fresh, []byte(strconv.Itoa(uid)+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, ownerFile(path))
}

// handOver gives what one uid owns to another. Links are not followed.
func handOver(root string, from, to int) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if owner(info) != from {
			return nil
		}
		return os.Lchown(path, to, to)
	})
}

// Kept lists the names of an app's volumes that have data here, in order.
func (d Dir) Kept(app string) ([]string, error) {
	if d == "" || !appUUID.MatchString(app) {
		return nil, nil
	}
	entries, err := os.ReadDir(filepath.Join(string(d), app))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() && platform.ValidVolumeName(entry.Name()) == nil {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// Remove deletes a volume's data for good, or all of the app's when name is
// empty. No instance may have it. What is not there is no error.
func (d Dir) Remove(app, name string) error {
	if d == "" || !appUUID.MatchString(app) {
		return nil
	}
	home := filepath.Join(string(d), app)
	if name == "" {
		return os.RemoveAll(home)
	}
	if err := platform.ValidVolumeName(name); err != nil {
		return err
	}
	path := filepath.Join(home, name)
	if err := errors.Join(os.RemoveAll(path), os.RemoveAll(ownerFile(path))); err != nil {
		return err
	}
	_ = os.Remove(home) // if it was the last
	return nil
}
