package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// forkBubblewrap forks bwrap(1), which reads its options from the gate: until
// they come it has done nothing. As root the fork happens on a thread with a
// mount namespace of its own that holds the overlays; they vanish with it.
func (s *Sandbox) forkBubblewrap(h *held, p Process, files []*os.File) error {
	infoOut, infoIn, err := os.Pipe()
	if err != nil {
		return err
	}
	defer infoIn.Close()
	h.info = infoOut
	files = append(files, infoIn)
	if p.Root == "" {
		passwd, group, err := accounts(p)
		if err != nil {
			return err
		}
		defer passwd.Close()
		defer group.Close()
		files = append(files, passwd, group)
	}
	bwrap, err := lookPath("bwrap")
	if err != nil {
		return err
	}
	fork := func() error {
		p, err := s.view(p)
		if err != nil {
			return err
		}
		options, err := s.bubblewrapOptions(p)
		if err != nil {
			return err
		}
		h.letGo = zeroEnded(options)
		p = s.unprivileged(p)
		argv := append([]string{title(p.Name), "--args", strconv.Itoa(gateFD), "--"}, p.Argv...)
		return h.fork(bwrap, argv, p.Env, "/", files, false)
	}
	if s.offer.mode != modeRoot {
		return fork()
	}
	return onOwnThread(func() error {
		if err := ownMounts(); err != nil {
			return err
		}
		return fork()
	})
}

// title is what ps shows of a sandbox, and how its first process is told from
// another that got the same pid.
func title(name string) string { return "slipway:" + name }

// view replaces each mount with scratch by a writable view of its source.
func (s *Sandbox) view(p Process) (Process, error) {
	mounts := make([]Mount, len(p.Mounts))
	copy(mounts, p.Mounts)
	for i, m := range mounts {
		if m.Scratch == "" {
			continue
		}
		source := filepath.Join(m.Scratch, "view")
		var err error
		if s.offer.mode == modeRoot {
			source, err = overlay(m)
		} else if err = os.Mkdir(source, 0o700); err == nil {
			err = copyTree(m.Source, source)
		}
		if err != nil {
			return p, err
		}
		mounts[i] = Mount{Source: source, Target: m.Target, Writable: true}
	}
	p.Mounts = mounts
	return p, nil
}

// unprivileged returns p with its environment sealed and, in front of its
// command, what takes every privilege away.
func (s *Sandbox) unprivileged(p Process) Process {
	if p.Root != "" {
		return s.beginning(p)
	}
	p = sealed(p)
	p.Argv = append(s.privileges(p), p.Argv...)
	return p
}

// privileges is the command in front of the process's own that takes every
// privilege away: inside, so that bubblewrap still has them.
func (s *Sandbox) privileges(p Process) []string {
	var argv []string
	if p.Terminal {
		argv = append(argv, "/usr/bin/setsid", "--ctty")
	}
	if s.offer.mode == modeRoot {
		argv = append(argv, setpriv(p.UID)...)
	}
	return argv
}

// setpriv changes to the uid for good: no capability, no group, no way back.
func setpriv(uid int) []string {
	id := strconv.Itoa(uid)
	return []string{
		"/usr/bin/setpriv", "--reuid", id, "--regid", id, "--clear-groups",
		"--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--",
	}
}

func (s *Sandbox) bubblewrapOptions(p Process) ([]string, error) {
	options := []string{
		"--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--new-session",
		"--json-status-fd", strconv.Itoa(statusFD), "--info-fd", strconv.Itoa(infoFD),
	}
	if s.offer.mode == modeUser {
		options = append(options, "--unshare-user")
	}
	if p.OwnNetwork {
		options = append(options, "--unshare-net")
	}
	files, err := s.files(p)
	if err != nil {
		return nil, err
	}
	options = append(options, files...)
	for _, m := range p.Mounts {
		how := "--ro-bind"
		if m.Writable {
			how = "--bind"
		}
		options = append(options, how, m.Source, m.Target)
	}
	dir := p.Dir
	if dir == "" {
		dir = "/"
	}
	return append(options, "--chdir", dir), nil
}

// files show everything but the Mounts.
func (s *Sandbox) files(p Process) ([]string, error) {
	own := []string{
		"--proc", "/proc", "--dev", "/dev",
		"--perms", "1777", "--tmpfs", "/dev/shm",
		"--perms", "1777", "--tmpfs", "/tmp",
		"--dir", "/run",
	}
	if p.Root != "" {
		options, err := rootOptions(p.Root)
		return append(own, options...), err
	}
	options := append(machineOptions(),
		"--perms", "0444", "--ro-bind-data", strconv.Itoa(passwdFD), "/etc/passwd",
		"--perms", "0444", "--ro-bind-data", strconv.Itoa(groupFD), "/etc/group",
	)
	options = append(append(options, own...), "--dir", "/var", "--symlink", "../tmp", "/var/tmp", "--symlink", "../run", "/var/run")
	for _, dir := range s.hide {
		if belowShown(dir) {
			options = append(options, "--tmpfs", dir)
		}
	}
	return options, nil
}

// machineOptions show the machine's own programs and settings, read-only.
func machineOptions() []string {
	options := []string{"--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc", "--ro-bind-try", "/opt", "/opt"}
	for _, dir := range []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"} {
		if target, err := os.Readlink(dir); err == nil {
			options = append(options, "--symlink", target, dir)
		} else if _, err := os.Stat(dir); err == nil {
			options = append(options, "--ro-bind", dir, dir)
		}
	}
	// Often a link to what systemd-resolved or a DHCP client writes in /run.
	if resolv, err := filepath.EvalSymlinks("/etc/resolv.conf"); err == nil && !strings.HasPrefix(resolv, "/etc/") {
		options = append(options, "--ro-bind", resolv, resolv)
	}
	return options
}

// belowShown reports whether the folder is there and would be seen.
func belowShown(dir string) bool {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return false
	}
	for _, shown := range []string{"/usr/", "/etc/", "/opt/"} {
		if strings.HasPrefix(dir, shown) {
			return true
		}
	}
	return false
}

// accounts are the passwd and group files seen inside: programs such as psql
// and ssh refuse to run as a uid without a name.
func accounts(p Process) (passwd, group *os.File, err error) {
	id := p.UID
	if os.Geteuid() != 0 {
		id = os.Geteuid()
	}
	home := "/"
	for _, entry := range p.Env {
		if value, ok := strings.CutPrefix(entry, "HOME="); ok && !strings.ContainsAny(value, ":\n") {
			home = value
		}
	}
	passwd, err = memoryFile("passwd", fmt.Sprintf("root:x:0:0:root:/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\napp:x:%d:%d:app:%s:/bin/bash\n", id, id, home))
	if err != nil {
		return nil, nil, err
	}
	group, err = memoryFile("group", fmt.Sprintf("root:x:0:\nnogroup:x:65534:\napp:x:%d:\n", id))
	if err != nil {
		passwd.Close()
		return nil, nil, err
	}
	return passwd, group, nil
}

// memoryFile is a file that exists only in memory, read from its start.
func memoryFile(name, text string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := f.Seek(0, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// zeroEnded is how bwrap --args wants its options.
func zeroEnded(options []string) []byte {
	return []byte(strings.Join(options, "\x00") + "\x00")
}
