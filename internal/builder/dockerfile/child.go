package dockerfile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/moby/buildkit/client"
	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/builder/buildkitd"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// child is one BuildKit for one build. It is the first process of a pid
// namespace and alone in a mount and a network namespace: the kernel ends and unmounts all of
// it with that process, however that ends. Its connection ends when this
// process does, and with it the child.
type child struct {
	*client.Client
	group *sandbox.Group
	cmd   *exec.Cmd
	said  *tail
	ended chan struct{} // closed when it was waited for
	free  func()        // its network
}

// start starts a child and returns when it answers.
func (b *Builder) start(ctx context.Context, app string) (_ *child, err error) {
	if err := buildkitd.PrepareMachine(); err != nil {
		return nil, err
	}
	network, free, err := b.networks.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("network of the build: %w", err)
	}
	c := &child{free: free, said: &tail{}, ended: make(chan struct{})}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	limits := platform.Limits{MemoryBytes: b.options.MemoryBytes, Processes: 2 * b.options.Processes}
	if c.group, err = sandbox.NewGroup(b.groupOf(app), limits); err != nil {
		return nil, err
	}
	conn, err := c.fork(b, b.config(app, network))
	if err != nil {
		return nil, err
	}
	if c.Client, err = connect(ctx, conn); err != nil {
		return nil, err
	}
	return c, c.await(ctx)
}

// fork starts the process: it waits for its configuration, which comes when it
// is in its group.
func (c *child) fork(b *Builder, config buildkitd.Config) (net.Conn, error) {
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	c.cmd = exec.Command(b.options.Command[0], b.options.Command[1:]...) //nolint:noctx // it ends by its connection
	c.cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + config.Root}, b.options.Env...)
	c.cmd.Dir = "/"
	c.cmd.Stdout, c.cmd.Stderr = c.said, c.said
	machine, err := os.Open("/proc/self/ns/net")
	if err != nil {
		_ = ours.Close()
		return nil, err
	}
	defer machine.Close()
	c.cmd.ExtraFiles = []*os.File{theirs, machine} // buildkitd.ConnectionFD and MachineFD
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNET, Unshareflags: unix.CLONE_NEWNS}
	// What it leaves running with its output open does not keep anybody.
	c.cmd.WaitDelay = time.Second
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		_ = ours.Close()
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		c.cmd = nil
		_ = ours.Close()
		return nil, fmt.Errorf("start buildkitd: %w", err)
	}
	go func() {
		defer close(c.ended)
		_ = c.cmd.Wait() // how it ended is told by who asks
	}()
	err = c.group.Add(c.cmd.Process.Pid)
	calm(c.cmd.Process.Pid)
	if err == nil {
		err = b.networks.join(config.Network, c.cmd.Process.Pid)
	}
	if err == nil {
		_, err = stdin.Write(text)
	}
	if err = errors.Join(err, stdin.Close()); err != nil {
		_ = ours.Close()
	}
	return ours, err
}

func socketPair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	conn, err := net.FileConn(ours)
	_ = ours.Close() // conn is a copy
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return conn, theirs, nil
}

// calm gives the child, and all that it starts, what others leave of processor
// and disk, and makes it go before others when memory is full.
func calm(pid int) {
	// A kernel that does not take it is no reason to stop.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("500"), 0)
	_ = unix.Setpriority(unix.PRIO_PGRP, pid, 19)
	const whoGroup, classIdle = 2, 3 << 13 // ioprio_set(2)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, whoGroup, uintptr(pid), classIdle)
}

// connect makes a client of the one connection.
func connect(ctx context.Context, conn net.Conn) (*client.Client, error) {
	once := make(chan net.Conn, 1)
	once <- conn
	c, err := client.New(ctx, "unix:///buildkitd", client.WithContextDialer(func(context.Context, string) (net.Conn, error) {
		select {
		case conn := <-once:
			return conn, nil
		default:
			return nil, errGone
		}
	}))
	if err != nil {
		_ = conn.Close()
	}
	return c, err
}

// errGone: the connection ended, and with it the child.
var errGone = errors.New("buildkitd ended")

// startPatience bounds the time until a child answers: it opens its databases
// and looks at the file system, on a busy machine.
const startPatience = time.Minute

func (c *child) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	go func() {
		select {
		case <-c.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	if _, err := c.Info(ctx); err != nil {
		c.settle()
		return fmt.Errorf("buildkitd does not answer: %w: %s", err, c.said)
	}
	return nil
}

// stopPatience bounds the time in which a child may end by itself.
const stopPatience = 5 * time.Second

// stop ends the child and returns when nothing of it is left: no process, no
// mount, no network, no group.
func (c *child) stop() {
	if c.Client != nil {
		_ = c.Close()
	}
	if c.cmd != nil {
		select {
		case <-c.ended:
		case <-time.After(stopPatience):
			_ = c.cmd.Process.Kill()
			<-c.ended
		}
	}
	if c.group != nil {
		c.group.Kill()
		c.group.Remove()
	}
	c.free()
}

// crashed reports whether the child ended while it was wanted.
func (c *child) crashed() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// settle waits a moment for the end of a child whose connection broke, which
// comes just after.
func (c *child) settle() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := c.Info(ctx); err == nil {
		return
	}
	select {
	case <-c.ended:
	case <-ctx.Done():
	}
}

// tail keeps the last of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const maxTail = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-maxTail):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.text))
}
