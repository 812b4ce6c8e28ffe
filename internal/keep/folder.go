// Package keep is how a control plane and its nodes remember: it is handed
// small values, keeps each in a file that is replaced whole, seals the secrets
// in them, and hands them back after a restart, a crash or a power cut.
package keep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Replace writes a file whole, for this user only: after a crash of this
// process it is the old one or the new one. It does not force it to the disk.
func Replace(path string, data []byte) error {
	if err := os.WriteFile(path+".tmp", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// Folder is a folder of JSON files, named *.json, which only it writes. A file
// that was put survives the death of this process at once and a power cut soon:
// it is forced to the disk behind the writers, for a deploy makes several
// changes in a row and waits for each. Safe for concurrent use.
type Folder struct {
	log   *slog.Logger
	dir   string
	twins bool

	mu    sync.Mutex
	dirty map[string]bool // put, and not forced to the disk yet
	kick  chan struct{}   // capacity 1: something is dirty
	stop  chan struct{}
	once  sync.Once // closes stop
	done  chan struct{}
}

// Open makes the folder, mode 0700, unless it is there. With twins, each file
// that has reached the disk has a second name, so that the one before is there
// when a power cut leaves the newest empty. Close ends the goroutine that
// forces files to the disk.
func Open(log *slog.Logger, dir string, twins bool) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f := &Folder{
		log: log, dir: dir, twins: twins, dirty: make(map[string]bool),
		kick: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go f.sync()
	return f, nil
}

// Close brings the last files to the disk. Closing again does nothing.
func (f *Folder) Close() {
	f.once.Do(func() { close(f.stop) })
	<-f.done
}

// Path is where a file is.
func (f *Folder) Path(name string) string { return filepath.Join(f.dir, name) }

// Put replaces a file, whose folder must be there.
func (f *Folder) Put(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	path := f.Path(name)
	if err := os.WriteFile(path+".tmp", data, 0o600); err != nil {
		_ = os.Remove(path + ".tmp") // a full disk needs the room
		return err
	}
	f.mu.Lock()
	err = os.Rename(path+".tmp", path)
	if err == nil {
		f.dirty[name] = true
	}
	f.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case f.kick <- struct{}{}:
	default:
	}
	return nil
}

// Remove removes a file. One that is not there is no error.
func (f *Folder) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.dirty, name)
	err := os.Remove(twin(f.Path(name)))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.Remove(f.Path(name))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// ErrDamaged says that a file makes no sense.
var ErrDamaged = errors.New("the file is damaged")

// Get reads a file into v, which it leaves as it is when there is none: then
// the error matches fs.ErrNotExist. An error that matches ErrDamaged says that
// the file makes no sense; v is then what its twin holds, if it has one.
func (f *Folder) Get(name string, v any) error {
	err := read(f.Path(name), v)
	if err == nil || !f.twins {
		return err
	}
	if lost := errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDamaged); !lost {
		return err
	}
	if again := read(twin(f.Path(name)), v); again == nil && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrDamaged, err) // there was one
	}
	return err
}

func read(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	}
	return nil
}

// SetAside renames a file that makes no sense, for whoever wants to look at it.
func (f *Folder) SetAside(name string) error {
	return os.Rename(f.Path(name), f.Path(name)+".unreadable")
}

// List names the files of a folder in this one, without .json and in order. A
// file of which only the twin is left is among them.
func (f *Folder) List(sub string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(f.dir, sub))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		name, ok := strings.CutSuffix(strings.TrimSuffix(entry.Name(), "~"), ".json")
		if ok && (len(names) == 0 || names[len(names)-1] != name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// lag is how far the disk stays behind: forcing a file holds up whoever writes
// the next one.
const lag = 250 * time.Millisecond

func (f *Folder) sync() {
	defer close(f.done)
	defer f.flush()
	for {
		select {
		case <-f.kick:
		case <-f.stop:
			return
		}
		select {
		case <-time.After(lag):
			f.flush()
		case <-f.stop:
			return
		}
	}
}

// manyFiles are forced to the disk by one call for all of the file system.
const manyFiles = 64

func (f *Folder) flush() {
	f.mu.Lock()
	names := f.dirty
	f.dirty = make(map[string]bool)
	f.mu.Unlock()
	all := len(names) > manyFiles && f.syncAll() == nil
	folders := make(map[string]bool)
	for name := range names {
		path := f.Path(name)
		if err := f.settle(path, all); err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.log.Warn("state file did not reach the disk", "file", path, "err", err)
		}
		folders[filepath.Dir(path)] = true
	}
	for folder := range folders {
		if err := force(folder); err != nil {
			f.log.Warn("state file did not reach the disk", "file", folder, "err", err)
		}
	}
}

func (f *Folder) syncAll() error {
	dir, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Syncfs(int(dir.Fd()))
}

// settle forces a file to the disk, unless that is done, and names its twin.
// A file that was replaced or removed meanwhile is left to whoever did that.
func (f *Folder) settle(path string, done bool) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if !done {
		if err := file.Sync(); err != nil {
			return err
		}
	}
	if !f.twins {
		return nil
	}
	synced, err := file.Stat()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := os.Stat(path)
	if err != nil || !os.SameFile(now, synced) || done && f.replaced(path) {
		return err
	}
	return nameTwin(path, file)
}

// replaced reports whether a file was put since flush began; f.mu is held.
func (f *Folder) replaced(path string) bool {
	name, err := filepath.Rel(f.dir, path)
	return err != nil || f.dirty[name]
}

// nameTwin makes the file of this path its own twin.
func nameTwin(path string, file *os.File) error {
	fresh := twin(path) + ".tmp"
	_ = os.Remove(fresh) // of a crash
	if err := os.Link(path, fresh); err != nil {
		// A file system without links: a copy.
		data, err := io.ReadAll(file)
		if err != nil {
			return err
		}
		if err := writeForced(fresh, data); err != nil {
			return err
		}
	}
	return os.Rename(fresh, twin(path))
}

func twin(path string) string { return path + "~" }

func writeForced(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Sync(), file.Close())
}

// force brings a folder's names to the disk.
func force(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}
