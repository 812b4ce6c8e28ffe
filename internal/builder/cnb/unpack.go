package cnb

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/pkg/archive"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/builder"
)

func (b *Builder) imagesDir() string { return filepath.Join(b.options.Dir, "images") }

// rootOf is where an image of the registry, repository@digest, is unpacked.
func (b *Builder) rootOf(at string) string {
	_, digest, _ := strings.Cut(at, "@sha256:")
	return filepath.Join(b.imagesDir(), digest)
}

// dropImages removes unpacked images that are not used any more, and what a
// crash left of one.
func (b *Builder) dropImages() error {
	entries, err := os.ReadDir(b.imagesDir())
	if err != nil {
		return err
	}
	current := ""
	if p := readPins(b.options.Dir); p.Builder == b.options.BuilderImage {
		current = b.rootOf(p.Image)
	}
	for _, entry := range entries {
		if path := filepath.Join(b.imagesDir(), entry.Name()); path != current {
			if err := builder.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// unpack returns the directory of an image, which it makes whole or not at
// all.
func (b *Builder) unpack(ctx context.Context, at string, packed v1.Image, out *builder.Output) (string, error) {
	root := b.rootOf(at)
	if _, err := os.Stat(root); err == nil {
		return root, nil
	}
	out.Detail("Unpacking it, once...")
	next := root + ".new"
	if err := builder.RemoveAll(next); err != nil {
		return "", err
	}
	if err := b.unpackInto(ctx, next, packed); err != nil {
		_ = builder.RemoveAll(next) // the first error counts
		return "", fmt.Errorf("unpack: %w", err)
	}
	return root, os.Rename(next, root)
}

func (b *Builder) unpackInto(ctx context.Context, root string, packed v1.Image) error {
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	layers, err := packed.Layers()
	if err != nil {
		return err
	}
	left := &bound{bytes: b.options.ImageBytes, files: maxFiles, most: b.options.ImageBytes}
	for _, layer := range layers {
		if err := apply(ctx, root, layer, left); err != nil {
			return err
		}
	}
	return syncDisk(root)
}

// maxFiles bounds the files of a builder image.
const maxFiles = 2_000_000

// bound is how much may still be unpacked.
type bound struct{ bytes, files, most int64 }

// take leaves out devices, which nothing here needs and only root could make.
func (l *bound) take(header *tar.Header) (bool, error) {
	l.bytes -= header.Size
	l.files--
	if l.bytes < 0 || l.files < 0 {
		return false, fmt.Errorf("it is larger than %s or %d files", builder.SizeText(l.most), maxFiles)
	}
	return header.Typeflag != tar.TypeBlock && header.Typeflag != tar.TypeChar && header.Typeflag != tar.TypeFifo, nil
}

// apply unpacks one layer over those below and checks that it was the one.
func apply(ctx context.Context, root string, layer v1.Layer, left *bound) error {
	plain, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer plain.Close()
	sum := sha256.New()
	content := io.TeeReader(plain, sum)
	options := []archive.ApplyOpt{archive.WithFilter(left.take)}
	if os.Geteuid() != 0 {
		options = append(options, archive.WithNoSameOwner())
	}
	if _, err := archive.Apply(ctx, root, content, options...); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, content); err != nil {
		return err
	}
	want, err := layer.DiffID()
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want.Hex {
		return fmt.Errorf("a layer is sha256:%s and should be %s", got, want)
	}
	return nil
}

// syncDisk waits until all is on the disk: what is unpacked is trusted later.
func syncDisk(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	return unix.Syncfs(int(file.Fd()))
}
