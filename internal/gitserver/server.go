package gitserver

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
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Auth says who holds a credential. Both answer an error matching
// platform.ErrUnauthenticated when nobody does.
type Auth interface {
	// ByKey takes a public key in SSH wire format.
	ByKey(ctx context.Context, wire []byte) (platform.Caller, platform.Key, error)
	ByToken(ctx context.Context, token string) (platform.Caller, platform.User, error)
}

// Desk is asked before anything is done to an app, and handed what was pushed.
type Desk interface {
	// Authorize answers errors matching platform.ErrNotFound or ErrForbidden.
	Authorize(ctx context.Context, caller platform.Caller, app string) error
	Settings(ctx context.Context, caller platform.Caller, app string) (platform.Settings, error)
	// Push blocks until the source serves or is known not to. The source's
	// Tree may be opened any number of times until Push returns.
	Push(ctx context.Context, caller platform.Caller, app string, src platform.Source, out io.Writer) error
}

// Options are the door's settings.
type Options struct {
	// Dir holds the bare repositories, the host keys and the hook; it is made
	// if missing. Losing it loses the host keys, which makes every client warn.
	Dir string
	// MaxPushBytes bounds what one push may send, compressed as git sends it.
	// Default 512 MiB. A pushed pack needs as much disk below Dir.
	MaxPushBytes int64
	// Timeout bounds one push, from its first byte to the verdict. Default 40
	// minutes. When it passes, the push is rejected and its lock is free again.
	Timeout time.Duration
	// Name is the program's name in what users read. Default "slipway".
	Name string
	// MaxConnections bounds open SSH connections; one more is closed at once.
	// Default 256.
	MaxConnections int
}

func (o Options) withDefaults() Options {
	if o.MaxPushBytes == 0 {
		o.MaxPushBytes = 512 << 20
	}
	if o.Timeout == 0 {
		o.Timeout = 40 * time.Minute
	}
	if o.Name == "" {
		o.Name = "slipway"
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 256
	}
	return o
}

// maxCommands bounds the git programs that serve fetches and list refs.
const maxCommands = 16

// Server is both doors. It is an http.Handler for the git host.
type Server struct {
	log    *slog.Logger
	auth   Auth
	desk   Desk
	opts   Options
	git    git
	repos  repositories
	pushes *pushes
	ssh    *ssh.ServerConfig

	commands chan struct{} // a slot for each fetch
	upkeep   upkeep
	doors    doors
	work     sync.WaitGroup // connections, pushes, upkeep
}

// New makes Dir ready (host keys, hook) and clears what pushes of a killed
// server left in the repositories. It listens nowhere yet.
func New(log *slog.Logger, auth Auth, desk Desk, opts Options) (*Server, error) {
	opts = opts.withDefaults()
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, err
	}
	program, err := exec.LookPath("git")
	if err != nil {
		return nil, errors.New("git is not installed: install the package git and start again")
	}
	for _, sub := range []string{"repositories", "keys", "hooks"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	if err := writeHook(filepath.Join(dir, "hooks", "pre-receive"), opts.Name); err != nil {
		return nil, fmt.Errorf("git hook: %w", err)
	}
	signers, err := hostKeys(filepath.Join(dir, "keys"))
	if err != nil {
		return nil, fmt.Errorf("git host keys: %w", err)
	}
	s := &Server{
		log: log, auth: auth, desk: desk, opts: opts,
		git:      git{program: program, home: dir, hooks: filepath.Join(dir, "hooks"), maxInput: opts.MaxPushBytes},
		pushes:   newPushes(),
		commands: make(chan struct{}, maxCommands),
	}
	s.repos = repositories{dir: filepath.Join(dir, "repositories"), git: s.git}
	s.ssh = s.sshConfig(signers)
	if err := s.repos.sweepAll(); err != nil {
		return nil, fmt.Errorf("git repositories: %w", err)
	}
	return s, nil
}

// Remove deletes the repository of a destroyed app, ending a push of it that
// is still under way. An app without a repository is no error.
func (s *Server) Remove(app string) error {
	if err := platform.ValidAppID(app); err != nil {
		return err
	}
	ended := s.pushes.cancel(app)
	select {
	case <-ended:
	case <-time.After(lastWords + 2*killAfter):
		return fmt.Errorf("repository of %s: its push does not end: %w", app, platform.ErrBusy)
	}
	return s.repos.remove(app)
}

// Rename gives an app's repository to another id. ErrBusy while somebody
// pushes to either. An app without a repository is no error, and neither is
// one that was renamed already.
func (s *Server) Rename(app, id string) error {
	if err := errors.Join(platform.ValidAppID(app), platform.ValidAppID(id)); err != nil {
		return err
	}
	for _, one := range []string{app, id} {
		_, end, err := s.pushes.take(context.Background(), one)
		if err != nil {
			return fmt.Errorf("rename the repository of %s: %w", app, err)
		}
		defer end()
	}
	return s.repos.rename(app, id)
}

// Close stops listening, refuses new pushes and waits for those under way.
// When ctx ends first it rejects them, and returns ctx's error. Serving HTTP
// is stopped by whoever serves this handler.
func (s *Server) Close(ctx context.Context) error {
	s.doors.close()
	ended := s.pushes.close()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = ctx.Err()
		s.pushes.cancelAll()
		select { // until the users are told
		case <-ended:
		case <-time.After(2 * lastWords):
		}
	}
	s.doors.hangUp()
	s.upkeep.stop()
	s.work.Wait()
	return err
}

// doors are the listeners and the connections that came through them.
type doors struct {
	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]bool
	conns     map[net.Conn]bool
}

// listen reports whether the listener may be served.
func (d *doors) listen(l net.Listener) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	if d.listeners == nil {
		d.listeners = make(map[net.Listener]bool)
	}
	d.listeners[l] = true
	return true
}

// enter reports whether one more connection may come in, at most limit.
func (d *doors) enter(conn net.Conn, limit int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.conns) >= limit {
		return false
	}
	if d.conns == nil {
		d.conns = make(map[net.Conn]bool)
	}
	d.conns[conn] = true
	return true
}

func (d *doors) leave(conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, conn)
}

func (d *doors) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for l := range d.listeners {
		l.Close() // it may be closed already
	}
}

func (d *doors) hangUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for conn := range d.conns {
		conn.Close() // it may be closed already
	}
}
