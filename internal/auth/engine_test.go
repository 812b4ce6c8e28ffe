package auth_test

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
	"syscall"
	"testing"
	"time"
)

// onEach runs a test on a fresh database of each engine.
func onEach(t *testing.T, registration string, test func(r rig)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(newRig(t, registration)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		postgres.start.Do(func() { postgres.err = postgres.run() })
		if errors.Is(postgres.err, errNotInstalled) {
			t.Skip(postgres.err)
		} else if postgres.err != nil {
			t.Fatal(postgres.err)
		}
		test(openRig(t, registration, postgres.database(t)))
	})
}

// cluster is a PostgreSQL server of the test binary's own, on a unix socket in
// a temporary directory. It starts with the first test that asks for a database.
type cluster struct {
	start   sync.Once
	err     error
	bin     string
	dir     string
	process *exec.Cmd
	count   int
}

var postgres cluster

func TestMain(m *testing.M) {
	code := m.Run()
	postgres.stop()
	slapd.stop()
	os.Exit(code)
}

var errNotInstalled = errors.New("not installed: scripts/deps --all")

func (c *cluster) run() error {
	programs, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is well formed
	if len(programs) == 0 {
		return fmt.Errorf("PostgreSQL: %w", errNotInstalled)
	}
	c.bin = filepath.Dir(programs[len(programs)-1])
	var err error
	// Not t.TempDir: a unix socket's path is at most 107 bytes.
	if c.dir, err = os.MkdirTemp("", "slipway-pg"); err != nil {
		return err
	}
	as, err := c.handOver()
	if err != nil {
		return err
	}
	data := filepath.Join(c.dir, "data")
	initdb := exec.Command(filepath.Join(c.bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = c.dir, &syscall.SysProcAttr{Credential: as}
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	c.process = exec.Command(filepath.Join(c.bin, "postgres"), "-D", data, "-k", c.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB")
	c.process.Dir, c.process.SysProcAttr = c.dir, &syscall.SysProcAttr{Credential: as, Pdeathsig: syscall.SIGQUIT}
	if err := c.process.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		output, err := c.psql("SELECT 1")
		if err == nil {
			return nil
		} else if time.Now().After(deadline) {
			return fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, output)
		}
	}
}

// handOver gives the directory to somebody PostgreSQL runs for: it refuses root.
func (c *cluster) handOver() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	them, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(them.Uid)
	gid, _ := strconv.Atoi(them.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(c.dir, uid, gid)
}

func (c *cluster) psql(statement string) ([]byte, error) {
	return exec.Command(filepath.Join(c.bin, "psql"), "-h", c.dir, "-U", "postgres", "-c", statement).CombinedOutput()
}

// database makes a fresh one, a schema of its own, and returns its url.
func (c *cluster) database(t *testing.T) string {
	t.Helper()
	c.count++
	name := fmt.Sprintf("slipway%d", c.count)
	if output, err := c.psql("CREATE SCHEMA " + name); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return "postgres://postgres@/postgres?" + url.Values{"host": {c.dir}, "search_path": {name}}.Encode()
}

func (c *cluster) stop() {
	if c.process != nil {
		_ = c.process.Process.Signal(syscall.SIGINT) // fast shutdown
		_ = c.process.Wait()
	}
	_ = os.RemoveAll(c.dir)
}
