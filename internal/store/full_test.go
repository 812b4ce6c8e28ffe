package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

func TestAFullDiskRefusesWritesInWordsAndIsRecoveredFrom(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a disk to fill needs the right to mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	s, err := store.Open(t.Context(), quiet(), filepath.Join(dir, "slipway.db"), ring)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	withApp(t, s)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	big := strings.Repeat("x", 64<<10)
	for n := 0; err == nil && n < 100; n++ {
		err = s.Write(t.Context(), func(tx *store.Tx) error {
			return tx.InsertBuild(platform.Build{UUID: fmt.Sprint("build-", n), App: "blog", Owner: "ann", Image: big})
		})
	}
	if !errors.Is(err, platform.ErrUnavailable) || !strings.Contains(err.Error(), "the disk is full: free some space") {
		t.Errorf("got %v", err)
	}
	same(t, read(t, s, func(tx *store.Tx) (platform.App, error) { return tx.App("blog") }).Owner, "ann")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	write(t, s, func(tx *store.Tx) error { return release(tx, "after") })
}
