// Package postgrestest is handed nothing, runs a real PostgreSQL server for a
// test binary, on a unix socket in a temporary directory, and hands on the URLs
// of fresh databases on it.
package postgrestest

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// ErrNotInstalled means that this machine has no PostgreSQL.
var ErrNotInstalled = errors.New("PostgreSQL is not installed: apt-get install postgresql")

// Server is one server. The zero Server starts with the first call that needs
// it, and is ended by Stop. Safe for concurrent use.
type Server struct {
	start   sync.Once
	err     error
	bin     string
	dir     string
	process *exec.Cmd
	count   atomic.Int64
}

// Installed reports whether there are PostgreSQL's programs on this machine.
func Installed() bool { return programs() != "" }

// programs is the directory of the newest PostgreSQL's programs, or nothing.
func programs() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is well formed
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

// Start starts the server if it does not run, blocks until it answers, and
// returns the URL of its own database.
func (s *Server) Start() (string, error) {
	s.start.Do(func() { s.err = s.run() })
	return s.url(url.Values{}), s.err
}

// Database makes a fresh one, a schema of its own, and returns its URL. Without
// PostgreSQL on this machine the test is skipped.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	if _, err := s.Start(); errors.Is(err, ErrNotInstalled) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("slipway%d", s.count.Add(1))
	if said, err := s.psql("CREATE SCHEMA " + name); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return s.url(url.Values{"search_path": {name}})
}

// Stop ends the server and removes what it wrote. One that never started is no error.
func (s *Server) Stop() {
	if s.process != nil && s.process.Process != nil {
		_ = s.process.Process.Signal(syscall.SIGINT) // fast shutdown; it may have ended
		_ = s.process.Wait()                         // by the signal
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

func (s *Server) url(query url.Values) string {
	query.Set("host", s.dir)
	return "postgres://postgres@/postgres?" + query.Encode()
}

func (s *Server) run() (err error) {
	if s.bin = programs(); s.bin == "" {
		return ErrNotInstalled
	}
	// Not t.TempDir: a unix socket's path is at most 107 bytes.
	if s.dir, err = os.MkdirTemp("", "slipway-pg"); err != nil {
		return err
	}
	credential, err := s.handOver()
	if err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	initdb := exec.Command(filepath.Join(s.bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: credential}
	if said, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, said)
	}
	s.process = exec.Command(filepath.Join(s.bin, "postgres"), "-D", data, "-k", s.dir,
		"-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=16MB")
	s.process.Dir, s.process.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: credential, Pdeathsig: syscall.SIGQUIT}
	if err := s.process.Start(); err != nil {
		return err
	}
	return s.awaitReady()
}

// handOver gives the directory to somebody PostgreSQL runs for: it refuses root.
func (s *Server) handOver() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	them, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(them.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(them.Gid)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(s.dir, uid, gid)
}

func (s *Server) awaitReady() error {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		said, err := s.psql("SELECT 1")
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, said)
		}
	}
}

func (s *Server) psql(statement string) ([]byte, error) {
	return exec.Command(filepath.Join(s.bin, "psql"), "-h", s.dir, "-U", "postgres", "-c", statement).CombinedOutput()
}
