package sandbox

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Descriptors of a held process, after the standard three.
const (
	statusFD = 3
	gateFD   = 4
	infoFD   = 5
	passwdFD = 6
	groupFD  = 7
)

// held is a forked process that waits at its gate: it has run nothing of the
// command, and when the gate closes without a word it never will.
type held struct {
	pid   int
	pidfd int
	gate  *os.File // nil once released
	letGo []byte   // what it waits to read
	// info is where bubblewrap tells the pid of the first process inside; nil
	// when the held process itself is that.
	info *os.File
	seen []Mount // in plain mode: where mounts really are
}

// hold forks the process up to its gate.
func (s *Sandbox) hold(p Process, status *os.File) (*held, error) {
	gateIn, gateOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer gateIn.Close()
	h := &held{pidfd: -1, gate: gateOut}
	files := []*os.File{p.Stdin, p.Stdout, p.Stderr, status, gateIn}
	if s.offer.mode == modePlain {
		err = s.forkPlain(h, p, files)
	} else {
		err = s.forkBubblewrap(h, p, files)
	}
	if err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// release lets the process go and returns the pid of the first process inside.
func (h *held) release() (int, error) {
	_, err := h.gate.Write(h.letGo)
	err = errors.Join(err, h.gate.Close())
	h.gate = nil
	if err != nil {
		return 0, err
	}
	if h.info == nil {
		return h.pid, nil
	}
	var said struct {
		Child int `json:"child-pid"`
	}
	if err := json.NewDecoder(h.info).Decode(&said); err != nil || said.Child <= 0 {
		return 0, errHeld
	}
	return said.Child, nil
}

// abort ends a process that is not wanted any more, reaps it, and returns why.
func (h *held) abort(why error) error {
	_ = unix.Kill(h.pid, unix.SIGKILL)
	for {
		if _, err := syscall.Wait4(h.pid, nil, 0, nil); !errors.Is(err, syscall.EINTR) {
			return why
		}
	}
}

// takePidfd hands the descriptor on; close leaves it alone then.
func (h *held) takePidfd() int {
	fd := h.pidfd
	h.pidfd = -1
	return fd
}

func (h *held) close() {
	if h.gate != nil {
		h.gate.Close()
	}
	if h.info != nil {
		h.info.Close()
	}
	if h.pidfd >= 0 {
		unix.Close(h.pidfd)
	}
}

// fork starts argv, whose first element is only a title, with exactly these
// files (nil: /dev/null) in a session of its own, and notes pid and pidfd.
func (h *held) fork(program string, argv, env []string, dir string, files []*os.File, terminal bool) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	fds := make([]uintptr, len(files))
	for i, file := range files {
		if file == nil {
			file = null
		}
		raw, err := file.SyscallConn()
		if err != nil {
			return err
		}
		// A command expects descriptors that block.
		if err := raw.Control(func(fd uintptr) { fds[i] = fd; _ = unix.SetNonblock(int(fd), false) }); err != nil {
			return err
		}
	}
	// What the platform itself inherited from whoever started it goes no further.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	h.pid, err = syscall.ForkExec(program, argv, &syscall.ProcAttr{
		Dir: dir, Env: env, Files: fds,
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: terminal, PidFD: &h.pidfd},
	})
	return err
}
