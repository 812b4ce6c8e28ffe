package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/bench/internal/proc"
)

const connections = "64"

var dialer net.Dialer

func plain(p proxy, d time.Duration) (sample, error) {
	return wrk(p, d, "http://"+p.plain+"/")
}

func secure(p proxy, d time.Duration) (sample, error) {
	return wrk(p, d, "https://"+p.secure+"/")
}

var (
	wrkTotal   = regexp.MustCompile(`(\d+) requests in ([\d.]+)(ms|s|m)`)
	wrkLatency = regexp.MustCompile(`(50|99)%\s+([\d.]+)(us|ms|s)`)
	wrkBad     = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	wrkErrors  = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
)

// wrk asks as fast as answers come, on one thread.
func wrk(p proxy, d time.Duration, url string) (sample, error) {
	args := []string{"-t1", "-c" + connections, "-d" + strconv.Itoa(int(d.Seconds())) + "s", "--latency", "-H", "Host: " + host, url}
	before := proc.CPU(p.pids...)
	out, err := exec.CommandContext(context.Background(), "wrk", args...).CombinedOutput()
	s := sample{cpu: proc.CPU(p.pids...) - before}
	if err != nil {
		return s, fmt.Errorf("wrk: %w: %s", err, out)
	}
	total := wrkTotal.FindSubmatch(out)
	if total == nil {
		return s, fmt.Errorf("wrk said %s", out)
	}
	s.requests, _ = strconv.Atoi(string(total[1]))
	took, _ := time.ParseDuration(string(total[2]) + string(total[3]))
	s.rate = float64(s.requests) / took.Seconds()
	for _, m := range wrkLatency.FindAllSubmatch(out, -1) {
		at, _ := time.ParseDuration(string(m[2]) + string(m[3]))
		if string(m[1]) == "50" {
			s.p50 = at
		} else {
			s.p99 = at
		}
	}
	if m := wrkBad.FindSubmatch(out); m != nil {
		s.failed, _ = strconv.Atoi(string(m[1]))
	}
	if m := wrkErrors.FindSubmatch(out); m != nil {
		for _, text := range m[1:] {
			n, _ := strconv.Atoi(string(text))
			s.failed += n
		}
	}
	return s, nil
}

func http2(p proxy, d time.Duration) (sample, error) {
	return h2load(p, "https", p.secure, "-c16", "-m8", "-n"+strconv.Itoa(int(d.Seconds()*2*fixedRate)))
}

// fixedRate is the load of the rows that do not ask as fast as they can.
const fixedRate = 3000

func plainFixed(p proxy, d time.Duration) (sample, error) {
	return h2load(p, "http", p.plain, "--h1", "-c"+connections, "-m1", atRate(64), "-n"+strconv.Itoa(int(d.Seconds()*fixedRate)))
}

func http2Fixed(p proxy, d time.Duration) (sample, error) {
	return h2load(p, "https", p.secure, "-c16", "-m8", atRate(16), "-n"+strconv.Itoa(int(d.Seconds()*fixedRate)))
}

// atRate is each of the connections' share of fixedRate.
func atRate(connections float64) string { return fmt.Sprintf("--rps=%.3f", fixedRate/connections) }

var (
	h2Rate  = regexp.MustCompile(`finished in [^,]+, ([\d.]+) req/s`)
	h2Total = regexp.MustCompile(`requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
	h2Codes = regexp.MustCompile(`status codes: (\d+) 2xx`)
)

func h2load(p proxy, scheme, address string, more ...string) (sample, error) {
	dir, err := os.MkdirTemp("", "slipway-h2load")
	if err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(dir)
	log := filepath.Join(dir, "log")
	args := append([]string{"-t1", "--log-file=" + log}, more...)
	before := proc.CPU(p.pids...)
	out, err := exec.CommandContext(context.Background(), "h2load", append(args, "--connect-to="+address, scheme+"://"+host+"/")...).CombinedOutput()
	s := sample{cpu: proc.CPU(p.pids...) - before}
	if err != nil {
		return s, fmt.Errorf("h2load: %w: %s", err, out)
	}
	total, codes, rate := h2Total.FindSubmatch(out), h2Codes.FindSubmatch(out), h2Rate.FindSubmatch(out)
	if total == nil || codes == nil || rate == nil {
		return s, fmt.Errorf("h2load said %s", out)
	}
	done, _ := strconv.Atoi(string(total[3]))
	well, _ := strconv.Atoi(string(codes[1]))
	s.failed = done - well
	s.rate, _ = strconv.ParseFloat(string(rate[1]), 64)
	return s, s.readLog(log)
}

// readLog takes what h2load wrote of each request: start, status, microseconds.
func (s *sample) readLog(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	var took []int
	for lines := bufio.NewScanner(file); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 3 {
			continue
		}
		us, err := strconv.Atoi(words[2])
		if err != nil {
			return err
		}
		took = append(took, us)
	}
	if len(took) == 0 {
		return fmt.Errorf("h2load wrote no request down")
	}
	slices.Sort(took)
	s.requests = len(took)
	s.p50 = time.Duration(took[len(took)/2]) * time.Microsecond
	s.p99 = time.Duration(took[len(took)*99/100]) * time.Microsecond
	return nil
}

func bodies(p proxy, d time.Duration) (sample, error) { return fetch(p, "http://"+p.plain+"/big") }
func secureBodies(p proxy, d time.Duration) (sample, error) {
	return fetch(p, "https://"+p.secure+"/big")
}

// fetch takes 100 MB five times, one after the other.
func fetch(p proxy, url string) (sample, error) {
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: host}, //nolint:gosec // its own certificate
		ReadBufferSize:  1 << 18,
	}}
	defer client.CloseIdleConnections()
	s := sample{requests: 5}
	before, began := proc.CPU(p.pids...), time.Now()
	for range s.requests {
		n, err := get(client, url)
		if err != nil || n != 100<<20 {
			return s, fmt.Errorf("%d bytes came: %w", n, err)
		}
	}
	s.cpu = proc.CPU(p.pids...) - before
	s.rate = float64(s.requests) / time.Since(began).Seconds()
	return s, nil
}

func get(client *http.Client, url string) (int64, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	req.Host = host
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	return io.Copy(io.Discard, res.Body)
}

// holds are what open connections are measured as.
var holds = []struct {
	name  string
	count int
	open  func(proxy) (net.Conn, error)
}{{"open idle", 9_900, idle}, {"open TLS", 2_000, idleTLS}, {"open HTTP/2", 2_000, idle2}, {"open WebSockets", 1_000, webSocket}}

// memory prints what open connections cost. Its processes must be fresh: what
// they have freed before would be used again.
func memory(proxies []proxy, name string, count int, open func(proxy) (net.Conn, error)) {
	fmt.Printf("\n%s, %d of them\n%-12s %14s %8s\n", name, count, "", "KB each", "x nginx")
	first := 0.0
	for i, p := range proxies {
		kb, err := costOf(p, count, open)
		if err != nil {
			fail(fmt.Errorf("%s: %w", p.name, err))
		}
		if i == 0 {
			first = kb
		}
		fmt.Printf("%-12s %14.1f %8.2f\n", p.name, kb, ratio(kb, first))
	}
}

// settle is how long connections rest until they are looked at: memory that opening
// them took goes back when nothing happens for a while.
const settle = 6 * time.Second

// costOf opens count connections, lets them settle, and gives the KB each.
func costOf(p proxy, count int, open func(proxy) (net.Conn, error)) (float64, error) {
	before := proc.PSS(p.pids...)
	for range count {
		conn, err := open(p)
		if err != nil {
			return 0, err
		}
		defer conn.Close()
	}
	time.Sleep(settle)
	return float64(proc.PSS(p.pids...)-before) / float64(count), nil
}

// idle is a connection that was answered once.
func idle(p proxy) (net.Conn, error) {
	conn, err := dialer.DialContext(context.Background(), "tcp", p.plain)
	if err != nil {
		return nil, err
	}
	return conn, once(conn)
}

func idleTLS(p proxy) (net.Conn, error) {
	secure := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, ServerName: host, NextProtos: []string{"http/1.1"}}} //nolint:gosec // its own certificate
	conn, err := secure.DialContext(context.Background(), "tcp", p.secure)
	if err != nil {
		return nil, err
	}
	return conn, once(conn)
}

func once(conn net.Conn) error {
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); err != nil {
		return err
	}
	answer := make([]byte, 0, 4096)
	for !bytes.HasSuffix(answer, []byte("xxxx")) || len(answer) < 1024 {
		n, err := conn.Read(answer[len(answer):cap(answer)])
		if err != nil {
			return err
		}
		answer = answer[:len(answer)+n]
	}
	return nil
}

func webSocket(p proxy) (net.Conn, error) {
	conn, err := dialer.DialContext(context.Background(), "tcp", p.plain)
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: "+host+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if err != nil {
		return nil, err
	}
	if err := until(conn, "\r\n\r\n"); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, "hello"); err != nil {
		return nil, err
	}
	return conn, until(conn, "hello")
}

// until reads up to what ends with the text.
func until(conn net.Conn, text string) error {
	var answer []byte
	for buf := make([]byte, 1024); !bytes.HasSuffix(answer, []byte(text)); {
		n, err := conn.Read(buf)
		if err != nil {
			return fmt.Errorf("%w after %q", err, answer)
		}
		answer = append(answer, buf[:n]...)
	}
	return nil
}
