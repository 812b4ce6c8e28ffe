package buildkitd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/moby/buildkit/util/grpcerrors"
)

// The descriptors of the child: its one connection, and the machine's network
// namespace.
const (
	ConnectionFD = 3
	MachineFD    = 4
)

// maxConfig bounds the configuration, in bytes.
const maxConfig = 1 << 20

// Serve is the whole life of the child: it blocks until the connection ends or
// ctx does. It must be the first process of a pid namespace and alone in a
// mount and a network namespace, as dockerfile.Builder starts it; it changes both.
func Serve(ctx context.Context, config io.Reader) error {
	if os.Getpid() != 1 || os.Geteuid() != 0 {
		return errors.New("buildkitd is started by slipway serve, not by hand")
	}
	var c Config
	if err := json.NewDecoder(io.LimitReader(config, maxConfig)).Decode(&c); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	file := os.NewFile(ConnectionFD, "connection")
	conn, err := net.FileConn(file)
	if err != nil {
		return fmt.Errorf("connection: %w", err)
	}
	_ = file.Close() // conn is a copy
	defer conn.Close()
	if err := prepare(c); err != nil {
		return err
	}
	if err := configure(c.Network); err != nil {
		return fmt.Errorf("network of the build: %w", err)
	}
	unix.CloseOnExec(MachineFD)
	own, err := os.Open("/proc/self/ns/net")
	if err != nil {
		return fmt.Errorf("network of the build: %w", err)
	}
	defer own.Close()
	space := &space{own: own, machine: os.NewFile(MachineFD, "machine"), processes: c.Processes}
	stop := make(chan struct{})
	controller, err := newController(c, space, stop)
	if err != nil {
		return err
	}
	server := grpc.NewServer(
		grpc.UnaryInterceptor(grpcerrors.UnaryServerInterceptor), grpc.StreamInterceptor(grpcerrors.StreamServerInterceptor),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
	)
	controller.Register(server)
	only := oneConnection(conn)
	go func() {
		select {
		case <-ctx.Done():
		case <-only.ended:
		}
		close(stop)
		time.AfterFunc(endPatience, func() { os.Exit(1) }) // and the kernel ends the rest
		server.Stop()
	}()
	_ = server.Serve(only) // ends with the connection, whatever it says
	return controller.Close()
}

// nameServers puts those the build's network reaches in the place of the
// machine's, which may listen on its loopback.
func nameServers(n Network, dir string) error {
	servers := n.DNS
	if len(servers) == 0 {
		servers = []netip.Addr{netip.AddrFrom4([4]byte{8, 8, 8, 8}), netip.AddrFrom4([4]byte{1, 1, 1, 1})}
	}
	var text strings.Builder
	for _, server := range servers {
		fmt.Fprintln(&text, "nameserver", server)
	}
	file := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
		return err
	}
	if err := unix.Mount(file, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("name servers: %w", err)
	}
	return nil
}

// endPatience bounds the time a child takes to end.
const endPatience = 4 * time.Second

// maxMessage is what BuildKit's own daemon and client allow.
const maxMessage = 16 << 20

// prepare makes the process tree's own view of the machine: its own /proc, and
// a place for runc's state that is gone with the child.
func prepare(c Config) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Mount("runc", runcState, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=700,size=64m"); err != nil {
		return fmt.Errorf("mount %s: %w", runcState, err)
	}
	// On the disk, under a short name: a socket's path may have 107 bytes.
	temporary, short := filepath.Join(c.Root, "tmp"), filepath.Join(runcState, ".tmp")
	if err := errors.Join(os.RemoveAll(temporary), os.Mkdir(temporary, 0o700), os.Mkdir(short, 0o700)); err != nil {
		return err
	}
	if err := unix.Mount(temporary, short, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("temporary directory: %w", err)
	}
	if err := os.Setenv("TMPDIR", short); err != nil {
		return err
	}
	if err := nameServers(c.Network, temporary); err != nil {
		return err
	}
	if c.FileBytes > 0 {
		// The steps inherit it.
		limit := unix.Rlimit{Cur: uint64(c.FileBytes), Max: uint64(c.FileBytes)}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			return fmt.Errorf("limit the size of files: %w", err)
		}
	}
	return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// runcState is where runc keeps what it knows of its containers.
const runcState = "/run/runc"

// PrepareMachine makes what a child needs to find on the machine.
func PrepareMachine() error { return os.MkdirAll(runcState, 0o711) }

// single is a listener of one connection; it is closed when that is.
type single struct {
	next  chan net.Conn
	ended chan struct{}
	end   func()
	at    net.Addr
}

func oneConnection(conn net.Conn) *single {
	s := &single{next: make(chan net.Conn, 1), ended: make(chan struct{}), at: conn.LocalAddr()}
	s.end = sync.OnceFunc(func() { close(s.ended) })
	s.next <- telling{conn, s.end}
	return s
}

func (s *single) Accept() (net.Conn, error) {
	select {
	case conn := <-s.next:
		return conn, nil
	case <-s.ended:
		return nil, net.ErrClosed
	}
}

func (s *single) Close() error   { s.end(); return nil }
func (s *single) Addr() net.Addr { return s.at }

// telling is a connection that tells of its end.
type telling struct {
	net.Conn
	end func()
}

func (t telling) Close() error {
	defer t.end()
	return t.Conn.Close()
}
