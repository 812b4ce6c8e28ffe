package router_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// signer is an authority of clients.
type signer struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newSigner(t *testing.T, name string) *signer {
	t.Helper()
	s := &signer{t: t}
	s.cert, s.key = s.sign(name, time.Now().Add(time.Hour), nil)
	s.pem = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Raw}))
	return s
}

func (s *signer) sign(name string, end time.Time, by *signer) (*x509.Certificate, *ecdsa.PrivateKey) {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name, Organization: []string{"Slip\r\nX-Evil: way"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: end, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		IsCA: by == nil, BasicConstraintsValid: true,
	}
	parent, signing := template, key
	if by != nil {
		parent, signing = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signing)
	if err != nil {
		s.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Fatal(err)
	}
	return cert, key
}

// client is a certificate of somebody.
func (s *signer) client(name string, end time.Time) tls.Certificate {
	cert, key := s.sign(name, end, s)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// secure asks by HTTPS: the name that the handshake is for, the host that the
// request is for, and the certificates that the client has.
func (e *edge) secure(addr, name, host string, http2 bool, config *tls.Config, say ...string) (status int, text string) {
	e.t.Helper()
	config = config.Clone()
	config.ServerName, config.InsecureSkipVerify = name, true
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	transport := &http.Transport{TLSClientConfig: config, Protocols: protocols, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, "https://"+name+"/", nil)
	if err != nil {
		e.t.Fatal(err)
	}
	req.Host = host
	for i := 0; i < len(say); i += 2 {
		req.Header.Set(say[i], say[i+1])
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

func (e *edge) guarded(app string, clients *platform.ClientCerts, hosts ...string) {
	r := route(app, 1, backend(e.t, echoHead))
	r.Hosts, r.Edge.Clients = hosts, clients
	e.SetRoute(app, r)
}

func TestAnAppAsksItsClientsForCertificates(t *testing.T) {
	e := serve(t, router.Options{})
	addr := e.serveTLS()
	e.SetCertificates([]platform.EdgeCertificate{selfSigned(t, "*.test")}, nil)
	ours, theirs := newSigner(t, "ours"), newSigner(t, "theirs")
	e.guarded("must", &platform.ClientCerts{CA: ours.pem}, "must.test")
	e.guarded("may", &platform.ClientCerts{CA: ours.pem, Optional: true}, "may.test")
	e.guarded("open", nil, "open.test")
	alice := ours.client("alice", time.Now().Add(time.Hour))
	with := &tls.Config{Certificates: []tls.Certificate{alice}}
	stranger := &tls.Config{Certificates: []tls.Certificate{theirs.client("mallory", time.Now().Add(time.Hour))}}
	late := &tls.Config{Certificates: []tls.Certificate{ours.client("late", time.Now().Add(-time.Minute))}}
	sum := sha256.Sum256(alice.Certificate[0])
	for _, http2 := range []bool{false, true} {
		status, text := e.secure(addr, "must.test", "must.test", http2, with, "X-Client-Cert-Subject", "CN=root", "X_Client_Cert_Verified", "SUCCESS")
		if status != http.StatusOK || !strings.Contains(text, "X-Client-Cert-Verified: SUCCESS") || !strings.Contains(text, "CN=alice") ||
			!strings.Contains(text, "X-Client-Cert-Fingerprint: "+hex.EncodeToString(sum[:])) || strings.Contains(text, "CN=root") || strings.Contains(text, "X_Client") || strings.Contains(text, "\nX-Evil") {
			t.Errorf("with a certificate: %d %s", status, text)
		}
		for what, config := range map[string]*tls.Config{"without": {}, "with another's": stranger, "with one that expired": late} {
			if status, text := e.secure(addr, "must.test", "must.test", http2, config); status == http.StatusOK {
				t.Errorf("%s: %d %s", what, status, text)
			}
		}
		if status, text := e.secure(addr, "may.test", "may.test", http2, &tls.Config{}); status != http.StatusOK || !strings.Contains(text, "X-Client-Cert-Verified: NONE") || strings.Contains(text, "X-Client-Cert-Subject") {
			t.Errorf("where it is optional: %d %s", status, text)
		}
		if status, text := e.secure(addr, "open.test", "open.test", http2, with, "X-Client-Cert-Verified", "SUCCESS"); status != http.StatusOK || strings.Contains(text, "X-Client-Cert") {
			t.Errorf("an app that asks for none: %d %s", status, text)
		}
		// The name of the handshake and that of the request are two things.
		for _, sni := range []string{"open.test", "may.test", "nobody.test"} {
			if status, text := e.secure(addr, sni, "must.test", http2, with); status != http.StatusMisdirectedRequest {
				t.Errorf("by the handshake of %s: %d %s", sni, status, text)
			}
		}
		if status, _ := e.secure(addr, "must.test", "open.test", http2, with); status != http.StatusOK {
			t.Errorf("an open app by the handshake of another: %d", status)
		}
	}
	if got := e.get("must.test"); got.StatusCode != http.StatusForbidden {
		t.Errorf("by plain HTTP: %d", got.StatusCode)
	}
	if got := e.get("may.test"); got.StatusCode != http.StatusOK || !strings.Contains(got.body, "X-Client-Cert-Verified: NONE") {
		t.Errorf("by plain HTTP, where it is optional: %d %s", got.StatusCode, got.body)
	}
}

func TestAConnectionFromBeforeTheDemandIsSentBack(t *testing.T) {
	e := serve(t, router.Options{})
	addr := e.serveTLS()
	e.SetCertificates([]platform.EdgeCertificate{selfSigned(t, "*.test")}, nil)
	ours, next := newSigner(t, "ours"), newSigner(t, "next")
	e.guarded("app", nil, "app.test")
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "app.test", Certificates: []tls.Certificate{ours.client("alice", time.Now().Add(time.Hour))}}
	ask := func(conn *tls.Conn) string {
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err.Error()
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body)
		return fmt.Sprint(res.StatusCode)
	}
	dial := func() *tls.Conn {
		conn, err := tls.Dial("tcp", addr, config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	old := dial()
	if got := ask(old); got != "200" {
		t.Fatalf("got %s", got)
	}
	e.guarded("app", &platform.ClientCerts{CA: ours.pem}, "app.test")
	if got := ask(old); got != "421" {
		t.Errorf("from before the demand: %s", got)
	}
	asked := dial()
	if got := ask(asked); got != "200" {
		t.Errorf("with a certificate: %s", got)
	}
	e.guarded("app", &platform.ClientCerts{CA: next.pem}, "app.test")
	if got := ask(asked); got != "421" {
		t.Errorf("under authorities of before: %s", got)
	}
	e.guarded("app", &platform.ClientCerts{CA: "no certificate"}, "app.test")
	if status, text := e.secure(addr, "app.test", "app.test", false, config); status == http.StatusOK {
		t.Errorf("an authority that cannot be read lets in: %s", text)
	}
	if told := strings.Join(e.Problems(), "\n"); !strings.Contains(told, "nobody is let in") {
		t.Errorf("it is told: %q", told)
	}
}

// keys are ticket keys, the newest first.
func keys(seeds ...byte) (all []platform.TicketKey) {
	for i, seed := range seeds {
		all = append(all, platform.TicketKey{
			Key: base64.StdEncoding.EncodeToString(slices.Repeat([]byte{seed}, 32)), Made: time.Now().Add(-time.Duration(i) * time.Hour),
		})
	}
	return all
}

func TestASessionIsResumedByAnyRouterForAsLongAsItsKeyIsKept(t *testing.T) {
	pair := selfSigned(t, "*.test")
	var edges []*edge
	var addrs []string
	for range 2 {
		e := serve(t, router.Options{})
		addrs = append(addrs, e.serveTLS())
		e.SetCertificates([]platform.EdgeCertificate{pair}, nil)
		edges = append(edges, e)
	}
	tell := func(seeds ...byte) {
		for _, e := range edges {
			e.SetEdge(platform.EdgeState{Domain: "test", Tickets: keys(seeds...)})
		}
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := &tls.Config{InsecureSkipVerify: true, ServerName: "app.test", ClientSessionCache: tls.NewLRUClientSessionCache(4), MaxVersion: version}
		resumed := func(addr string) bool {
			t.Helper()
			conn, err := tls.Dial("tcp", addr, config)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn) // the ticket comes with the answer
			return conn.ConnectionState().DidResume
		}
		tell(1)
		if resumed(addrs[0]) {
			t.Error("the first was resumed")
		}
		for _, seeds := range [][]byte{{1}, {2, 1}, {3, 2, 1}} {
			tell(seeds...)
			if !resumed(addrs[1]) || !resumed(addrs[0]) {
				t.Errorf("TLS %x with keys %v a session began anew", version, seeds)
			}
		}
		tell(6, 5, 4)
		if resumed(addrs[0]) {
			t.Errorf("TLS %x: a key that is gone still opens", version)
		}
	}
}

func TestASessionOfAnotherAuthorityIsNotResumed(t *testing.T) {
	e := serve(t, router.Options{})
	addr := e.serveTLS()
	e.SetCertificates([]platform.EdgeCertificate{selfSigned(t, "*.test")}, nil)
	e.SetEdge(platform.EdgeState{Domain: "test", Tickets: keys(1)})
	one, two := newSigner(t, "one"), newSigner(t, "two")
	e.guarded("a", &platform.ClientCerts{CA: one.pem}, "a.test")
	e.guarded("b", &platform.ClientCerts{CA: two.pem, Optional: true}, "b.test")
	cache := tls.NewLRUClientSessionCache(4)
	dial := func(name string, certs ...tls.Certificate) (*tls.Conn, error) {
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: name, ClientSessionCache: sameKey{cache}, Certificates: certs})
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+name+"\r\nConnection: close\r\n\r\n")
			_, err = io.Copy(io.Discard, conn)
		}
		return conn, err
	}
	alice := one.client("alice", time.Now().Add(time.Hour))
	if _, err := dial("a.test", alice); err != nil {
		t.Fatal(err)
	}
	if conn, err := dial("a.test", alice); err != nil || !conn.ConnectionState().DidResume {
		t.Errorf("its own session: %v", err)
	}
	if conn, err := dial("b.test"); err == nil && conn.ConnectionState().DidResume {
		t.Error("a session of a's was resumed by b")
	}
}

// sameKey offers the session of any name to every other.
type sameKey struct{ tls.ClientSessionCache }

func (s sameKey) Get(string) (*tls.ClientSessionState, bool) { return s.ClientSessionCache.Get("x") }
func (s sameKey) Put(_ string, cs *tls.ClientSessionState)   { s.ClientSessionCache.Put("x", cs) }

func TestAProfileSaysWhichVersionsAreSpoken(t *testing.T) {
	for _, profile := range []string{"", platform.TLSIntermediate, platform.TLSModern} {
		e := serve(t, router.Options{TLSProfile: profile})
		addr := e.serveTLS()
		e.SetCertificates([]platform.EdgeCertificate{selfSigned(t, "*.test")}, nil)
		for app, own := range map[string]string{"plain": "", "new": platform.TLSModern, "old": platform.TLSIntermediate} {
			r := route(app, 1)
			r.Hosts, r.Edge.TLS = []string{app + ".test"}, own
			e.SetRoute(app, r)
			old := own == platform.TLSIntermediate || own == "" && profile != platform.TLSModern
			for version, want := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: old, tls.VersionTLS13: true} {
				conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: app + ".test", MinVersion: version, MaxVersion: version})
				if (err == nil) != want {
					t.Errorf("%q, app %s: TLS %x: %v", profile, app, version, err)
				}
				if err == nil {
					conn.Close()
				}
			}
			weak := &tls.Config{InsecureSkipVerify: true, ServerName: app + ".test", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}
			if conn, err := tls.Dial("tcp", addr, weak); err == nil {
				conn.Close()
				t.Errorf("%q, app %s takes CBC", profile, app)
			}
		}
	}
}

func TestAMillionNamesCostNoMemory(t *testing.T) {
	e := serve(t, router.Options{})
	addr := e.serveTLS()
	e.SetCertificates([]platform.EdgeCertificate{selfSigned(t, "apps.test", "*.apps.test")}, nil)
	e.SetEdge(platform.EdgeState{Domain: "apps.test", OnDemand: true, Tickets: keys(1)})
	hello := func(name string) {
		_, _ = e.ConfigFor(name)
	}
	hello("warm.test")
	if conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: "stranger.example"}); err != nil {
		t.Fatal(err)
	} else {
		conn.Close()
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for n := range 1_000_000 {
		hello(fmt.Sprintf("n%d.stranger.example", n))
	}
	if after := heap(); after > before+1<<20 {
		t.Errorf("%d KB stayed", (after-before)>>10)
	}
	if asked := e.Asked(); len(asked) > 0 {
		t.Errorf("asked for %d", len(asked))
	}
}

func TestAHandshakeThatIsNeverFinishedHoldsUpNobody(t *testing.T) {
	e := serve(t, router.Options{HeaderTimeout: time.Minute, Handshakes: 4})
	addr := e.serveTLS()
	e.SetCertificates([]platform.EdgeCertificate{selfSigned(t, "*.test")}, nil)
	e.guarded("open", nil, "open.test")
	for range 8 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write([]byte{22, 3, 1}) // and no more
	}
	if status, text := e.secure(addr, "open.test", "open.test", false, &tls.Config{}); status != http.StatusOK {
		t.Errorf("beside the silent ones: %d %s", status, text)
	}
}

func TestASilentHandshakeEndsInTime(t *testing.T) {
	e := serve(t, router.Options{HeaderTimeout: 300 * time.Millisecond})
	conn, err := net.Dial("tcp", e.serveTLS())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(hangs))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("it was kept: %v", err)
	}
}

// Who asks for very many names of apps makes the router remember a thousand of
// them, tell of each once, and wait for none that it did not tell of.
func TestAFloodOfNamesOfAppsIsAskedForABoundedNumberOfTimes(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetCertificates([]platform.EdgeCertificate{selfSigned(t, "apps.test")}, nil)
	e.SetEdge(platform.EdgeState{Domain: "apps.test", OnDemand: true})
	r := route("many", 1)
	r.Hosts = nil
	for n := range 1500 {
		r.Hosts = append(r.Hosts, fmt.Sprintf("n%d.many.test", n))
	}
	e.SetRoute("many", r)
	var rung atomic.Int64
	e.OnAsked(func() { rung.Add(1) })
	gone, leave := context.WithCancel(t.Context())
	leave() // clients that do not wait for an answer
	for _, host := range r.Hosts {
		_, _ = e.ShownTo(gone, host)
	}
	asked := e.Asked()
	if len(asked) != 1000 || rung.Load() != 1000 {
		t.Errorf("%d are asked for, told in %d times", len(asked), rung.Load())
	}
	for range 3 {
		for _, host := range r.Hosts {
			_, _ = e.ShownTo(gone, host)
		}
	}
	if rung.Load() != 1000 {
		t.Errorf("of those that are known already it was told %d times more", rung.Load()-1000)
	}
	// One that there was no room for is answered at once, and waits for nothing.
	late := slices.IndexFunc(r.Hosts, func(host string) bool { return !slices.Contains(asked, host) })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if cert, err := e.ShownTo(ctx, r.Hosts[late]); err != nil || cert == nil || ctx.Err() != nil {
		t.Errorf("one that is not asked for: %v, %v", err, ctx.Err())
	}
}

func TestNamesUnderAWildcardAreAskedForAsOne(t *testing.T) {
	e := serve(t, router.Options{})
	addr := e.serveTLS()
	e.SetEdge(platform.EdgeState{Domain: "apps.test", OnDemand: true})
	asked := make(chan struct{}, 100)
	e.OnAsked(func() { asked <- struct{}{} })
	own := selfSigned(t, "apps.test", "*.apps.test")
	own.Name = "platform/0"
	e.SetCertificates([]platform.EdgeCertificate{own}, nil)
	for app, hosts := range map[string][]string{"wild": {"*.wild.test"}, "none": {"none.test"}, "both": {"own.wild.test"}} {
		r := route(app, 1)
		r.Hosts, r.Uncertified = hosts, app == "none"
		e.SetRoute(app, r)
	}
	shown := func(name string, within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		dialer := &tls.Dialer{Config: &tls.Config{ServerName: name, InsecureSkipVerify: true}}
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err
	}
	for n := 0; n < 20 || len(asked) == 0; n++ { // on a slow machine some leave before they are seen
		if err := shown(fmt.Sprintf("n%d.wild.test", n), 100*time.Millisecond); err == nil {
			t.Error("it was not waited for")
		}
	}
	for len(asked) < 2 {
		_ = shown("own.wild.test", 100*time.Millisecond)
	}
	for _, name := range []string{"none.test", "a.b.wild.test", "stranger.test"} {
		if err := shown(name, hangs); err != nil {
			t.Errorf("%s was waited for: %v", name, err)
		}
	}
	if got := e.Asked(); !slices.Equal(got, []string{"*.wild.test", "own.wild.test"}) || len(asked) != 2 {
		t.Errorf("asked for %v, in %d times", got, len(asked))
	}
}
