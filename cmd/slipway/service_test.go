package main_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-paas/slipway/internal/porttest"
	"github.com/slipway-paas/slipway/internal/postgrestest"
	"github.com/slipway-paas/slipway/internal/stacktest"
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
	port, err := porttest.Free(1)
	ts.Check(err)
	address := "127.0.0.1:" + strconv.Itoa(port)
	keep(ts, exec.Command("redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--save", "", "--dir", ts.MkAbs(".")), syscall.SIGTERM)
	await(ts, func() error {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err
	})
	return "redis://" + address + "/0"
}

func startPostgres(ts *testscript.TestScript) string {
	server := new(postgrestest.Server)
	ts.Defer(server.Stop)
	url, err := server.Start()
	ts.Check(err)
	return url
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
	deadline := time.Now().Add(patience)
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
		return postgrestest.Installed(), nil
	case "flask":
		return exec.Command("/usr/bin/python3", "-c", "import flask, redis, prometheus_client").Run() == nil, nil
	case "debootstrap":
		return stacktest.Possible(), nil
	case "dockerfiles":
		return buildsDockerfiles(), nil
	case "golang":
		return hasToolchain("/usr/local/go/bin/go"), nil
	case "node":
		return hasToolchain("/usr/bin/node", "/usr/lib/node_modules/npm/bin/npm-cli.js"), nil
	case "containers":
		return hasPrograms("containerd", "runc", "iptables") && os.Geteuid() == 0, nil
	case "http2":
		said, err := exec.Command("curl", "--version").Output()
		return err == nil && slices.Contains(strings.Fields(string(said)), "HTTP2"), nil
	}
	return false, fmt.Errorf("no condition %q", name)
}
