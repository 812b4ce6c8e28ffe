package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// EnvironmentVariable names the variable that FromEnvironment reads the value of.
const EnvironmentVariable = "SLIPWAY_SECRET_KEY"

// maxFile bounds a key file, in bytes.
const maxFile = 1 << 20

// OpenFile is the ring of a key file: text, one key of 32 bytes in base64 a
// line, the newest first; # begins a comment. A file that is not there is made
// with one fresh key, for this user only; of several processes that come at
// once, all get the key of the one that was first. A file that others may read
// is refused. Errors name the file and the line, never a key.
func OpenFile(path string) (*Ring, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		text := "# The keys of this platform's secrets, the newest first. Keep a copy where the backups are not.\n" + newKey().text + "\n"
		if err := place(path, text, os.Link); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make key file %s: %w", path, err)
		}
	}
	r := &Ring{path: path}
	if err := r.follow(); err != nil {
		return nil, err
	}
	return r, nil
}

// FromEnvironment is the ring of a comma list of keys, the newest first.
func FromEnvironment(value string) (*Ring, error) {
	r := &Ring{}
	for n, text := range strings.Split(value, ",") {
		keys, err := add(r.keys, strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("%s: key %d: %w", EnvironmentVariable, n+1, err)
		}
		r.keys = keys
	}
	return r, nil
}

// follow reads the file again if it is another than the one that was seen.
func (r *Ring) follow() error {
	if r.path == "" {
		return nil
	}
	now, err := os.Stat(r.path)
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	if r.seen != nil && os.SameFile(now, r.seen) && now.ModTime().Equal(r.seen.ModTime()) && now.Size() == r.seen.Size() && now.Mode() == r.seen.Mode() {
		return nil
	}
	text, seen, err := readFile(r.path)
	if err != nil {
		return err
	}
	keys, err := parseFile(r.path, text)
	if err != nil {
		return err
	}
	r.keys, r.seen = keys, seen
	return nil
}

// readFile reads a file that nobody else may read.
func readFile(path string) (text []byte, info os.FileInfo, err error) {
	// Not blocking: a pipe of that name is told, not waited for.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("key file: %w", err)
	}
	defer file.Close() // only read
	if info, err = file.Stat(); err != nil {
		return nil, nil, fmt.Errorf("key file: %w", err)
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("key file %s is no file", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, nil, fmt.Errorf("key file %s may be read by others (mode %04o): chmod 600 %s", path, info.Mode().Perm(), path)
	}
	text, err = io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errors.New("too large")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return text, info, nil
}

func parseFile(path string, text []byte) ([]key, error) {
	var keys []key
	for n, line := range bytes.Split(text, []byte("\n")) {
		before, _, _ := strings.Cut(string(line), "#")
		before = strings.TrimSpace(before)
		if before == "" {
			continue
		}
		var err error
		if keys, err = add(keys, before); err != nil {
			return nil, fmt.Errorf("key file %s, line %d: %w", path, n+1, err)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("key file %s holds no key: put back a copy of it; only where nothing was sealed yet, remove the file and a fresh key is made", path)
	}
	return keys, nil
}

// ErrNotAFile is what Rotate ends in when the keys come from the environment.
var ErrNotAFile = errors.New("the keys come from " + EnvironmentVariable + ", which only its owner can change")

// Rotate puts a fresh key on top of the file, in one step: a crash leaves the
// old file or the new one. What was sealed before stays readable, and is Stale.
func (r *Ring) Rotate() (id string, err error) {
	if r.path == "" {
		return "", ErrNotAFile
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	unlock, err := lockFile(r.path + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	text, _, err := readFile(r.path)
	if err != nil {
		return "", err
	}
	keys, err := parseFile(r.path, text)
	if err != nil {
		return "", err
	}
	if len(keys) == maxKeys {
		return "", fmt.Errorf("key file %s holds %d keys: remove some that nothing is sealed under", r.path, maxKeys)
	}
	fresh := newKey()
	if err := place(r.path, string(onTop(fresh.text, text)), os.Rename); err != nil {
		return "", fmt.Errorf("key file %s: %w", r.path, err)
	}
	return fresh.id, r.follow()
}

// onTop puts a line above the first key, below the comments the file begins with.
func onTop(line string, text []byte) []byte {
	var head int
	for l := range bytes.Lines(text) {
		if trimmed := bytes.TrimSpace(l); len(trimmed) > 0 && trimmed[0] != '#' {
			break
		}
		head += len(l)
	}
	return append(append(append([]byte{}, text[:head]...), line+"\n"...), text[head:]...)
}

// lockFile keeps two rotations from losing each other's key. The file stays
// behind: removing it would let two processes hold two files of one name.
func lockFile(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
	return func() { file.Close() }, nil
}

// place writes a file of mode 0600 beside path and moves it there.
func place(path, text string, move func(from, to string) error) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = move(file.Name(), path)
	}
	_ = os.Remove(file.Name()) // gone after a rename
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
