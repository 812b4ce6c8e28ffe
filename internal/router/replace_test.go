package router_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// asker asks an app all the time, by one connection or a new one each time.
type asker struct {
	name   string
	client func() (rt http.RoundTripper, end func())
	kept   bool
	asked  chan error // an answer each
}

// ask goes on until stop, or until a request fails.
func (a *asker) ask(stop <-chan struct{}) {
	rt, end := a.client()
	defer func() { end() }()
	for {
		err := a.once(rt)
		select {
		case a.asked <- err:
		case <-stop:
			return
		}
		if !a.kept {
			end()
			rt, end = a.client()
		}
	}
}

func (a *asker) once(rt http.RoundTripper) error {
	req, err := http.NewRequest("GET", "https://blog.test/", http.NoBody)
	if err != nil {
		return err
	}
	res, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
		return errors.Join(err, fmt.Errorf("it was answered with %s", res.Status))
	}
	if !strings.HasPrefix(res.Proto, a.name) {
		return fmt.Errorf("it went by %s", res.Proto)
	}
	return nil
}

// askers are those of all protocols; each takes nothing but what config trusts.
func askers(t *testing.T, overTCP, overUDP string, config *tls.Config) (all []*asker) {
	udp := listenUDP(t)
	for _, kept := range []bool{true, false} {
		for _, two := range []bool{true, false} {
			all = append(all, &asker{name: map[bool]string{true: "HTTP/2", false: "HTTP/1"}[two], kept: kept, client: func() (http.RoundTripper, func()) {
				with := config.Clone()
				with.NextProtos = map[bool][]string{true: {"h2"}, false: {"http/1.1"}}[two]
				tr := &http.Transport{TLSClientConfig: with, ForceAttemptHTTP2: two, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "tcp", overTCP)
				}}
				return tr, tr.CloseIdleConnections
			}})
		}
		all = append(all, &asker{name: "HTTP/3", kept: kept, client: func() (http.RoundTripper, func()) {
			tr := &http3.Transport{TLSClientConfig: config.Clone(), Dial: func(ctx context.Context, _ string, config *tls.Config, q *quic.Config) (*quic.Conn, error) {
				return udp.Dial(ctx, toUDP(t, overUDP), config, q)
			}}
			return tr, func() { _ = tr.Close() }
		}})
	}
	return all
}

// A host's certificate is replaced as by a renewal, by an upload and back: each
// protocol's clients, those that stay and those that come, notice nothing.
func TestNoRequestOfAnyProtocolFailsWhileACertificateIsReplaced(t *testing.T) {
	e := serve(t, router.Options{})
	secure := e.serveTLS()
	datagrams := e.serveHTTP3("127.0.0.1:0")
	app := backend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	e.SetRoute("blog", route("blog", 1, app))
	own, roots := selfSigned(t, "apps.test"), x509.NewCertPool()
	own.Name = "platform/0"
	var certs []platform.EdgeCertificate
	for range 3 {
		c := selfSigned(t, "blog.test")
		roots.AppendCertsFromPEM([]byte(c.Certificate))
		certs = append(certs, c)
	}
	named := func(n int, name string, rank int) []platform.EdgeCertificate {
		c := certs[n]
		c.Name, c.Rank = name, rank
		return []platform.EdgeCertificate{c}
	}
	changes := []func(){
		func() { e.SetCertificates(named(1, "acme/blog.test", platform.RankAutomatic), nil) },           // renewed
		func() { e.SetCertificates(named(2, "upload/a", platform.RankUploaded), nil) },                  // attached
		func() { e.SetCertificates(named(0, "upload/b", platform.RankUploaded), []string{"upload/a"}) }, // replaced
		func() {
			e.SetCertificates(named(0, "acme/blog.test", platform.RankAutomatic), []string{"upload/b", "none"})
		}, // detached
	}
	e.SetEdge(platform.EdgeState{Domain: "apps.test"})
	e.SetCertificates(append(named(0, "acme/blog.test", platform.RankAutomatic), own), nil)

	var shown sync.Map
	var handshakes atomic.Int64
	all := askers(t, secure, datagrams, &tls.Config{ServerName: "blog.test", RootCAs: roots, VerifyConnection: func(s tls.ConnectionState) error {
		handshakes.Add(1)
		shown.Store(string(s.PeerCertificates[0].Raw), true)
		return nil
	}})
	stop := make(chan struct{})
	var load sync.WaitGroup
	for _, a := range all {
		a.asked = make(chan error)
		load.Go(func() { a.ask(stop) })
	}
	for _, change := range slices.Repeat(changes, 5) {
		change()
		for range 2 { // the first may have begun before
			for _, a := range all {
				if err := <-a.asked; err != nil {
					t.Errorf("%s, kept %t: %v", a.name, a.kept, err)
				}
			}
		}
	}
	close(stop)
	load.Wait()
	seen := 0
	for range shown.Range {
		seen++
	}
	if seen != len(certs) {
		t.Errorf("in %d handshakes %d certificates were shown, of %d", handshakes.Load(), seen, len(certs))
	}
}
