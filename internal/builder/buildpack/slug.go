package buildpack

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/slipway-paas/slipway/internal/platform"
	stacks "github.com/slipway-paas/slipway/internal/stack"
)

// slug is a packed tree: one compressed layer in a file.
type slug struct {
	path   string // of the compressed tar
	size   int64  // of it
	digest string // sha256 of it, hex
	diffID string // sha256 of the tar, hex
}

// pack writes the workspace's tree as a layer: app/... and slipway/launch,
// sorted, without times, so that equal trees are equal layers. The app's files
// are the user's its processes run as, who may write beside them.
func (b *Builder) pack(ctx context.Context, w *workspace) (slug, error) {
	ignore, err := readIgnore(w.tree)
	if err != nil {
		return slug{}, err
	}
	launch, err := os.ReadFile(filepath.Join(b.bundle, "launch.sh"))
	if err != nil {
		return slug{}, err
	}
	out, err := newSlugFile(filepath.Join(w.dir, "slug.tar.zst"))
	if err != nil {
		return slug{}, err
	}
	defer out.abandon()
	p := &packer{ctx: ctx, tree: w.tree, to: tar.NewWriter(out), ignore: ignore, left: b.options.DiskBytes, buffer: make([]byte, 256<<10)}
	if err := p.pack(launch); err != nil {
		return slug{}, diskFull(err)
	}
	done, err := out.finish()
	return done, diskFull(err)
}

func diskFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &platform.UserError{
			Kind:    platform.ErrUnavailable,
			Message: "no space left on the platform's disk while packing the slug",
			Cure:    "Free space there (slipway doctor shows where), then push again.",
		}
	}
	return err
}

// packer writes tar entries.
type packer struct {
	ctx    context.Context
	tree   string
	to     *tar.Writer
	ignore ignore
	left   int64 // bytes of content it may still pack: files can have holes
	buffer []byte
}

func (p *packer) pack(launch []byte) error {
	if err := filepath.WalkDir(p.tree, p.visit); err != nil {
		return err
	}
	if err := p.to.WriteHeader(entry("slipway/", tar.TypeDir, 0o755, 0)); err != nil {
		return err
	}
	if err := p.to.WriteHeader(entry("slipway/launch", tar.TypeReg, 0o755, int64(len(launch)))); err != nil {
		return err
	}
	if _, err := p.to.Write(launch); err != nil {
		return err
	}
	return p.to.Close()
}

// visit packs one path. Nothing of the build runs any more, so what is a file
// now stays one.
func (p *packer) visit(path string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if err := p.ctx.Err(); err != nil {
		return err
	}
	rel, err := filepath.Rel(p.tree, path)
	if err != nil {
		return err
	}
	if rel != "." && (rel == ".git" || p.ignore.matches(filepath.ToSlash(rel), d.IsDir())) {
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	}
	name := "app"
	if rel != "." {
		name += "/" + filepath.ToSlash(rel)
	}
	return p.write(path, name, d)
}

func (p *packer) write(path, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	switch mode := int64(info.Mode().Perm()); {
	case info.IsDir():
		return p.to.WriteHeader(owned(entry(name+"/", tar.TypeDir, mode|0o700, 0)))
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		link := entry(name, tar.TypeSymlink, 0o777, 0)
		link.Linkname = target
		return p.to.WriteHeader(owned(link))
	case info.Mode().IsRegular():
		return p.file(path, name, mode, info.Size())
	}
	return nil // pipes and sockets do not travel
}

func (p *packer) file(path, name string, mode, size int64) error {
	if p.left -= size; p.left < 0 {
		return &platform.UserError{
			Kind:    platform.ErrInvalid,
			Message: fmt.Sprintf("the slug is too large: %s is beyond the limit", name),
			Cure:    "Keep large files out of it with .slugignore, or have the build remove what only building needs, then push again.",
		}
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := p.to.WriteHeader(owned(entry(name, tar.TypeReg, mode, size))); err != nil {
		return err
	}
	// Through our buffer: os.File's own WriteTo would make one for each file.
	_, err = io.CopyBuffer(struct{ io.Writer }{p.to}, struct{ io.Reader }{file}, p.buffer)
	return err
}

func entry(name string, kind byte, mode, size int64) *tar.Header {
	return &tar.Header{Name: name, Typeflag: kind, Mode: mode, Size: size, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
}

// owned makes an entry the app's own.
func owned(header *tar.Header) *tar.Header {
	header.Uid, header.Gid = stacks.User, stacks.User
	return header
}

// slugFile compresses and hashes what is written to it.
type slugFile struct {
	file     *os.File
	buffered *bufio.Writer
	zip      *zstd.Encoder
	plain    hash.Hash
	packed   hash.Hash
}

func newSlugFile(path string) (*slugFile, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	out := &slugFile{file: file, plain: sha256.New(), packed: sha256.New()}
	out.buffered = bufio.NewWriterSize(io.MultiWriter(file, out.packed), 64<<10)
	// A window of 1 MiB keeps the memory of builder and nodes small.
	out.zip, err = zstd.NewWriter(out.buffered, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20), zstd.WithEncoderConcurrency(2))
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return out, nil
}

func (f *slugFile) Write(p []byte) (int, error) {
	f.plain.Write(p)
	return f.zip.Write(p)
}

func (f *slugFile) finish() (slug, error) {
	if err := f.zip.Close(); err != nil {
		return slug{}, err
	}
	if err := f.buffered.Flush(); err != nil {
		return slug{}, err
	}
	info, err := f.file.Stat()
	if err != nil {
		return slug{}, err
	}
	return slug{
		path: f.file.Name(), size: info.Size(),
		digest: hex.EncodeToString(f.packed.Sum(nil)), diffID: hex.EncodeToString(f.plain.Sum(nil)),
	}, f.file.Close()
}

// abandon frees what is open; after finish it does nothing.
func (f *slugFile) abandon() {
	_ = f.zip.Close()
	_ = f.file.Close()
}
