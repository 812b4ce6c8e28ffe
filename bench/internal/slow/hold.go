package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-paas/slipway/bench/internal/proc"
)

// part is a process of the measurement; it ends when its input does.
type part struct {
	cmd  *exec.Cmd
	in   io.Closer
	out  *bufio.Reader
	addr string // where it listens, if it does
}

// Slow clients and what they are slow to are run beside the rest of the machine,
// and whom the measurement is about before it, where that is allowed: so neither
// the clients' own work nor anybody else's is what is measured.
const (
	aside = "0"
	first = "-15"
)

// start runs a command as a part.
func start(nice, name string, args ...string) (*part, error) {
	cmd := exec.CommandContext(context.Background(), "nice", append([]string{"-n", nice, name}, args...)...) //nolint:gosec // a part
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &part{cmd: cmd, in: in, out: bufio.NewReader(out)}, cmd.Start()
}

// listening runs this program as a part that says where it listens.
func listening(nice string, args ...string) (*part, error) {
	p, err := start(nice, os.Args[0], args...)
	if err == nil {
		p.addr, err = p.line()
	}
	return p, err
}

func (p *part) line() (string, error) {
	line, err := p.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

func (p *part) end() { _, _ = p.cmd.Process.Kill(), p.cmd.Wait() }

// rest has the part end by itself, and is what it had to say.
func (p *part) rest() (string, error) {
	if err := p.in.Close(); err != nil {
		return "", err
	}
	text, err := io.ReadAll(p.out)
	if err != nil {
		return "", err
	}
	return string(text), p.cmd.Wait()
}

// outcome is what one kind of slow clients was to one proxy.
type outcome struct {
	each                  float64 // KB
	cpu                   float64 // ms a second
	alone, coming, beside float64 // p99 of the other app's, ms
	took                  time.Duration
	ended                 string
}

// aloneFor is for how long the other app is asked with no slow client there, and
// nginxFor for how long they are there: it does not end them all.
const (
	aloneFor = 6 * time.Second
	nginxFor = 12 * time.Second
)

// hold has the clients of a kind be slow until the proxy ends them.
func hold(k *kind, proxy func(slow, quick string) (*front, error)) (res outcome, err error) {
	slow, err := listening(aside, "app")
	if err != nil {
		return res, err
	}
	defer slow.end()
	quick, err := listening(first, "app")
	if err != nil {
		return res, err
	}
	defer quick.end()
	before, err := proxy(slow.addr, quick.addr)
	if err != nil {
		return res, err
	}
	defer before.end()
	asker, err := start(first, os.Args[0], "ask", before.addr)
	if err != nil {
		return res, err
	}
	defer asker.end()
	time.Sleep(aloneFor)
	memory := proc.PSS(before.pids...)
	began, ran := time.Now(), proc.CPU(before.pids...)
	clients, err := start(aside, os.Args[0], "crowd", k.name, strconv.Itoa(k.count), before.addr)
	if err != nil {
		return res, err
	}
	defer clients.end()
	if said, err := clients.line(); err != nil || said != "there" {
		return res, fmt.Errorf("the clients did not come: %s %w", said, err)
	}
	came := time.Now()
	stop, most := make(chan struct{}), make(chan int, 1)
	go func() { most <- before.highest(stop) }()
	if before.ends {
		res.ended, err = clients.line()
	} else {
		time.Sleep(nginxFor)
	}
	if err != nil {
		return res, err
	}
	res.took = time.Since(began)
	res.cpu = (proc.CPU(before.pids...) - ran).Seconds() * 1e3 / res.took.Seconds()
	close(stop)
	res.each = float64(<-most-memory) / float64(k.count)
	text, err := asker.rest()
	if err != nil {
		return res, err
	}
	res.alone = p99(text, time.Time{}, began)
	res.coming, res.beside = p99(text, began, came), p99(text, came, began.Add(res.took))
	return res, nil
}

// p99 is that of the requests which were due in a time, of lines of when and how
// long, in milliseconds.
func p99(text string, from, to time.Time) float64 {
	var took []float64
	for line := range strings.Lines(text) {
		var at int64
		var ms float64
		if _, err := fmt.Sscan(line, &at, &ms); err == nil && at >= from.UnixMicro() && at < to.UnixMicro() {
			took = append(took, ms)
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}
