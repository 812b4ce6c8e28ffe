package process

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

// Bounds of one unpacked image.
const (
	maxImageBytes   = 8 << 30
	maxImageEntries = 2_000_000
)

// unpacker lays the layers of an image over one another in a folder, every
// file owned by one uid. No name and no link leads out of the folder: os.Root
// resolves each step inside it.
type unpacker struct {
	root    *os.Root
	uid     int
	chown   bool
	bytes   int64
	entries int
}

func newUnpacker(dir string, uid int) (*unpacker, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &unpacker{root: root, uid: uid, chown: os.Geteuid() == 0}, nil
}

func (u *unpacker) close() { u.root.Close() }

// layer unpacks one layer and reads it to its end, so that its digest is verified.
func (u *unpacker) layer(ctx context.Context, content io.Reader) error {
	archive := tar.NewReader(content)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, content)
			return err
		}
		if err != nil {
			return fmt.Errorf("layer: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if u.entries++; u.entries > maxImageEntries {
			return platform.Invalid("image", "it holds more than %d files", maxImageEntries)
		}
		if err := u.entry(header, archive); err != nil {
			return fmt.Errorf("layer entry %q: %w", header.Name, err)
		}
	}
}

// Whiteouts: https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts
const (
	whiteout       = ".wh."
	opaqueWhiteout = ".wh..wh..opq"
)

func (u *unpacker) entry(header *tar.Header, content io.Reader) error {
	name := path.Clean("/" + header.Name)[1:] // "../x" is "x", as in a root folder
	if name == "" {
		return nil
	}
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	if base == opaqueWhiteout {
		return u.empty(dir)
	}
	if hidden, ok := strings.CutPrefix(base, whiteout); ok {
		return u.root.RemoveAll(path.Join(dir, hidden))
	}
	if err := u.folder(dir); err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeDir:
		if err := u.folder(name); err != nil {
			return err
		}
		return u.root.Chmod(name, header.FileInfo().Mode().Perm()|0o700)
	case tar.TypeReg:
		return u.file(name, header, content)
	case tar.TypeSymlink:
		return u.link(name, func() error { return u.root.Symlink(header.Linkname, name) })
	case tar.TypeLink:
		target := path.Clean("/" + header.Linkname)[1:]
		return u.link(name, func() error { return u.root.Link(target, name) })
	}
	return nil // devices, pipes: no app needs them
}

func (u *unpacker) file(name string, header *tar.Header, content io.Reader) error {
	if u.bytes += header.Size; u.bytes > maxImageBytes {
		return platform.Invalid("image", "it unpacks to more than %s", runtime.Size(maxImageBytes))
	}
	if err := u.root.RemoveAll(name); err != nil {
		return err
	}
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if u.chown && err == nil {
		err = f.Chown(u.uid, u.uid)
	}
	if err == nil {
		err = f.Chmod(header.FileInfo().Mode().Perm()) // neither setuid nor setgid
	}
	err = errors.Join(err, f.Close())
	if err == nil && !header.ModTime.IsZero() {
		err = u.root.Chtimes(name, header.ModTime, header.ModTime) // programs cache by it
	}
	return err
}

func (u *unpacker) link(name string, make func() error) error {
	if err := u.root.RemoveAll(name); err != nil {
		return err
	}
	if err := make(); err != nil {
		return err
	}
	return u.own(name)
}

// folder makes a folder and those above it, in place of anything else there.
func (u *unpacker) folder(name string) error {
	if name == "." || name == "" {
		return nil
	}
	if info, err := u.root.Lstat(name); err == nil && info.IsDir() {
		return nil
	}
	if err := u.folder(path.Dir(name)); err != nil {
		return err
	}
	err := u.root.Mkdir(name, 0o755)
	if errors.Is(err, fs.ErrExist) {
		// A link to a folder stays a link; anything else gives way.
		if info, stat := u.root.Stat(name); stat == nil && info.IsDir() {
			return nil
		}
		if err = u.root.RemoveAll(name); err == nil {
			err = u.root.Mkdir(name, 0o755)
		}
	}
	if err != nil {
		return err
	}
	return u.own(name)
}

func (u *unpacker) own(name string) error {
	if !u.chown {
		return nil
	}
	return u.root.Lchown(name, u.uid, u.uid)
}

// empty removes what earlier layers put into a folder.
func (u *unpacker) empty(dir string) error {
	f, err := u.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	names, err := f.Readdirnames(-1)
	f.Close()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := u.root.RemoveAll(path.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
