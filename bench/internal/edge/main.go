// Command edge measures proxies in front of one backend, turn by turn, and
// prints each figure beside the first one's as a ratio. See bench/router.
package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/bench/internal/proc"
)

// proxy is one of those measured: NAME,HTTP,HTTPS,PID[,PID...].
type proxy struct {
	name, plain, secure string
	pids                []int
}

func parse(arg string) (proxy, error) {
	words := strings.Split(arg, ",")
	if len(words) < 4 {
		return proxy{}, fmt.Errorf("%q is not NAME,HTTP,HTTPS,PID", arg)
	}
	p := proxy{name: words[0], plain: words[1], secure: words[2]}
	for _, word := range words[3:] {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return p, err
		}
		p.pids = append(p.pids, pid)
	}
	return p, nil
}

const host = "bench.localhost"

// sample is what one turn of one proxy came to.
type sample struct {
	requests, failed int
	cpu              time.Duration
	rate             float64 // requests a second
	p50, p99         time.Duration
}

// kind is one row of the table.
type kind struct {
	name string
	run  func(p proxy, d time.Duration) (sample, error)
	// per is what CPU is given for: 100,000 requests, or a gigabyte.
	per   string
	scale float64
}

var kinds = []kind{
	{"plain", plain, "100k", 1e5},
	{"plain at 3000/s", plainFixed, "100k", 1e5},
	{"TLS kept", secure, "100k", 1e5},
	{"TLS 1.3 handshakes", full(tls.VersionTLS13, tls.X25519), "100k", 1e5},
	{"TLS 1.2 handshakes", full(tls.VersionTLS12, tls.X25519), "100k", 1e5},
	{"TLS resumed", resumed, "100k", 1e5},
	{"TLS handshakes by X25519MLKEM768, which nginx and haproxy do not know", full(tls.VersionTLS13, tls.X25519MLKEM768), "100k", 1e5},
	{"HTTP/2", http2, "100k", 1e5},
	{"HTTP/2 at 3000/s", http2Fixed, "100k", 1e5},
	{"100 MB bodies", bodies, "GB", 10},
	{"100 MB over TLS", secureBodies, "GB", 10},
}

func main() {
	rounds, err := strconv.Atoi(os.Args[1])
	seconds, err2 := strconv.Atoi(os.Args[2])
	if err != nil || err2 != nil || rounds < 1 || seconds < 1 {
		fail(fmt.Errorf("rounds and seconds are numbers above 0"))
	}
	var proxies []proxy
	for _, arg := range os.Args[4:] {
		p, err := parse(arg)
		if err != nil {
			fail(err)
		}
		proxies = append(proxies, p)
	}
	for _, h := range holds {
		if os.Args[3] == h.name {
			memory(proxies, h.name, h.count, h.open)
			return
		}
	}
	for _, k := range kinds {
		if wanted(k.name) {
			measure(k, proxies, rounds, time.Duration(seconds)*time.Second)
		}
	}
}

// wanted reports whether the third argument, a part of names, asks for a row.
func wanted(name string) bool { return os.Args[3] == "" || strings.Contains(name, os.Args[3]) }

func measure(k kind, proxies []proxy, rounds int, d time.Duration) {
	taken := make([][]sample, len(proxies))
	for range rounds {
		for i, p := range proxies {
			s, err := k.run(p, d)
			if errors.Is(err, errNotSpoken) {
				continue
			}
			if err != nil {
				fail(fmt.Errorf("%s, %s: %w", k.name, p.name, err))
			}
			taken[i] = append(taken[i], s)
		}
	}
	fmt.Printf("\n%s\n%-12s %14s %8s %10s %8s %9s %9s %8s %7s\n", k.name, "", "CPU s/"+k.per, "x nginx", "requests/s", "x nginx", "p50 ms", "p99 ms", "PSS MB", "failed")
	var first sample
	for i, p := range proxies {
		if len(taken[i]) == 0 {
			fmt.Printf("%-12s %14s\n", p.name, "-")
			continue
		}
		m := median(taken[i], k.scale)
		if i == 0 {
			first = m
		}
		fmt.Printf("%-12s %14.2f %8.2f %10.0f %8.2f %9.2f %9.2f %8.1f %7d\n", p.name,
			m.cpu.Seconds(), ratio(m.cpu.Seconds(), first.cpu.Seconds()), m.rate, ratio(m.rate, first.rate),
			ms(m.p50), ms(m.p99), float64(proc.PSS(p.pids...))/1024, m.failed)
	}
}

// median takes each figure's own median; cpu becomes that of scale requests,
// and failed is the sum.
func median(of []sample, scale float64) sample {
	middle := func(value func(sample) float64) float64 {
		var all []float64
		for _, s := range of {
			all = append(all, value(s))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	var m sample
	for _, s := range of {
		m.failed += s.failed
	}
	m.cpu = time.Duration(middle(func(s sample) float64 { return float64(s.cpu) / float64(max(s.requests, 1)) * scale }))
	m.rate = middle(func(s sample) float64 { return s.rate })
	m.p50 = time.Duration(middle(func(s sample) float64 { return float64(s.p50) }))
	m.p99 = time.Duration(middle(func(s sample) float64 { return float64(s.p99) }))
	return m
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench/router:", err)
	os.Exit(1)
}
