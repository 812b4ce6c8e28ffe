// Command upgrade is the clients of bench/upgrade: many connections that are
// idle and some that ask all the time, while somebody else replaces the node.
// For each line that it reads it asks once on every idle connection and prints
// what came of it; after "end" it prints what came of the others.
package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	plain := flag.String("plain", "", "address of HTTP")
	secure := flag.String("tls", "", "address of HTTPS")
	host := flag.String("host", "", "of the app")
	idle := flag.Int("idle", 10_000, "connections that wait: nine tenths of plain HTTP, the rest TLS, HTTP/2 and WebSockets")
	active := flag.Int("active", 500, "connections that ask all the time, a quarter of them TLS")
	every := flag.Duration("every", time.Second, "how often each of those asks")
	flag.Parse()
	b := &bench{plain: *plain, tls: *secure, host: *host}
	if err := b.run(*idle, *active, *every); err != nil {
		fmt.Fprintln(os.Stderr, "upgrade:", err)
		os.Exit(1)
	}
}

type bench struct{ plain, tls, host string }

// The kinds of connections that wait, in the order that they are told in.
var kinds = []kind{
	{"plain", func(b *bench) (conversation, error) { return b.dial(false) }},
	{"TLS", func(b *bench) (conversation, error) { return b.dial(true) }},
	{"HTTP/2", func(b *bench) (conversation, error) { return b.dial2(), nil }},
	{"WebSocket", func(b *bench) (conversation, error) { return b.dialSocket() }},
}

type kind struct {
	name string
	open func(*bench) (conversation, error)
}

// conversation is a connection to the edge.
type conversation interface {
	// ask sends a request and takes its answer. errLeft means that the edge had
	// ended the connection in its order before; last that it ends now.
	ask() (last bool, err error)
	close()
}

var errLeft = errors.New("the connection was ended before")

// waiting is a connection that waits.
type waiting struct {
	conversation
	kind int
}

func (b *bench) run(idle, active int, every time.Duration) error {
	all, err := b.openAll(idle)
	if err != nil {
		return err
	}
	var load load
	load.begin(b, active, every)
	fmt.Printf("%d idle and %d active connections\n", idle, active)
	broken := 0
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if lines.Text() == "end" {
			break
		}
		fmt.Println(lines.Text())
		broken += b.askAll(all)
	}
	failed := load.end()
	for i := range all {
		all[i].close()
	}
	if failed > 0 || broken > 0 {
		os.Exit(1)
	}
	return nil
}

func (b *bench) openAll(n int) ([]waiting, error) {
	all := make([]waiting, n)
	failed := inParallel(n, func(i int) error {
		if i%10 == 0 {
			all[i].kind = 1 + i/10%3
		}
		return b.open(&all[i])
	})
	return all, errors.Join(failed...)
}

// open connects and asks once.
func (b *bench) open(w *waiting) (err error) {
	if w.conversation, err = kinds[w.kind].open(b); err != nil {
		return err
	}
	_, err = w.ask()
	return err
}

// askAll asks on every connection, and opens those again that ended.
func (b *bench) askAll(all []waiting) (broken int) {
	const answered, last, left, broke = 0, 1, 2, 3
	var counts [4][4]atomic.Int64
	var first atomic.Pointer[error]
	failed := inParallel(len(all), func(i int) error {
		w := &all[i]
		outcome := answered
		ends, err := w.ask()
		switch {
		case errors.Is(err, errLeft):
			outcome = left
		case err != nil:
			outcome = broke
			err = fmt.Errorf("%s: %w", kinds[w.kind].name, err)
			first.CompareAndSwap(nil, &err)
		case ends:
			outcome = last
		}
		counts[w.kind][outcome].Add(1)
		if outcome == answered {
			return nil
		}
		w.close()
		return b.open(w)
	})
	for k := range kinds {
		c := &counts[k]
		fmt.Printf("  idle %-10s %6d still served, %5d served and told to reconnect, %5d ended in order before, %3d broke\n",
			kinds[k].name, c[answered].Load(), c[last].Load(), c[left].Load(), c[broke].Load())
		broken += int(c[broke].Load())
	}
	if err := first.Load(); err != nil {
		fmt.Println("  the first that broke:", *err)
	}
	if len(failed) > 0 {
		fmt.Println("  could not be opened again:", len(failed), failed[0])
	}
	return broken + len(failed)
}

// inParallel calls f for 0 to n-1, 32 at once, and returns what went wrong.
func inParallel(n int, f func(int) error) (failed []error) {
	var mu sync.Mutex
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 32 {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					mu.Lock()
					failed = append(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return failed
}

// load is the connections that ask all the time.
type load struct {
	clients      sync.WaitGroup
	stop         chan struct{}
	sent, failed atomic.Int64
	again        atomic.Int64 // connections that were told to reconnect
	longest      atomic.Int64 // an answer took
	mu           sync.Mutex
	why          map[string]int
}

func (l *load) begin(b *bench, n int, every time.Duration) {
	l.stop, l.why = make(chan struct{}), map[string]int{}
	for i := range n {
		l.clients.Go(func() {
			time.Sleep(every * time.Duration(i) / time.Duration(n))
			l.client(b, i%4 == 0, every)
		})
	}
}

func (l *load) client(b *bench, secure bool, every time.Duration) {
	var c conversation
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-l.stop:
			if c != nil {
				c.close()
			}
			return
		case <-ticks.C:
		}
		began := time.Now()
		last, err := l.once(b, &c, secure)
		l.sent.Add(1)
		for took := int64(time.Since(began)); took > l.longest.Load(); {
			l.longest.Store(took)
		}
		if err != nil {
			l.failed.Add(1)
			l.mu.Lock()
			l.why[err.Error()]++
			l.mu.Unlock()
		}
		if err != nil || last {
			l.again.Add(1)
			if c != nil {
				c.close()
			}
			c = nil
		}
	}
}

// once asks once, on a new connection if the last one has ended in its order.
func (l *load) once(b *bench, c *conversation, secure bool) (last bool, err error) {
	for try := 0; ; try++ {
		if *c == nil {
			next, err := b.dial(secure)
			if err != nil {
				return false, err
			}
			*c = next
		}
		last, err = (*c).ask()
		if try > 0 || !errors.Is(err, errLeft) {
			return last, err
		}
		l.again.Add(1)
		(*c).close()
		*c = nil
	}
}

func (l *load) end() (failed int64) {
	close(l.stop)
	l.clients.Wait()
	fmt.Printf("active: %d requests, %d failed, longest %v; %d times a client reconnected\n",
		l.sent.Load(), l.failed.Load(), time.Duration(l.longest.Load()).Round(time.Millisecond), l.again.Load())
	for why, n := range l.why {
		fmt.Printf("  %d: %s\n", n, why)
	}
	return l.failed.Load()
}

func (b *bench) trust(protocols ...string) *tls.Config {
	return &tls.Config{ServerName: b.host, InsecureSkipVerify: true, NextProtos: protocols} //nolint:gosec // it is signed by the platform's own authority
}
