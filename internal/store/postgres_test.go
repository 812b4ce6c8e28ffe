package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// cluster is a PostgreSQL server of the test binary's own, on a unix socket in
// a temporary directory. It starts with the first test that asks for a database.
type cluster struct {
	start   sync.Once
	err     error
	dir     string
	process *exec.Cmd
	count   atomic.Int64
}

var server cluster

func TestMain(m *testing.M) {
	childMain()
	code := m.Run()
	server.stop()
	os.Exit(code)
}

// database makes a fresh one, a schema of its own in the one database of the
// server, and returns its url; without PostgreSQL on this machine the test is
// skipped.
func (c *cluster) database(t testing.TB) string {
	t.Helper()
	c.start.Do(func() { c.err = c.run() })
	if c.err != nil {
		if errors.Is(c.err, errNotInstalled) {
			t.Skip(c.err)
		}
		t.Fatal(c.err)
	}
	name := fmt.Sprintf("slipway%d", c.count.Add(1))
	db, err := sql.Open("pgx", c.url("public"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE SCHEMA "+name); err != nil {
		t.Fatal(err)
	}
	return c.url(name)
}

func (c *cluster) url(schema string) string {
	return "postgres://postgres@/postgres?" + url.Values{"host": {c.dir}, "search_path": {schema}}.Encode()
}

var errNotInstalled = errors.New("PostgreSQL is not installed: apt-get install postgresql")

func (c *cluster) run() error {
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(programs) == 0 {
		return errNotInstalled
	}
	bin := filepath.Dir(programs[len(programs)-1])
	// Not t.TempDir: a unix socket's path is at most 107 bytes.
	if c.dir, err = os.MkdirTemp("", "slipway-pg"); err != nil {
		return err
	}
	credential, err := c.handOver()
	if err != nil {
		return err
	}
	data := filepath.Join(c.dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	initdb.Dir = c.dir
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	c.process = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", c.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=16MB")
	c.process.SysProcAttr = &syscall.SysProcAttr{Credential: credential, Pdeathsig: syscall.SIGQUIT}
	c.process.Dir = c.dir
	if err := c.process.Start(); err != nil {
		return err
	}
	return c.awaitReady()
}

// handOver gives the directory to somebody PostgreSQL runs for: it refuses root.
func (c *cluster) handOver() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	postgres, err := user.Lookup("postgres")
	if err != nil {
		return nil, errNotInstalled
	}
	uid, _ := strconv.Atoi(postgres.Uid)
	gid, _ := strconv.Atoi(postgres.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(c.dir, uid, gid)
}

func (c *cluster) awaitReady() error {
	db, err := sql.Open("pgx", c.url("public"))
	if err != nil {
		return err
	}
	defer db.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := db.Ping()
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

func (c *cluster) stop() {
	if c.process != nil {
		_ = c.process.Process.Signal(syscall.SIGINT) // fast shutdown
		_ = c.process.Wait()
	}
	if c.dir != "" {
		_ = os.RemoveAll(c.dir)
	}
}

func containsSecret(text string) bool { return strings.Contains(text, "secret") }
