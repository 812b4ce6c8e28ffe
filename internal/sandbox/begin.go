package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// BeginVerb is the first argument of the platform's program when a sandbox
// starts it: main hands the rest to Begin before it does anything else.
const BeginVerb = "sandbox-begin"

// Begin becomes the command of a process with a Root: it takes every privilege
// away, opens the environment and executes. It only returns when it cannot,
// with the exit code of env(1).
func Begin(args []string) int {
	err := begin(args)
	fmt.Fprintln(os.Stderr, "sandbox:", err)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
		return 127
	}
	return 126
}

func begin(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("%s wants a user and a command", BeginVerb)
	}
	// Privileges are a thread's. The one that executes is the one that remains.
	runtime.LockOSThread()
	if err := dropPrivileges(args[0]); err != nil {
		return err
	}
	env := opened(os.Environ())
	for _, entry := range env {
		if path, ok := strings.CutPrefix(entry, "PATH="); ok {
			os.Setenv("PATH", path)
		}
	}
	program, err := exec.LookPath(args[1])
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", program, syscall.Exec(program, args[1:], env))
}

// dropPrivileges is what setpriv does for other processes: no capability, no
// group, no way back.
func dropPrivileges(user string) error {
	if user != "keep" {
		text, group, _ := strings.Cut(user, ":")
		uid, err := strconv.Atoi(text)
		gid, groupErr := strconv.Atoi(group)
		if err != nil || groupErr != nil || uid <= 0 || gid <= 0 {
			return fmt.Errorf("user %q", user)
		}
		if err := become(uid, gid); err != nil {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	return nil
}

// become changes the calling thread, and no other, to a user for good.
func become(uid, gid int) error {
	for capability := uintptr(0); ; capability++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			break // beyond the kernel's last
		}
		if err != nil {
			return fmt.Errorf("give up capability %d: %w", capability, err)
		}
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
		return fmt.Errorf("leave all groups: %w", errno)
	}
	for _, step := range []struct {
		call uintptr
		id   int
	}{{unix.SYS_SETRESGID, gid}, {unix.SYS_SETRESUID, uid}} {
		id := uintptr(step.id)
		if _, _, errno := unix.RawSyscall(step.call, id, id, id); errno != 0 {
			return fmt.Errorf("become user %d, group %d: %w", uid, gid, errno)
		}
	}
	// Leaving uid 0 took the effective and permitted ones already.
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	return nil
}

// opened is the environment that travelled sealed, in its order.
func opened(environ []string) []string {
	var env []string
	for n := 0; ; n++ {
		name := fmt.Sprintf("%s%d=", sealPrefix, n)
		at := slices.IndexFunc(environ, func(entry string) bool { return strings.HasPrefix(entry, name) })
		if at < 0 {
			return env
		}
		env = append(env, strings.TrimPrefix(environ[at], name))
	}
}
