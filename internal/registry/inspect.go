package registry

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/gob"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Inspect says what the registry has of images, repository@digest each, in
// their order; Missing of what it has not. With deep, their layers are read to
// find what is wasted, each one once in the registry's life.
func (r *Registry) Inspect(ctx context.Context, images []string, deep bool) ([]platform.StoredImage, error) {
	users, err := r.users(ctx)
	if err != nil {
		return nil, err
	}
	stored := make([]platform.StoredImage, len(images))
	for i, image := range images {
		if stored[i], err = r.inspect(ctx, image, users, deep); err != nil {
			return nil, err
		}
	}
	return stored, nil
}

func (r *Registry) inspect(ctx context.Context, image string, users map[string]int, deep bool) (platform.StoredImage, error) {
	stored := platform.StoredImage{Ref: image, Missing: true, Wasted: -1}
	repo, digest, ok := strings.Cut(image, "@")
	if !ok || !isDigest(digest) || !nameForm.MatchString(repo) || !exists(r.store.revision(repo, digest)) {
		return stored, nil
	}
	d, _, err := r.store.read(digest)
	if isMissing(err) {
		return stored, nil
	}
	if err != nil {
		return stored, err
	}
	stored.Missing = false
	for _, layer := range d.Layers {
		stored.Size += layer.Size
		stored.Layers = append(stored.Layers, platform.StoredLayer{Digest: layer.Digest, Size: layer.Size, Shared: users[layer.Digest] > 1})
	}
	referring, err := r.store.referrers(repo, digest)
	for _, a := range referring {
		stored.Attached = append(stored.Attached, platform.Attachment{Digest: a.Digest, Type: a.ArtifactType, Size: a.Size})
	}
	if err == nil {
		stored.Wasted, err = r.wasted(ctx, d, deep)
	}
	return stored, err
}

// users is how many manifests list each layer.
func (r *Registry) users(ctx context.Context) (map[string]int, error) {
	users, seen := make(map[string]int), make(map[string]bool)
	for repo, err := range r.store.repositories("") {
		revisions, err2 := r.store.revisions(repo)
		if err := errors.Join(err, err2, ctx.Err()); err != nil {
			return nil, err
		}
		for _, digest := range revisions {
			if seen[digest] {
				continue
			}
			seen[digest] = true
			d, _, err := r.store.read(digest)
			if err != nil {
				continue // deleted since
			}
			for layer := range setOf(d.blobs()) {
				users[layer]++
			}
		}
	}
	return users, nil
}

// The bounds of a layer that is looked into; nothing is said of larger ones.
const (
	maxEntries  = 500_000
	maxUnpacked = 16 << 30
)

// contents are what a layer puts in place and takes away (OCI image
// specification 1.1, layer, "Whiteouts").
type contents struct {
	Files   map[string]int64 // bytes of regular files by path
	Gone    []string         // paths that whiteouts remove
	Opaque  []string         // directories of which nothing below stays
	TooMuch bool
}

// wasted is how many bytes of files higher layers replace or remove; -1 when
// that is not known.
func (r *Registry) wasted(ctx context.Context, d document, deep bool) (int64, error) {
	standing := make(map[string]int64)
	total := int64(0)
	for _, layer := range d.Layers {
		c, err := r.contents(ctx, layer, deep)
		if err != nil || c == nil || c.TooMuch {
			return -1, err
		}
		total += c.lay(standing)
	}
	return total, nil
}

// lay puts a layer on what stands and returns the bytes it hides.
func (c *contents) lay(standing map[string]int64) (hidden int64) {
	gone, opaque := setOf(c.Gone), setOf(c.Opaque)
	if len(gone)+len(opaque) > 0 {
		for file, size := range standing {
			if covered(file, gone, opaque) {
				hidden += size
				delete(standing, file)
			}
		}
	}
	for file, size := range c.Files {
		hidden += standing[file]
		standing[file] = size
	}
	return hidden
}

func setOf(words []string) map[string]bool {
	set := make(map[string]bool, len(words))
	for _, word := range words {
		set[word] = true
	}
	return set
}

// covered reports whether a whiteout removes the file, or a directory above it.
func covered(file string, gone, opaque map[string]bool) bool {
	if gone[file] {
		return true
	}
	for dir := path.Dir(file); ; dir = path.Dir(dir) {
		if gone[dir] || opaque[dir] {
			return true
		}
		if dir == "." || dir == "/" {
			return false
		}
	}
}

// contents reads a layer, or what was written down when it was read first; nil
// when it was not, and deep is not said.
func (r *Registry) contents(ctx context.Context, layer descriptor, deep bool) (*contents, error) {
	if !isDigest(layer.Digest) {
		return nil, nil
	}
	noted := filepath.Join(r.options.Dir, "contents", hexOf(layer.Digest))
	if file, err := os.Open(noted); err == nil {
		defer file.Close()
		var c contents
		if unpacked, err := gzip.NewReader(file); err == nil && gob.NewDecoder(unpacked).Decode(&c) == nil {
			return &c, nil
		} // else it is read again
	}
	if !deep {
		return nil, nil
	}
	r.inspecting.Lock() // one at a time is enough work beside the apps
	defer r.inspecting.Unlock()
	c, err := r.unpack(ctx, layer)
	if err != nil {
		return nil, err
	}
	return c, note(noted, c)
}

// note writes contents down.
func note(at string, c *contents) error {
	text := new(strings.Builder)
	packed := gzip.NewWriter(text)
	if err := errors.Join(gob.NewEncoder(packed).Encode(c), packed.Close()); err != nil {
		return err
	}
	return write(at, []byte(text.String()))
}

func (r *Registry) unpack(ctx context.Context, layer descriptor) (*contents, error) {
	file, err := os.Open(r.store.blob(layer.Digest))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var plain io.Reader = file
	switch {
	case strings.HasSuffix(layer.MediaType, "gzip"):
		plain, err = gzip.NewReader(file)
	case strings.HasSuffix(layer.MediaType, "zstd"):
		var decoder *zstd.Decoder
		if decoder, err = zstd.NewReader(file, zstd.WithDecoderConcurrency(1)); err == nil {
			defer decoder.Close()
			plain = decoder
		}
	}
	if err != nil {
		return &contents{TooMuch: true}, nil // no tar, or not one that can be read
	}
	return list(ctx, io.LimitReader(plain, maxUnpacked))
}

// list reads a layer's tar. What breaks off is not looked into.
func list(ctx context.Context, plain io.Reader) (*contents, error) {
	c := &contents{Files: make(map[string]int64)}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil || len(c.Files)+len(c.Gone)+len(c.Opaque) >= maxEntries {
			return &contents{TooMuch: true}, nil
		}
		c.add(header)
	}
}

func (c *contents) add(header *tar.Header) {
	name := strings.TrimPrefix(path.Clean("/"+header.Name), "/")
	dir, base := path.Split(name)
	removed, whiteout := strings.CutPrefix(base, ".wh.")
	switch {
	case base == ".wh..wh..opq":
		c.Opaque = append(c.Opaque, path.Clean(dir))
	case whiteout:
		c.Gone = append(c.Gone, path.Join(dir, removed))
	case header.Typeflag == tar.TypeReg:
		c.Files[name] = header.Size
	default: // a link or a device in a file's place hides it
		c.Gone = append(c.Gone, linkOf(header, name)...)
	}
}

func linkOf(header *tar.Header, name string) []string {
	if header.Typeflag == tar.TypeDir {
		return nil
	}
	return []string{name}
}

// forgetContents drops what was noted of layers that are gone.
func (r *Registry) forgetContents() error {
	dir := filepath.Join(r.options.Dir, "contents")
	noted, err := names(dir)
	for _, hex := range slices.DeleteFunc(noted, func(hex string) bool { return isDigest("sha256:"+hex) && exists(r.store.blob("sha256:"+hex)) }) {
		err = errors.Join(err, os.Remove(filepath.Join(dir, hex)))
	}
	return err
}
