package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// bench is a run of the table.
type bench struct {
	dir      string
	port     int
	surge    time.Duration
	capacity float64 // requests a second
	unloaded time.Duration
	results  []result
}

const (
	calm      = 3 * time.Second // before the surge, at half the capacity
	after     = 4 * time.Second // it, at 0.7 of it
	afterLoad = 0.7
)

func newBench(port int, surge time.Duration) (*bench, error) {
	for _, tool := range []string{"nginx", "haproxy"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%s is not installed: apt-get install %s", tool, tool)
		}
	}
	dir, err := os.MkdirTemp("", "slipway-surge.")
	return &bench{dir: dir, port: port, surge: surge}, err
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

func (b *bench) address(i int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port+i)) }

// start runs a command until the function it returns is called.
func start(cmd *exec.Cmd, address string) (stop func(), err error) {
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() { _, _ = cmd.Process.Kill(), cmd.Wait() }
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := ready(ctx, "http://"+address+"/up"); err != nil {
		stop()
		return nil, errors.Join(fmt.Errorf("%s does not answer", cmd.Path), err)
	}
	return stop, nil
}

func (b *bench) app() (address string, stop func(), err error) {
	address = b.address(0)
	stop, err = start(exec.CommandContext(context.Background(), os.Args[0], "app", "-listen", address), address)
	return address, stop, err
}

// measure finds out what the app can do, and how long it takes when it has
// little to do, both with nothing in between.
func (b *bench) measure() error {
	address, stop, err := b.app()
	if err != nil {
		return err
	}
	defer stop()
	full := newClients(address)
	nominal := workers / service.Seconds()
	done := full.run(func(time.Duration) float64 { return 0.3 * nominal }, 8*time.Second)
	b.unloaded = percentile(latencies(done), 0.99)
	begun, served := time.Now(), make(chan int)
	for range workers { // closed loop: each worker always has one
		go func() {
			n, c := 0, newClients(address)
			for time.Since(begun) < 5*time.Second {
				if c.ask(context.Background(), 0, 0) {
					n++
				}
			}
			served <- n
		}()
	}
	total := 0
	for range workers {
		total += <-served
	}
	b.capacity = float64(total) / time.Since(begun).Seconds()
	return nil
}

// one offers a system a surge of times the capacity, and prints its row.
func (b *bench) one(s system, times float64) error {
	app, stopApp, err := b.app()
	if err != nil {
		return err
	}
	defer stopApp()
	listen := b.address(1)
	stop, err := start(s.command(context.Background(), b, listen, app), listen)
	if err != nil {
		return err
	}
	defer stop()
	clients := newClients(listen)
	clients.run(func(t time.Duration) float64 {
		switch {
		case t < calm:
			return 0.5 * b.capacity
		case t < calm+b.surge:
			return times * b.capacity
		}
		return afterLoad * b.capacity
	}, calm+b.surge+after)
	r := b.judge(s, times, clients)
	b.results = append(b.results, r)
	r.print()
	return nil
}

func latencies(done []outcome) (ok []time.Duration) {
	for _, o := range done {
		if o.ok {
			ok = append(ok, o.latency)
		}
	}
	return ok
}

func percentile(all []time.Duration, share float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(int(share*float64(len(all))), len(all)-1)]
}
