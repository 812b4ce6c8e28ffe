package main_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// canMount reports whether this machine gives tests a disk of their own.
func canMount() bool {
	dir, err := os.MkdirTemp("", "slipway-mount")
	if err != nil {
		return false
	}
	defer os.RemoveAll(dir)
	if syscall.Mount("slipway-test", dir, "tmpfs", 0, "size=64k") != nil {
		return false
	}
	return syscall.Unmount(dir, syscall.MNT_DETACH) == nil
}

// diskCommand gives the state directory a small disk, fills it and frees it.
func diskCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: disk SIZE, disk fill or disk free")
	}
	platform := ts.Value("platform").(*daemon)
	state := platform.state
	ballast := filepath.Join(state, "ballast")
	switch args[0] {
	case "fill":
		ts.Check(fillDisk(ballast))
	case "free":
		ts.Check(os.Remove(ballast))
	default:
		ts.Check(syscall.Mount("slipway-test", state, "tmpfs", 0, "mode=0711,size="+args[0]))
		ts.Defer(func() {
			platform.end() // first: without the disk nobody finds its node
			_ = syscall.Unmount(state, syscall.MNT_DETACH)
		})
	}
}

// fillDisk writes until the disk has no byte left.
func fillDisk(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	for size := 1 << 20; size > 0; {
		if _, err = file.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			return err
		}
	}
	return nil
}
