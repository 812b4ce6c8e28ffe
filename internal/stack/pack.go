package stack

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// layerFile is a compressed tar in a file, as a layer of an image.
type layerFile struct {
	path         string
	size         int64
	digest, diff v1.Hash
}

var _ v1.Layer = layerFile{}

func (l layerFile) Digest() (v1.Hash, error)             { return l.digest, nil }
func (l layerFile) DiffID() (v1.Hash, error)             { return l.diff, nil }
func (l layerFile) Size() (int64, error)                 { return l.size, nil }
func (l layerFile) MediaType() (types.MediaType, error)  { return types.OCILayerZStd, nil }
func (l layerFile) Compressed() (io.ReadCloser, error)   { return os.Open(l.path) }
func (l layerFile) Uncompressed() (io.ReadCloser, error) { return unzip(l.path) }

func unzip(path string) (io.ReadCloser, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	plain, err := zstd.NewReader(file)
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return unzipped{plain.IOReadCloser(), file}, nil
}

type unzipped struct {
	io.ReadCloser
	file *os.File
}

func (u unzipped) Close() error {
	_ = u.ReadCloser.Close() // reports nothing that Read has not
	return u.file.Close()
}

// pack writes the root file system at tree as a layer to the file at path. Of
// the same packages it is the same layer: sorted, and what the making touched
// bears the time of the newest file it did not. Devices stay out, and no
// program is setuid or setgid.
func pack(ctx context.Context, tree, path string, began time.Time) (layerFile, error) {
	newest, err := newestBefore(tree, began)
	if err != nil {
		return layerFile{}, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return layerFile{}, err
	}
	defer func() { _ = file.Close() }() // closed below; here after a failure
	packed, plain := sha256.New(), sha256.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(file, packed), 256<<10)
	zip, err := zstd.NewWriter(buffered, zstd.WithWindowSize(1<<20), zstd.WithEncoderConcurrency(2))
	if err != nil {
		return layerFile{}, err
	}
	p := &packer{ctx: ctx, tree: tree, to: tar.NewWriter(io.MultiWriter(zip, plain)), began: began, newest: newest, linked: make(map[uint64]string)}
	if err := filepath.WalkDir(tree, p.visit); err != nil {
		_ = zip.Close() // the error above is the reason
		return layerFile{}, err
	}
	for _, end := range []func() error{p.to.Close, zip.Close, buffered.Flush} {
		if err := end(); err != nil {
			return layerFile{}, err
		}
	}
	info, err := file.Stat()
	if err != nil {
		return layerFile{}, err
	}
	return layerFile{path: path, size: info.Size(), digest: sum(packed), diff: sum(plain)}, file.Close()
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

// newestBefore is the time of the newest regular file that is older than began.
func newestBefore(tree string, began time.Time) (newest time.Time, err error) {
	newest = time.Unix(0, 0)
	err = filepath.WalkDir(tree, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.ModTime().Before(began) && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
		return err
	})
	return newest.Truncate(time.Second), err
}

// packer writes tar entries.
type packer struct {
	ctx           context.Context // of one pack
	tree          string
	to            *tar.Writer
	began, newest time.Time
	linked        map[uint64]string // inode to the first name of a file with several
}

func (p *packer) visit(path string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if err := p.ctx.Err(); err != nil {
		return err
	}
	name, err := filepath.Rel(p.tree, path)
	if err != nil || name == "." {
		return err
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	header, err := p.header(path, name, info)
	if header == nil || err != nil {
		return err
	}
	if err := p.to.WriteHeader(header); err != nil || header.Typeflag != tar.TypeReg {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	_, err = io.Copy(p.to, file)
	return err
}

// header is the entry of a path; nil for what does not travel.
func (p *packer) header(path, name string, info fs.FileInfo) (*tar.Header, error) {
	stat := info.Sys().(*syscall.Stat_t)
	header := &tar.Header{
		Name: name, Mode: int64(info.Mode().Perm()), Uid: int(stat.Uid), Gid: int(stat.Gid),
		ModTime: info.ModTime().Truncate(time.Second), Format: tar.FormatPAX,
	}
	if !info.ModTime().Before(p.began) {
		header.ModTime = p.newest
	}
	switch {
	case info.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, name+"/"
		if info.Mode()&fs.ModeSticky != 0 {
			header.Mode |= 0o1000
		}
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return nil, err
		}
		header.Typeflag, header.Linkname = tar.TypeSymlink, target
	case !info.Mode().IsRegular():
		return nil, nil
	case stat.Nlink > 1 && p.linked[stat.Ino] != "":
		header.Typeflag, header.Linkname = tar.TypeLink, p.linked[stat.Ino]
	default:
		p.linked[stat.Ino] = name
		header.Typeflag, header.Size = tar.TypeReg, info.Size()
	}
	return header, nil
}
