package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/slipway-paas/slipway/internal/platform"
)

// path is a file name relative to the working directory.
func (c *cli) path(name string) string {
	if c.opts.Dir == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.opts.Dir, name)
}

// readFile reads a file, or stdin for "-", of most bytes at most.
func (c *cli) readFile(name string, most int64) (string, error) {
	from := c.opts.Stdin
	if name != "-" {
		file, err := os.Open(c.path(name))
		if err != nil {
			return "", fileError(err)
		}
		defer file.Close()
		from = file
	}
	text, err := io.ReadAll(io.LimitReader(from, most+1))
	if err == nil && int64(len(text)) > most {
		err = platform.Invalid("", "%s is longer than %d bytes", name, most)
	}
	return string(text), err
}

// fileError says in words that there is no such file.
func fileError(err error) error {
	if missing, ok := errors.AsType[*fs.PathError](err); ok && errors.Is(err, fs.ErrNotExist) {
		return because(platform.ErrNotFound, "there is no file %s", missing.Path)
	}
	return err
}

// writeNew writes a file that only its user can read.
func writeNew(path, text string, overwrite bool) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if !overwrite {
		flags |= os.O_EXCL
	}
	file, err := os.OpenFile(path, flags, 0o600)
	if errors.Is(err, os.ErrExist) {
		return hinted(because(platform.ErrConflict, "%s is there already", path), "Replace it with: --overwrite")
	}
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}
