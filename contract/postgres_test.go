package contract_test

import (
	"net/url"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// startPostgres runs a PostgreSQL server until the test is over and returns
// its URL; without one on this machine the test is skipped.
func startPostgres(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is well formed
	if len(found) == 0 {
		t.Skip("PostgreSQL is not installed: apt-get install postgresql")
	}
	programs := filepath.Dir(found[len(found)-1])
	dir, err := os.MkdirTemp("", "slipway-pg") // short: its socket lives in it
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	servant := &syscall.SysProcAttr{Credential: owner(t, dir)}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(programs, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = dir, servant
	if said, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, said)
	}
	server := exec.Command(filepath.Join(programs, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "shared_buffers=16MB")
	server.Dir, server.SysProcAttr = dir, servant
	must(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGQUIT) // it may have ended
		_ = server.Wait()                          // by the signal
	})
	for deadline := time.Now().Add(30 * time.Second); exec.Command(filepath.Join(programs, "pg_isready"), "-q", "-h", dir).Run() != nil; {
		if time.Now().After(deadline) {
			t.Fatal("PostgreSQL does not answer")
		}
	}
	return "postgres://postgres@/postgres?" + url.Values{"host": {dir}}.Encode()
}

// owner is whom PostgreSQL runs as, who then owns the directory: it refuses root.
func owner(t *testing.T, dir string) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	postgres, err := osuser.Lookup("postgres")
	must(t, err)
	uid, err := strconv.Atoi(postgres.Uid)
	must(t, err)
	gid, err := strconv.Atoi(postgres.Gid)
	must(t, err)
	must(t, os.Chown(dir, uid, gid))
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
