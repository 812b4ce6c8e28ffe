package sandbox

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// onOwnThread runs f on an operating system thread that is thrown away
// afterwards, so that f may change the thread's namespaces: a process forked
// by f inherits them, the rest of the platform never sees them.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			// The main thread cannot be thrown away, and /proc/self is its view.
			// While this goroutine holds it, another gets another.
			done <- onOwnThread(f)
			runtime.UnlockOSThread()
			return
		}
		done <- f()
	}()
	return <-done
}

// ownMounts gives the calling thread a mount namespace of its own, from which
// nothing leaks back to the machine.
func ownMounts() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return nil
}

// enter moves the calling thread into the namespaces of the process first. What it forks is inside the pid namespace; it itself is not.
func enter(first *pidfd) error {
	// The thread must not share its root and working directory with others.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("leave the shared working directory: %w", err)
	}
	const all = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWNET
	raw, err := first.file.SyscallConn()
	if err != nil {
		return err
	}
	if control := raw.Control(func(fd uintptr) { err = unix.Setns(int(fd), all) }); control != nil {
		return control
	}
	if err != nil {
		return fmt.Errorf("enter the namespaces: %w", err)
	}
	return nil
}
