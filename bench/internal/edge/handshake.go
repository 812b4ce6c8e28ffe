package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/bench/internal/proc"
)

// errNotSpoken: the proxy does not know what a row is about.
var errNotSpoken = errors.New("not spoken")

// full is connections that ask for one thing each and begin from nothing, all
// with this one version and key exchange, so that they are the same to every proxy.
func full(version uint16, exchange tls.CurveID) func(proxy, time.Duration) (sample, error) {
	return func(p proxy, d time.Duration) (sample, error) { return visits(p, d, version, exchange, nil) }
}

// resumed is the same for clients that were there before.
func resumed(p proxy, d time.Duration) (sample, error) {
	return visits(p, d, tls.VersionTLS13, tls.X25519, tls.NewLRUClientSessionCache(1))
}

// visitors is how many come at a time.
const visitors = 16

func visits(p proxy, d time.Duration, version uint16, exchange tls.CurveID, sessions tls.ClientSessionCache) (sample, error) {
	config := &tls.Config{
		MinVersion: version, MaxVersion: version,
		InsecureSkipVerify: true, ServerName: host, NextProtos: []string{"http/1.1"}, //nolint:gosec // its own certificate
		CurvePreferences:   []tls.CurveID{exchange, tls.CurveP256}, // OpenSSL looks there for the certificate's curve
		ClientSessionCache: sessions,
	}
	if by, err := visit(p, config); err != nil || by.CurveID != exchange {
		return sample{}, cmp.Or(err, errNotSpoken)
	}
	ctx, end := context.WithTimeout(context.Background(), d)
	defer end()
	var mu sync.Mutex
	var all sync.WaitGroup
	var took []time.Duration
	var s sample
	before, began := proc.CPU(p.pids...), time.Now()
	for range visitors {
		all.Go(func() {
			for ctx.Err() == nil {
				at := time.Now()
				state, err := visit(p, config)
				mu.Lock()
				if took = append(took, time.Since(at)); err != nil || state.DidResume != (sessions != nil) {
					s.failed++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	s.cpu, s.requests = proc.CPU(p.pids...)-before, len(took)
	s.rate = float64(s.requests) / time.Since(began).Seconds()
	slices.Sort(took)
	s.p50, s.p99 = took[len(took)/2], took[len(took)*99/100]
	return s, nil
}

// visit connects, asks once, and reads until it is closed.
func visit(p proxy, config *tls.Config) (tls.ConnectionState, error) {
	raw, err := dialer.DialContext(context.Background(), "tcp", p.secure)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer raw.Close()
	_ = raw.(*net.TCPConn).SetLinger(0) // or its port is not free for long
	conn := tls.Client(raw, config)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n"); err != nil {
		return tls.ConnectionState{}, err
	}
	answer, err := io.ReadAll(conn)
	if err == nil && len(answer) < 1024 {
		err = fmt.Errorf("%d bytes came", len(answer))
	}
	return conn.ConnectionState(), err
}
