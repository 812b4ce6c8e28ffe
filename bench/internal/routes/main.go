// Command routes measures the router's table: bench/routes says what.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

func main() {
	fmt.Printf("%-10s %12s %12s %14s %14s %10s %10s\n", "hosts", "MB", "load ms", "live ms p50", "live ms p99", "changes", "failed")
	for _, arg := range os.Args[1:] {
		n, err := strconv.Atoi(arg)
		if err == nil && n >= 10 {
			err = measure(n)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench/routes: %q: %v\n", arg, err)
			os.Exit(1)
		}
	}
}

// says is an instance that answers its name.
func says(name string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
}

func address(s *httptest.Server) string { return s.Listener.Addr().String() }

func route(i, release int, at string) platform.Route {
	app := "app" + strconv.Itoa(i)
	return platform.Route{App: app, Hosts: []string{app + ".bench.test"}, Release: release, Backends: []platform.Backend{{Instance: app + "-" + at, Address: at}}}
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1e6
}

func measure(n int) error {
	a, b := says("a"), says("b")
	defer a.Close()
	defer b.Close()
	before := heap()
	r := router.New(slog.New(slog.DiscardHandler), router.Options{Loops: 1})
	loaded := load(r, n, address(a))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = r.Serve(ln) }() // ends with Close
	defer r.Close()
	memory := heap() - before
	live, err := liveAfter(r, ln.Addr().String(), address(a), address(b))
	if err != nil {
		return err
	}
	changes, failed, err := whileChanging(r, ln.Addr().String(), n, address(a), address(b))
	if err != nil {
		return err
	}
	fmt.Printf("%-10d %12.1f %12.1f %14.3f %14.3f %10d %10d\n", n, memory, ms(loaded), ms(live[len(live)/2]), ms(live[len(live)*99/100]), changes, failed)
	return nil
}

// load gives the router n routes, and returns how long it took.
func load(r *router.Router, n int, to string) time.Duration {
	routes := make([]platform.Route, n)
	for i := range routes {
		routes[i] = route(i, 1, to)
	}
	began := time.Now()
	r.SetAll(platform.EdgeState{}, routes)
	return time.Since(began)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// client keeps a connection to one app of the edge.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	req  []byte
}

func dial(edge string, app int) (*client, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(context.Background(), "tcp", edge)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReader(conn), fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: app%d.bench.test\r\n\r\n", app)}, nil
}

func (c *client) ask() (string, error) {
	if _, err := c.conn.Write(c.req); err != nil {
		return "", err
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, body)
	}
	return string(body), err
}

// liveAfter is how long after a change began the first request goes by it.
func liveAfter(r *router.Router, edge, a, b string) ([]time.Duration, error) {
	c, err := dial(edge, 0)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	var all []time.Duration
	for i := range 200 {
		to, want := b, "b"
		if i%2 == 1 {
			to, want = a, "a"
		}
		next := route(0, i+2, to)
		began := time.Now()
		r.SetRoute(next.App, &next)
		for got := ""; got != want; {
			if got, err = c.ask(); err != nil {
				return nil, err
			}
		}
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return all, nil
}

// whileChanging changes a thousand routes a second for three seconds under load
// on the very apps that change, and counts the requests that failed.
func whileChanging(r *router.Router, edge string, n int, a, b string) (changes int, failed int64, err error) {
	var bad atomic.Int64
	done, ended := make(chan struct{}), make(chan error, 8)
	for i := range 8 {
		c, err := dial(edge, i%n)
		if err != nil {
			return 0, 0, err
		}
		go func() {
			defer c.conn.Close()
			for {
				select {
				case <-done:
					ended <- nil
					return
				default:
				}
				if _, err := c.ask(); err != nil {
					bad.Add(1)
					if c, err = dial(edge, i%n); err != nil {
						ended <- err
						return
					}
				}
			}
		}()
	}
	for began := time.Now(); changes < 3000; changes++ {
		time.Sleep(time.Duration(changes)*time.Millisecond - time.Since(began)) // who is late goes on at once
		to := a
		if changes%2 == 0 {
			to = b
		}
		next := route(changes%n, 1000+changes, to)
		if changes%4 == 0 { // half of them of apps that are asked for
			next = route(changes/4%8, 1000+changes, to)
		}
		r.SetRoute(next.App, &next)
	}
	close(done)
	for range 8 {
		if e := <-ended; e != nil {
			err = e
		}
	}
	return changes, bad.Load(), err
}
