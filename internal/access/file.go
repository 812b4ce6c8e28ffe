package access

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// file is what lines are appended to. One that grows too large is set aside;
// one that somebody else has moved away is made again.
type file struct {
	path string
	max  int64
	keep int
	f    *os.File // nil: it could not be opened again
	size int64
}

func openFile(path string, limit int64, keep int) (*file, error) {
	f := &file{path: path, max: limit, keep: keep}
	if path == "-" {
		return f, nil
	}
	return f, f.open()
}

func (f *file) open() error {
	opened, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return fmt.Errorf("open the access log: %w", err)
	}
	info, err := opened.Stat()
	if err != nil {
		return errors.Join(err, opened.Close())
	}
	f.f, f.size = opened, info.Size()
	return nil
}

func (f *file) reopen() error {
	if f.path == "-" {
		return nil
	}
	err := f.Close()
	return errors.Join(err, f.open())
}

// Close may be called again.
func (f *file) Close() error {
	if f.f == nil {
		return nil
	}
	err := f.f.Close()
	f.f = nil
	return err
}

// write appends whole lines.
func (f *file) write(lines []byte) error {
	if f.path == "-" {
		_, err := os.Stdout.Write(lines)
		return err
	}
	if f.f == nil || f.moved() {
		if err := f.reopen(); err != nil {
			return err
		}
	}
	if f.size > 0 && f.size+int64(len(lines)) > f.max {
		if err := f.setAside(); err != nil {
			return err
		}
	}
	n, err := f.f.Write(lines)
	f.size += int64(n)
	return err
}

// moved reports whether another file, or none, has the name by now. Another
// process that appends to the same file also makes it grow.
func (f *file) moved() bool {
	named, err := os.Stat(f.path)
	if err != nil {
		return true
	}
	mine, err := f.f.Stat()
	if err != nil || !os.SameFile(named, mine) {
		return true
	}
	f.size = mine.Size()
	return false
}

// setAside makes the file the first of those kept, and begins another.
func (f *file) setAside() error {
	for n := f.keep; n > 1; n-- {
		if err := os.Rename(f.aside(n-1), f.aside(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("set the access log aside: %w", err)
		}
	}
	if err := os.Rename(f.path, f.aside(1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set the access log aside: %w", err)
	}
	return f.reopen()
}

func (f *file) aside(n int) string { return f.path + "." + strconv.Itoa(n) }

func count(lines []byte) int { return bytes.Count(lines, []byte{'\n'}) }

func index(b []byte, c byte) int {
	if at := bytes.IndexByte(b, c); at >= 0 {
		return at
	}
	return len(b) - 1
}
