package blobs_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/slipway-paas/slipway/internal/blobs"
)

func open(t *testing.T, dir string) *blobs.Bucket {
	t.Helper()
	bucket, err := blobs.Open(t.Context(), "file://"+dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bucket.Close() })
	return bucket
}

func read(t *testing.T, bucket *blobs.Bucket, key string) []byte {
	t.Helper()
	r, err := bucket.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestABlobComesBackAsItWasPut(t *testing.T) {
	dir := t.TempDir()
	want := make([]byte, 3<<20)
	_, _ = rand.Read(want)
	if err := open(t, dir).Put(t.Context(), "sources/blog/1.tar", bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	if got := read(t, open(t, dir), "sources/blog/1.tar"); !bytes.Equal(got, want) {
		t.Errorf("got %d other bytes", len(got))
	}
}

func TestAMissingKeyIsErrMissing(t *testing.T) {
	bucket := open(t, t.TempDir())
	if _, err := bucket.Get(t.Context(), "a/b"); !errors.Is(err, blobs.ErrMissing) {
		t.Errorf("Get: %v", err)
	}
	if err := bucket.Delete(t.Context(), "a/b"); !errors.Is(err, blobs.ErrMissing) {
		t.Errorf("Delete: %v", err)
	}
}

func TestDeleteRemovesABlob(t *testing.T) {
	bucket := open(t, t.TempDir())
	if err := bucket.Put(t.Context(), "a", strings.NewReader("1")); err != nil {
		t.Fatal(err)
	}
	if err := bucket.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.Get(t.Context(), "a"); !errors.Is(err, blobs.ErrMissing) {
		t.Errorf("Get after Delete: %v", err)
	}
}

func TestAPutThatFailsLeavesTheOldBlobAndNoFile(t *testing.T) {
	dir := t.TempDir()
	bucket := open(t, dir)
	if err := bucket.Put(t.Context(), "a", strings.NewReader("old")); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	if err := bucket.Put(t.Context(), "a", io.MultiReader(strings.NewReader("new"), iotest.ErrReader(boom))); !errors.Is(err, boom) {
		t.Errorf("Put: %v, want boom", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := bucket.Put(ctx, "a", strings.NewReader("new")); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v, want canceled", err)
	}
	if got := read(t, bucket, "a"); string(got) != "old" {
		t.Errorf("got %q, want the old blob", got)
	}
	if files := filesBelow(t, dir); len(files) != 1 {
		t.Errorf("files left: %v", files)
	}
}

func TestOpenRemovesWhatACrashLeft(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "sources"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sources", "1.tar.18a5b2c3.tmp"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if files := filesBelow(t, dir); len(files) != 0 {
		t.Errorf("files left: %v", files)
	}
}

func TestListYieldsThePrefixInOrder(t *testing.T) {
	bucket := open(t, t.TempDir())
	for _, key := range []string{"b/2", "a/1", "b/1", "b/10"} {
		if err := bucket.Put(t.Context(), key, strings.NewReader(key)); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for info, err := range bucket.List(t.Context(), "b/") {
		if err != nil {
			t.Fatal(err)
		}
		if info.Size != int64(len(info.Key)) || info.Modified.IsZero() {
			t.Errorf("%+v", info)
		}
		got = append(got, info.Key)
	}
	if want := []string{"b/1", "b/10", "b/2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestConcurrentPutsOfOneKeyLeaveOneWholeBlob(t *testing.T) {
	bucket := open(t, t.TempDir())
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			if err := bucket.Put(t.Context(), "k", bytes.NewReader(bytes.Repeat([]byte{byte('a' + i)}, 100_000))); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	got := read(t, bucket, "k")
	if len(got) != 100_000 || !bytes.Equal(got, bytes.Repeat(got[:1], 100_000)) {
		t.Error("the blob is a mixture")
	}
}

func TestKeysThatLeaveTheBucketAreRefused(t *testing.T) {
	bucket := open(t, t.TempDir())
	for _, key := range []string{"", "/a", "../a", "a/../b", "a//b", "a/", "./a", "a.tmp", strings.Repeat("a", 2000)} {
		if err := bucket.Put(t.Context(), key, strings.NewReader("x")); err == nil {
			t.Errorf("Put %.40q was accepted", key)
		}
	}
}

func TestTheDirectoryIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	open(t, dir)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestOpenNamesWhatIsWrongWithAURL(t *testing.T) {
	for _, address := range []string{"", "s3://bucket", "file://relative/path", "file://./x", "/plain", "file:///x?create_dir=1", "://"} {
		if _, err := blobs.Open(t.Context(), address); err == nil {
			t.Errorf("Open(%q) was accepted", address)
		}
	}
}

func filesBelow(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
