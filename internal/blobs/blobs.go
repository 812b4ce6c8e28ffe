// Package blobs keeps byte strings under names: it is handed pushed sources
// and hands them back after a restart. Where they lie is a URL: a directory
// today, a cloud's object storage by the same verbs.
package blobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/gcerrors"
)

// ErrMissing is matched by every error about a key that is not there.
var ErrMissing = errors.New("no such blob")

// Bucket holds blobs. Safe for concurrent use.
type Bucket struct {
	bucket *blob.Bucket
}

// Open opens the bucket at a URL. file:///path is a directory, made if it is
// missing and readable by its owner only; it belongs to one process at a time.
// The caller closes the bucket.
func Open(ctx context.Context, address string) (*Bucket, error) {
	at, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("blobs at %q: not a URL", address)
	}
	if at.Scheme != fileblob.Scheme {
		return nil, fmt.Errorf("blobs at %s://…: only file:///<absolute path> is available", at.Scheme)
	}
	if (at.Host != "" && at.Host != "localhost") || !strings.HasPrefix(at.Path, "/") || at.RawQuery != "" {
		return nil, fmt.Errorf("blobs at %q: write file:///<absolute path>", address)
	}
	bucket, err := openDirectory(at.Path)
	if err != nil {
		return nil, fmt.Errorf("blobs at %s: %w", at.Path, err)
	}
	return &Bucket{bucket}, nil
}

func openDirectory(dir string) (*blob.Bucket, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := removeStranded(dir); err != nil {
		return nil, err
	}
	// Temporary files lie beside their final names, so that the last step of a
	// Put is a rename within one file system.
	return fileblob.OpenBucket(dir, &fileblob.Options{
		DirFileMode: 0o700,
		NoTempDir:   true,
		Metadata:    fileblob.MetadataDontWrite,
	})
}

// Put stores what r yields under key, replacing what was there. The blob
// appears whole or, when r or ctx ends in an error, not at all.
func (b *Bucket) Put(ctx context.Context, key string, r io.Reader) error {
	if err := check(key); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := b.bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: "application/octet-stream"})
	if err != nil {
		return named(key, err)
	}
	if _, err := io.Copy(w, r); err != nil {
		cancel() // makes Close drop the half-written blob
		_ = w.Close()
		return named(key, err)
	}
	if err := ctx.Err(); err != nil {
		_ = w.Close()
		return named(key, err)
	}
	return named(key, w.Close())
}

// Get opens the blob at key; the caller closes it. A missing key is ErrMissing.
func (b *Bucket) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := check(key); err != nil {
		return nil, err
	}
	r, err := b.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return nil, named(key, err)
	}
	return r, nil
}

// Delete removes the blob at key. A missing key is ErrMissing.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := check(key); err != nil {
		return err
	}
	return named(key, b.bucket.Delete(ctx, key))
}

// Info describes a blob.
type Info struct {
	Key      string
	Size     int64 // bytes
	Modified time.Time
}

// List yields the blobs whose keys begin with prefix, in the order of their
// keys. It ends after the first error.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		objects := b.bucket.List(&blob.ListOptions{Prefix: prefix})
		for {
			object, err := objects.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Info{}, fmt.Errorf("list blobs %s: %w", prefix, err))
				return
			}
			if !yield(Info{Key: object.Key, Size: object.Size, Modified: object.ModTime}, nil) {
				return
			}
		}
	}
}

// Close releases the bucket; its blobs stay.
func (b *Bucket) Close() error { return b.bucket.Close() }

// stranded is how the file driver ends the names of unfinished Puts.
const stranded = ".tmp"

// removeStranded takes away what Puts left behind that a crash cut short.
func removeStranded(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, stranded) {
			return err
		}
		return os.Remove(path)
	})
}

// check keeps keys to plain relative paths, the forms every storage agrees on.
func check(key string) error {
	if key == "" || len(key) > 1024 {
		return fmt.Errorf("blob key %.40q: must have 1 to 1024 bytes", key)
	}
	if strings.HasSuffix(key, stranded) {
		return fmt.Errorf("blob key %q: must not end in %s", key, stranded)
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("blob key %q: must not contain empty, . or .. parts", key)
		}
	}
	return nil
}

func named(key string, err error) error {
	switch {
	case err == nil:
		return nil
	case gcerrors.Code(err) == gcerrors.NotFound:
		return fmt.Errorf("blob %s: %w", key, ErrMissing)
	default:
		return fmt.Errorf("blob %s: %w", key, err)
	}
}
