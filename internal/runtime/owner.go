package runtime

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const ownerFile = "owner"

// Own marks the one-off whose files are in dir as attached to this process,
// until the file is closed or the process ends: a runtime that adopts meanwhile
// leaves it alone.
func Own(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, ownerFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Owned reports whether a process lives that the one-off in dir is attached to.
func Owned(dir string) bool {
	file, err := os.Open(filepath.Join(dir, ownerFile))
	if err != nil {
		return false
	}
	defer file.Close()
	return errors.Is(unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}
