package main_test

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// serviceCommand starts a real Redis or PostgreSQL of the script's own, waits
// until it answers and puts its URL into $REDIS_URL or $SLIPWAY_DATABASE. It
// ends with the script. Without the program on this machine the script is
// skipped by its own condition, [exec:redis-server] or [postgres].
func serviceCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: service redis|postgres")
	}
	switch args[0] {
	case "redis":
		ts.Setenv("REDIS_URL", startRedis(ts))
	case "postgres":
		ts.Setenv("SLIPWAY_DATABASE", startPostgres(ts))
	default:
		ts.Fatalf("service %s: no such service", args[0])
	}
}

func startRedis(ts *testscript.TestScript) string {
	ports, err := freePorts(1)
	ts.Check(err)
	address := "127.0.0.1:" + strconv.Itoa(ports[0])
	keep(ts, exec.Command("redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(ports[0]), "--save", "", "--dir", ts.MkAbs(".")), syscall.SIGTERM)
	await(ts, func() error {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err
	})
	return "redis://" + address + "/0"
}

// postgresPrograms is the directory of the newest PostgreSQL's programs, or
// nothing.
func postgresPrograms() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is well formed
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

func startPostgres(ts *testscript.TestScript) string {
	programs := postgresPrograms()
	dir, err := os.MkdirTemp("", "slipway-pg") // short: its socket lives in it
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(dir) })
	credential := servant(ts, dir)
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(programs, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = dir, &syscall.SysProcAttr{Credential: credential}
	if said, err := initdb.CombinedOutput(); err != nil {
		ts.Fatalf("initdb: %v\n%s", err, said)
	}
	server := exec.Command(filepath.Join(programs, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "shared_buffers=16MB")
	server.Dir, server.SysProcAttr = dir, &syscall.SysProcAttr{Credential: credential}
	keep(ts, server, syscall.SIGQUIT)
	await(ts, func() error { return exec.Command(filepath.Join(programs, "pg_isready"), "-q", "-h", dir).Run() })
	return "postgres://postgres@/postgres?" + url.Values{"host": {dir}}.Encode()
}

// servant is whom PostgreSQL runs as, who then owns the directory: it refuses
// root.
func servant(ts *testscript.TestScript, dir string) *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	postgres, err := user.Lookup("postgres")
	ts.Check(err)
	uid, err := strconv.Atoi(postgres.Uid)
	ts.Check(err)
	gid, err := strconv.Atoi(postgres.Gid)
	ts.Check(err)
	ts.Check(os.Chown(dir, uid, gid))
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// keep starts a program that runs until the script ends, then gets the signal
// and is waited for.
func keep(ts *testscript.TestScript, cmd *exec.Cmd, end syscall.Signal) {
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Signal(end) // it may have ended
		_ = cmd.Wait()              // by the signal
	})
}

// await blocks until a service that was just started answers.
func await(ts *testscript.TestScript, answers func() error) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := answers()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the service does not answer: %v", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// condition answers what a script asks of the machine in brackets.
func condition(name string) (bool, error) {
	switch name {
	case "mount":
		return canMount(), nil
	case "postgres":
		return postgresPrograms() != "", nil
	case "flask":
		return exec.Command("/usr/bin/python3", "-c", "import flask, redis, prometheus_client").Run() == nil, nil
	case "http2":
		said, err := exec.Command("curl", "--version").Output()
		return err == nil && slices.Contains(strings.Fields(string(said)), "HTTP2"), nil
	}
	return false, fmt.Errorf("no condition %q", name)
}
