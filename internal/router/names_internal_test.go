//go:build !race

package router

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Names that nobody has leave nothing behind: no entry of a cache, no series, no
// line of the log, whether they come in a handshake or in a head.
func TestAMillionNamesThatNobodyHasLeaveNothing(t *testing.T) {
	var lines strings.Builder
	r := New(slog.New(slog.NewTextHandler(&lines, nil)), Options{})
	defer r.Close()
	r.SetEdge(platform.EdgeState{OnDemand: true, ControlHosts: []string{"slipway.test"}})
	r.SetRoute("app-0", benchRoute(0, 1))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = r.Serve(ln) }() // ends with Close
	ask := asker(t, ln.Addr().String())
	hello := func(name string) {
		hello := &tls.ClientHelloInfo{ServerName: name, SupportedVersions: []uint16{tls.VersionTLS13}}
		if _, err := r.configFor(hello); err != nil {
			t.Fatal(err)
		}
		if _, err := r.certificate(hello); !errors.Is(err, errNoCertificate) {
			t.Fatal(name, err)
		}
	}
	const inHeads, inHandshakes = 100_000, 1_000_000
	name := func(i int) string { return fmt.Sprintf("name-%d.stranger.test", i) }
	ask(name(0))
	hello(name(0))
	before, said := heap(), len(scraped(t, r))
	for i := range inHandshakes {
		hello(name(i))
	}
	for i := range inHeads {
		ask(name(inHandshakes + i))
	}
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("%d bytes are held", grown)
	}
	if now := len(scraped(t, r)); now > said+1024 { // numbers that grew
		t.Errorf("the metrics grew from %d bytes to %d", said, now)
	}
	if asked := r.Asked(); len(asked) != 0 || len(r.Problems()) != 0 || lines.Len() > 0 {
		t.Errorf("asked for: %v, problems: %v, log: %.300s", asked, r.Problems(), lines.String())
	}
}

// asker asks for one host after another on one connection, and wants 404s.
func asker(t *testing.T, addr string) func(host string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	in := bufio.NewReader(conn)
	return func(host string) {
		if _, err := fmt.Fprintf(conn, "HEAD / HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(in, &http.Request{Method: http.MethodHead})
		if err != nil || res.StatusCode != http.StatusNotFound {
			t.Fatal(res, err)
		}
	}
}

// Names of an app's own wildcard may be a million too: what is asked for, and
// how long it is told to the control plane, is bounded.
func TestAMillionNamesOfAnAppsWildcardAreAskedForWithinBounds(t *testing.T) {
	r := New(slog.New(slog.DiscardHandler), Options{})
	defer r.Close()
	r.onDemand.on.Store(true)
	wild := benchRoute(0, 1)
	wild.Hosts = []string{"*.shop.test", "*"}
	for i := range 2 * maxAsked {
		wild.Hosts = append(wild.Hosts, fmt.Sprintf("name-%d.example.test", i))
	}
	r.SetRoute("app-0", wild)
	before := heap()
	for i := range 1_000_000 {
		for _, host := range []string{fmt.Sprintf("name-%d.shop.test", i), fmt.Sprintf("name-%d.example.test", i)} {
			if name, app, ok := r.certifiable(host); ok {
				r.onDemand.ask(name, app)
			}
		}
	}
	if grown := heap() - before; len(r.Asked()) != maxAsked || grown > 1<<20 {
		t.Errorf("%d names are asked for, %d bytes are held", len(r.Asked()), grown)
	}
}
