// Command slow holds thousands of slow clients against a router and prints what
// they cost it, what other apps notice, and how each of them ends. See bench/slow.
package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// kind is a way to be slow.
type kind struct {
	name   string
	count  int
	begin  string // what a client says at once
	drip   string // and then now and then
	every  time.Duration
	reads  bool // it reads what it is told
	status string
}

var kinds = []kind{
	{"a byte of a head now and then", 15000, "GET / HTTP/1.1\r\nHost: slow.test\r\nX-Slow: ", "x", 2 * time.Second, true, "408"},
	{"a body slower than it may be", 8000, "POST / HTTP/1.1\r\nHost: slow.test\r\nContent-Length: 100000\r\n\r\n", "x", 5 * time.Second, true, "408"},
	{"a small body that never comes", 8000, "POST / HTTP/1.1\r\nHost: slow.test\r\nContent-Length: 1000\r\n\r\nx", "x", 5 * time.Second, true, "408"},
	{"an answer that nobody takes", 8000, "GET /large HTTP/1.1\r\nHost: slow.test\r\n\r\n", "", 0, false, ""},
}

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "app":
		err = app()
	case len(os.Args) == 3 && os.Args[1] == "edge":
		err = edge(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == "ask":
		err = ask(os.Args[2])
	default:
		err = measure(strings.Join(os.Args[1:], " "))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/slow:", err)
		os.Exit(1)
	}
}

// app answers with little, or with a megabyte, and takes any body.
func app() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	large := strings.Repeat("x", 1<<20)
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // slow clients are the point
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/large" {
			w.Header().Set("Content-Length", strconv.Itoa(len(large)))
			_, _ = io.WriteString(w, large)
			return
		}
		_, _ = io.WriteString(w, "hello")
	}))
}

// edge is a router as `slipway node` has it, before an app at an address.
func edge(address string) error {
	loops := max(1, runtime.NumCPU()/2)
	runtime.GOMAXPROCS(runtime.NumCPU() + loops)
	r := router.New(slog.New(slog.DiscardHandler), router.Options{Loops: loops})
	for _, name := range []string{"slow", "quick"} {
		r.SetRoute(name, &platform.Route{App: name, Hosts: []string{name + ".test"}, Release: 1, Backends: []platform.Backend{{Instance: name, Address: address}}})
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return r.Serve(ln)
}

// start runs this program as another part, and returns where it listens.
func start(args ...string) (cmd *exec.Cmd, addr string, err error) {
	cmd = exec.CommandContext(context.Background(), os.Args[0], args...) //nolint:gosec // itself
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	addr, err = bufio.NewReader(out).ReadString('\n')
	return cmd, strings.TrimSpace(addr), err
}

func measure(part string) error {
	runtime.LockOSThread() // whose end would end the others
	fmt.Printf("%-32s %6s %8s %8s %9s %9s %9s  %s\n", "", "", "KB each", "CPU s", "p99 alone", "p99 ms", "ended s", "how they ended")
	for _, k := range kinds {
		if strings.Contains(k.name, part) {
			if err := hold(k); err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
		}
	}
	return nil
}

// hold has the clients of a kind be slow until the router ends them.
func hold(k kind) error {
	behind, address, err := start("app")
	if err != nil {
		return err
	}
	defer end(behind)
	front, addr, err := start("edge", address)
	if err != nil {
		return err
	}
	defer end(front)
	p99, err := asking(addr)
	if err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	alone := p99()
	if p99, err = asking(addr); err != nil {
		return err
	}
	before, began := pss(front.Process.Pid), time.Now()
	ends := newEnds()
	for range k.count {
		conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", addr)
		if err != nil {
			return err
		}
		ends.all.Go(func() { ends.be(conn, k) })
	}
	stop := make(chan struct{})
	most := make(chan int, 1)
	go func() { most <- highest(front.Process.Pid, stop) }()
	ends.all.Wait()
	took := time.Since(began)
	close(stop)
	fmt.Printf("%-32s %6d %8.1f %8.1f %9s %9s %9.0f  %s\n", k.name, k.count, float64(<-most-before)/float64(k.count),
		cpu(front.Process.Pid), alone, p99(), took.Seconds(), ends)
	return nil
}

func end(cmd *exec.Cmd) { _, _ = cmd.Process.Kill(), cmd.Wait() }

// ends are how the slow clients ended.
type ends struct {
	mu  sync.Mutex
	how map[string]int
	all sync.WaitGroup
}

// asking has a process of its own ask the other app until p99 is called.
func asking(addr string) (p99 func() string, err error) {
	cmd := exec.CommandContext(context.Background(), os.Args[0], "ask", addr) //nolint:gosec // itself
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return func() string {
		_, _ = in.Close(), cmd.Wait()
		return out.String()
	}, cmd.Start()
}

// ask asks the other app 200 times a second until its input ends, and prints the
// p99 in milliseconds.
func ask(addr string) error {
	stop := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); close(stop) }()
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	rd, ticker := bufio.NewReader(conn), time.NewTicker(5*time.Millisecond)
	defer ticker.Stop()
	var took []float64
	for {
		began := time.Now()
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: quick.test\r\n\r\n")
		res, err := http.ReadResponse(rd, nil)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		took = append(took, time.Since(began).Seconds()*1e3)
		select {
		case <-ticker.C:
		case <-stop:
			slices.Sort(took)
			fmt.Printf("%.1f", took[len(took)*99/100])
			return nil
		}
	}
}
