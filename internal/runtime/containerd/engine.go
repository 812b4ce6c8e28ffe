package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/client"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/slipway-paas/slipway/internal/platform"
)

// machineSocket is where Debian's service listens.
const machineSocket = "/run/containerd/containerd.sock"

// engine is the containerd that is used: the machine's, or one of our own,
// which is begun when it is first needed and again when it dies.
type engine struct {
	log       *slog.Logger
	dir       string // of our own
	socket    string
	own       bool
	namespace string
	client    *client.Client

	starting sync.Mutex
	stop     context.CancelFunc
	life     context.Context
	owned    sync.WaitGroup
}

// newEngine chooses; nothing is started yet. socket may be empty.
func newEngine(log *slog.Logger, dir, socket, namespace string) (*engine, error) {
	e := &engine{log: log, dir: dir, socket: socket, namespace: namespace}
	if e.socket == "" && answers(machineSocket) {
		e.socket = machineSocket
	}
	if e.socket == "" {
		e.own, e.socket = true, filepath.Join(dir, "containerd.sock")
		if len(e.socket) > maxSocketPath {
			e.socket = filepath.Join(runDir(namespace), "containerd.sock")
		}
	}
	var err error
	e.client, err = client.New(e.socket, client.WithDefaultNamespace(namespace), client.WithDialOpts([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", e.socket)
		}),
	}))
	if err != nil {
		return nil, err
	}
	e.life, e.stop = context.WithCancel(context.Background())
	return e, nil
}

// maxSocketPath leaves room for the suffix of containerd's second socket in
// what sockaddr_un holds.
const maxSocketPath = 100

// close lets go of containerd, which runs on.
func (e *engine) close() error {
	e.stop()
	e.owned.Wait()
	return e.client.Close()
}

func answers(socket string) bool {
	conn, err := net.Dial("unix", socket) //nolint:noctx // answers or refuses at once
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// startPatience bounds the wait for a containerd that begins.
const startPatience = 30 * time.Second

// serving returns once containerd serves, having started our own if need be,
// and again if it is killed meanwhile.
func (e *engine) serving(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		if _, err = e.client.Version(ctx); err == nil {
			return nil
		}
		if !e.own || e.life.Err() != nil {
			break
		}
		if err := e.run(ctx); err != nil {
			return err
		}
		wait(ctx, 10*time.Millisecond)
	}
	return &platform.UserError{
		Kind: platform.ErrUnavailable, Message: fmt.Sprintf("containerd does not answer at %s: %v", e.socket, errors.Join(err, ctx.Err())),
		Cure: e.cure(),
	}
}

func (e *engine) cure() string {
	if e.own {
		return "Read " + e.logPath() + "."
	}
	return "Start it, or leave --containerd away: the node then starts one of its own."
}

func (e *engine) logPath() string { return filepath.Join(e.dir, "containerd.log") }

// run starts our own containerd unless it runs. Two nodes at a time, one
// taking over from the other, start one.
func (e *engine) run(ctx context.Context) error {
	e.starting.Lock()
	defer e.starting.Unlock()
	if answers(e.socket) {
		return nil
	}
	if err := os.MkdirAll(e.dir, 0o711); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(e.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	// One that a node began as it was killed is about to answer. Two would
	// fight for one database.
	for _, pid := range e.processes() {
		if e.awaitOwn(ctx, ended(pid)) != nil {
			e.log.Warn("containerd does not answer and is killed", "pid", pid)
			_ = unix.Kill(pid, unix.SIGKILL)
			awaitEnd(ctx, pid)
		}
	}
	if answers(e.socket) {
		return nil
	}
	return e.spawn(ctx)
}

func (e *engine) configPath() string { return filepath.Join(e.dir, "config.toml") }

// processes are those of our own containerd, whether they answer or not.
func (e *engine) processes() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		line, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err != nil || !strings.HasSuffix(string(line), "\x00--config\x00"+e.configPath()+"\x00") {
			continue
		}
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// ended is closed once the process is gone.
func ended(pid int) <-chan struct{} {
	gone := make(chan struct{})
	go func() { awaitEnd(context.Background(), pid); close(gone) }()
	return gone
}

// config is for containerd 1.6 and later. The parts that are off are those of
// others: Kubernetes' and snapshotters that need devices.
const config = `version = 2
root = %q
state = %q
oom_score = -500
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = %q
[debug]
  level = "warn"
[plugins."io.containerd.gc.v1.scheduler"]
  startup_delay = "2s"
`

func (e *engine) spawn(ctx context.Context) error {
	program, err := exec.LookPath("containerd")
	if err != nil {
		return fmt.Errorf("containerd is not installed: %w", platform.ErrUnavailable)
	}
	text := fmt.Sprintf(config, filepath.Join(e.dir, "root"), filepath.Join(e.dir, "state"), e.socket)
	path := e.configPath()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(e.socket), 0o700); err != nil {
		return err
	}
	output, err := e.openLog()
	if err != nil {
		return err
	}
	defer output.Close()
	cmd := exec.Command(program, "--config", path) //nolint:noctx // it outlives us
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start containerd: %w", err)
	}
	ended := make(chan struct{})
	go func() { // ends with containerd, which may outlive us
		_ = cmd.Wait()
		close(ended)
	}()
	e.log.Info("containerd was started", "pid", cmd.Process.Pid)
	return e.awaitOwn(ctx, ended)
}

const maxLog = 10 << 20

// openLog begins the log anew when it has grown.
func (e *engine) openLog() (*os.File, error) {
	if info, err := os.Stat(e.logPath()); err == nil && info.Size() > maxLog {
		_ = os.Rename(e.logPath(), e.logPath()+".old")
	}
	return os.OpenFile(e.logPath(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

func (e *engine) awaitOwn(ctx context.Context, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for !answers(e.socket) {
		select {
		case <-ended:
			return fmt.Errorf("containerd ended at once: %s: %w", e.lastWords(), platform.ErrUnavailable)
		case <-ctx.Done():
			return fmt.Errorf("containerd does not begin; see %s: %w", e.logPath(), ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

func (e *engine) lastWords() string {
	file, err := os.Open(e.logPath())
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	size, _ := file.Seek(0, io.SeekEnd)
	text, _ := io.ReadAll(io.NewSectionReader(file, max(0, size-500), 500)) // only for the message
	return string(text)
}

// guard starts our own containerd again whenever it dies, until close.
func (e *engine) guard() {
	if !e.own {
		return
	}
	e.owned.Go(func() {
		for e.life.Err() == nil {
			if pid, err := listener(e.socket); err == nil {
				awaitEnd(e.life, pid)
			}
			if e.life.Err() != nil {
				return
			}
			e.log.Warn("containerd is gone, starting another")
			if err := e.run(e.life); err != nil && e.life.Err() == nil {
				e.log.Error("no containerd", "err", err)
				wait(e.life, time.Second)
			}
		}
	})
}

// retire ends our own containerd.
func (e *engine) retire(ctx context.Context) error {
	if !e.own {
		return nil
	}
	e.stop()
	e.owned.Wait()
	patience, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, pid := range e.processes() {
		if err := unix.Kill(pid, unix.SIGTERM); err != nil {
			return fmt.Errorf("end containerd: %w", err)
		}
		if !awaitEnd(patience, pid) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	return nil
}

// listener is the process that listens at a unix socket.
func listener(socket string) (int, error) {
	conn, err := net.Dial("unix", socket) //nolint:noctx // answers or refuses at once
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if failed != nil {
		return 0, failed
	}
	return int(peer.Pid), nil
}

// awaitEnd returns true once the process is gone, false when ctx ended first.
// It holds no thread meanwhile.
func awaitEnd(ctx context.Context, pid int) bool {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK) // so that Go's poller takes it
	if err != nil {
		return true
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	defer file.Close()
	defer context.AfterFunc(ctx, func() { file.Close() })()
	raw, err := file.SyscallConn()
	if err == nil {
		err = raw.Read(func(fd uintptr) bool {
			ready, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			return err == nil && ready > 0
		})
	}
	return err == nil
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
