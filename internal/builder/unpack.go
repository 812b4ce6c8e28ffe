package builder

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Bounds of a pushed tree.
type Bounds struct {
	Bytes int64 // of all files together
	Files int   // files, directories and links
}

// unpacker writes a tar into one directory that nobody else writes to.
type unpacker struct {
	dir    string
	bounds Bounds
	// made are the directories below dir that this unpacker made itself, by
	// slash path. Nothing is ever written through any other parent, so no link
	// of the tar is followed.
	made  map[string]bool
	bytes int64
	files int
}

// unpack extracts the tar r into the empty directory dir. Permissions become
// 0755 or 0644, links stay as they are, everything belongs to the caller.
func unpack(ctx context.Context, dir string, r io.Reader, bounds Bounds) error {
	u := &unpacker{dir: dir, bounds: bounds, made: map[string]bool{".": true}}
	archive := tar.NewReader(r)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			// git ends an archive with padding that a pipe's writer must get rid of.
			_, err = io.Copy(io.Discard, r)
			return err
		}
		if err != nil {
			return fmt.Errorf("read source: %w", err)
		}
		if err := u.entry(header, archive); err != nil {
			return err
		}
	}
}

func (u *unpacker) entry(header *tar.Header, content io.Reader) error {
	if header.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name := path.Clean(strings.TrimSuffix(header.Name, "/"))
	if name == "." {
		return nil
	}
	if !fs.ValidPath(name) || strings.ContainsRune(header.Name, 0) {
		return refused("the tree contains the path %q, which leads out of it", header.Name)
	}
	if err := u.count(); err != nil {
		return err
	}
	if err := u.parents(name); err != nil {
		return err
	}
	return u.write(name, header, content)
}

func (u *unpacker) write(name string, header *tar.Header, content io.Reader) error {
	at := filepath.Join(u.dir, filepath.FromSlash(name))
	var err error
	switch header.Typeflag {
	case tar.TypeDir:
		return u.directory(name)
	case tar.TypeReg:
		return u.file(at, name, header, content)
	case tar.TypeSymlink:
		err = os.Symlink(header.Linkname, at)
	default:
		return refused("%s is neither a file nor a directory nor a symbolic link", name)
	}
	return u.explain(name, err)
}

func (u *unpacker) count() error {
	u.files++
	if u.files > u.bounds.Files {
		return refused("the tree has more than %d files", u.bounds.Files)
	}
	return nil
}

// parents makes the directories above name.
func (u *unpacker) parents(name string) error {
	parent := path.Dir(name)
	if u.made[parent] {
		return nil
	}
	if err := u.parents(parent); err != nil {
		return err
	}
	if err := u.count(); err != nil {
		return err
	}
	return u.directory(parent)
}

func (u *unpacker) directory(name string) error {
	if u.made[name] {
		return nil
	}
	if err := os.Mkdir(filepath.Join(u.dir, filepath.FromSlash(name)), 0o755); err != nil {
		return u.explain(name, err)
	}
	u.made[name] = true
	return nil
}

func (u *unpacker) file(at, name string, header *tar.Header, content io.Reader) error {
	u.bytes += header.Size
	if header.Size < 0 || u.bytes > u.bounds.Bytes {
		return refused("the tree is larger than %d MiB: %s is beyond that", u.bounds.Bytes>>20, name)
	}
	mode := fs.FileMode(0o644)
	if header.Mode&0o111 != 0 {
		mode = 0o755
	}
	file, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, mode)
	if err != nil {
		return u.explain(name, err)
	}
	if _, err := io.Copy(file, content); err != nil {
		_ = file.Close()
		return u.explain(name, err)
	}
	return u.explain(name, file.Close())
}

func (u *unpacker) explain(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist), errors.Is(err, syscall.ENOTDIR):
		return refused("the tree contains %s twice", name)
	case errors.Is(err, syscall.ENAMETOOLONG):
		return refused("the path %.80s… is longer than this machine's file system allows", name)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &platform.UserError{
			Kind:    platform.ErrUnavailable,
			Message: fmt.Sprintf("no space left on the platform's disk while unpacking %s", name),
			Cure:    "Free space there (slipway doctor shows where), then push again.",
		}
	default:
		return fmt.Errorf("unpack %s: %w", name, err)
	}
}

func refused(format string, args ...any) error {
	return &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: "source: " + fmt.Sprintf(format, args...),
		Cure:    "Remove it from the commit (git rm --cached, .gitignore), then push again.",
	}
}
