package acme_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"

	"github.com/slipway-paas/slipway/internal/cert/acme"
	"github.com/slipway-paas/slipway/internal/cert/acme/acmetest"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/porttest"
	"github.com/slipway-paas/slipway/internal/router"
	"github.com/slipway-paas/slipway/internal/secret"
	"github.com/slipway-paas/slipway/internal/store"
)

// place is a router on real ports, an authority that looks for proofs there, and
// a name server that leads every name of test to it.
type place struct {
	*testing.T
	router    *router.Router
	http, tls string
	authority *acmetest.Authority
	names     *acmetest.Names
	db        *store.Store
	url       string
	ring      *secret.Ring
	records   string

	mu   sync.Mutex
	held map[string]platform.EdgeCertificate
	news chan struct{}
}

func must[T any](value T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func newPlace(t *testing.T, o acmetest.Options) *place {
	t.Helper()
	p := &place{T: t, held: map[string]platform.EdgeCertificate{}, news: make(chan struct{}), records: t.TempDir(), ring: secret.New()}
	p.router = router.New(slog.New(slog.DiscardHandler), router.Options{})
	t.Cleanup(p.router.Close)
	plain, secure := must(net.Listen("tcp", "127.0.0.1:0"))(t), must(net.Listen("tcp", "127.0.0.1:0"))(t)
	p.http, p.tls = plain.Addr().String(), secure.Addr().String()
	go func() { _ = p.router.Serve(plain) }()
	go func() { _ = p.router.ServeTLS(secure) }()
	p.names = must(acmetest.StartNames("127.0.0.1:0", p.records, "test."))(t)
	t.Cleanup(p.names.Close)
	o.HTTPPort, o.TLSPort, o.Names = plain.Addr().(*net.TCPAddr).Port, secure.Addr().(*net.TCPAddr).Port, p.names.Address
	p.authority = must(acmetest.Start(o))(t)
	t.Cleanup(p.authority.Close)
	p.url = filepath.Join(t.TempDir(), "slipway.db")
	p.db = must(store.Open(t.Context(), slog.New(slog.DiscardHandler), p.url, p.ring))(t)
	t.Cleanup(func() { p.db.Close() })
	return p
}

// SetCertificates implements acme.Edge, with one router that hears at once.
func (p *place) SetCertificates(wish map[string]*platform.EdgeCertificate) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var gone []string
	var changed []platform.EdgeCertificate
	for name, c := range wish {
		if c == nil {
			delete(p.held, name)
			gone = append(gone, name)
			continue
		}
		c.Name = name
		p.held[name] = *c
		changed = append(changed, *c)
	}
	p.router.SetCertificates(changed, gone)
	close(p.news)
	p.news = make(chan struct{})
	return 1, nil
}

func (p *place) Certificates() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.held))
}

func (p *place) Acked(context.Context, int64) error { return nil }

// options are those of a keeper that is in a hurry.
func (p *place) options() acme.Options {
	return acme.Options{
		Directory: p.authority.Directory, Roots: p.authority.Roots, Email: "ops@example.com", Check: time.Second,
		FirstPause: 200 * time.Millisecond, LastPause: time.Second, Challenges: []string{"http-01"},
	}
}

func (p *place) keeper(o acme.Options) *acme.Keeper {
	p.Helper()
	k := must(acme.New(slog.New(slog.DiscardHandler), p.db, p, o))(p)
	p.Cleanup(k.Close)
	if err := k.Start(p.Context()); err != nil {
		p.Fatal(err)
	}
	return k
}

// until waits for a change at the edge, or a while, until ok.
func (p *place) until(what string, ok func() bool) {
	p.Helper()
	end := time.After(5 * time.Minute)
	for {
		p.mu.Lock()
		news := p.news
		p.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-news:
		case <-time.After(50 * time.Millisecond):
		case <-end:
			p.Fatalf("waited in vain until %s", what)
		}
	}
}

// issued waits until host is served with a certificate of the authority's.
func (p *place) issued(host string) *x509.Certificate {
	p.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.authority.Root())
	var leaf *x509.Certificate
	p.until("there is a certificate for "+host, func() bool {
		conn, err := tls.Dial("tcp", p.tls, &tls.Config{ServerName: host, RootCAs: roots})
		if err != nil {
			return false
		}
		defer conn.Close()
		leaf = conn.ConnectionState().PeerCertificates[0]
		return true
	})
	return leaf
}

func (p *place) problem(k *acme.Keeper, host string) platform.HostCertificate {
	p.Helper()
	var state platform.HostCertificate
	p.until(host+" has a problem", func() bool {
		state, _ = k.State(host)
		return state.Problem != ""
	})
	return state
}

func TestANameIsProvenByHTTPWhateverItsAppIsSetTo(t *testing.T) {
	p := newPlace(t, acmetest.Options{})
	p.router.SetEdge(platform.EdgeState{Domain: "apps.test", Control: "127.0.0.1:1", ControlHosts: []string{"slipway.apps.test"}})
	p.router.SetRoute("secure", &platform.Route{App: "secure", Hosts: []string{"secure.test"}, HTTPSOnly: true})
	p.router.SetRoute("resting", &platform.Route{App: "resting", Hosts: []string{"resting.test"}, Maintenance: true})
	p.router.SetRoute("closed", &platform.Route{App: "closed", Hosts: []string{"closed.test"}, Allow: []string{"192.0.2.0/24"}})
	k := p.keeper(p.options())
	k.Want("secure", "ann", []string{"secure.test"}, false)
	k.Want("resting", "ann", []string{"resting.test"}, false)
	k.Want("closed", "ann", []string{"closed.test", "nobody.test"}, false)
	k.Want("", "", []string{"slipway.apps.test"}, false)
	for _, host := range []string{"secure.test", "resting.test", "closed.test", "nobody.test", "slipway.apps.test"} {
		p.issued(host)
		if state, _ := k.State(host); state.Source != platform.SourceAutomatic || state.Problem != "" || state.Expires.IsZero() || !strings.HasPrefix(state.Issuer, "Pebble") {
			t.Errorf("%s: %+v", host, state)
		}
	}
	p.until("no proof is left", func() bool {
		return !slices.ContainsFunc(p.Certificates(), func(name string) bool { return strings.HasPrefix(name, "proof/") })
	})
	res := must(http.Get("http://" + p.http + "/.well-known/acme-challenge/token"))(t)
	res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("a token of nobody's is answered with %d", res.StatusCode)
	}
	k.Want("secure", "ann", nil, false)
	p.until("it is gone", func() bool { return !slices.Contains(p.Certificates(), "acme/secure.test") })
}

func TestANameIsProvenByTLS(t *testing.T) {
	p := newPlace(t, acmetest.Options{})
	o := p.options()
	o.Challenges = []string{"tls-alpn-01"}
	p.keeper(o).Want("blog", "ann", []string{"blog.test"}, false)
	if leaf := p.issued("blog.test"); !slices.Equal(leaf.DNSNames, []string{"blog.test"}) {
		t.Errorf("it is for %v", leaf.DNSNames)
	}
}

func (p *place) dns(provider string, settings map[string]string) acmez.Solver {
	p.Helper()
	settings["resolvers"], settings["timeout"] = p.names.Address, "10s"
	return must(acme.DNSProvider(slog.New(slog.DiscardHandler), provider, settings))(p)
}

func TestAWildcardIsProvenByADynamicUpdate(t *testing.T) {
	p := newPlace(t, acmetest.Options{})
	o := p.options()
	o.Domain = "apps.test"
	o.DNS = p.dns("rfc2136", map[string]string{"server": p.names.Address, "key-name": acmetest.KeyName, "key": acmetest.Key})
	k := p.keeper(o)
	k.Want("", "", []string{"slipway.apps.test"}, false)
	k.Want("blog", "ann", []string{"blog.apps.test"}, false)
	k.Want("shop", "ann", []string{"shop.apps.test"}, false)
	for _, host := range []string{"blog.apps.test", "shop.apps.test", "slipway.apps.test"} {
		if leaf := p.issued(host); !slices.Equal(leaf.DNSNames, []string{"*.apps.test"}) {
			t.Errorf("%s is served with one for %v", host, leaf.DNSNames)
		}
	}
	if orders := p.authority.Orders(); orders != 1 {
		t.Errorf("%d were ordered", orders)
	}
	p.until("the record is gone", func() bool { return len(p.names.Texts("_acme-challenge.apps.test")) == 0 })

	o.DNS = p.dns("rfc2136", map[string]string{"server": p.names.Address, "key-name": acmetest.KeyName, "key": "d3Jvbmc="})
	k = p.keeper(o)
	k.Want("wrong", "ann", []string{"*.wrong.test"}, false)
	if state := p.problem(k, "*.wrong.test"); !strings.Contains(state.Problem, "update test. at "+p.names.Address) || strings.Contains(state.Problem, "d3Jvbmc") {
		t.Errorf("with a wrong key it is said: %s", state.Problem)
	}
}

const hookProgram = `#!/bin/sh
set -e
case "$1" in
present) echo "$3" >> %[1]s/"$2" ;;
cleanup) rm -f %[1]s/"$2" ;;
esac
echo "$1 $2" >> %[1]s/calls
`

func TestAWildcardIsProvenByTheOperatorsProgram(t *testing.T) {
	p := newPlace(t, acmetest.Options{})
	program := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(program, fmt.Appendf(nil, hookProgram, p.records), 0o700); err != nil {
		t.Fatal(err)
	}
	o := p.options()
	o.DNS = must(acme.DNSProvider(slog.New(slog.DiscardHandler), "exec", map[string]string{"program": program}))(t)
	k := p.keeper(o)
	k.Want("shop", "ann", []string{"*.shop.test"}, false)
	p.issued("www.shop.test")
	p.until("it was called for both", func() bool {
		calls, _ := os.ReadFile(filepath.Join(p.records, "calls"))
		return string(calls) == "present _acme-challenge.shop.test\ncleanup _acme-challenge.shop.test\n"
	})
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho no zone here >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	k.Want("other", "ann", []string{"*.other.test"}, false)
	if state := p.problem(k, "*.other.test"); !strings.Contains(state.Problem, "exit status 3: no zone here") {
		t.Errorf("it is said: %s", state.Problem)
	}
}

func TestAWildcardIsProvenByAnAPI(t *testing.T) {
	p := newPlace(t, acmetest.Options{})
	api := httptest.NewServer(cloudflareOf(p.names))
	defer api.Close()
	o := p.options()
	o.DNS = p.dns("cloudflare", map[string]string{"api": api.URL, "token": "t0ken"})
	p.keeper(o).Want("shop", "ann", []string{"*.shop.test"}, false)
	p.issued("www.shop.test")
	p.until("the record is gone", func() bool { return len(p.names.Texts("_acme-challenge.shop.test")) == 0 })

	o.DNS = p.dns("cloudflare", map[string]string{"api": api.URL, "token": "wr0ng"})
	k := p.keeper(o)
	k.Want("other", "ann", []string{"*.other.test"}, false)
	if state := p.problem(k, "*.other.test"); !strings.Contains(state.Problem, "Invalid access token") || strings.Contains(state.Problem, "wr0ng") {
		t.Errorf("it is said: %s", state.Problem)
	}
}

func TestWithoutDNSAWildcardGetsNoneAndItIsSaidWhy(t *testing.T) {
	p := newPlace(t, acmetest.Options{})
	k := p.keeper(p.options())
	k.Want("shop", "ann", []string{"*.shop.test"}, false)
	if state := p.problem(k, "*.shop.test"); !strings.Contains(state.Problem, "--acme-dns") || p.authority.Orders() > 0 {
		t.Errorf("after %d orders it is said: %s", p.authority.Orders(), state.Problem)
	}
}

// renewal has the authority say that certificates are to be renewed at once, while
// it is in a hurry, else later than the test takes.
func (p *place) renewal(hurry, asked *atomic.Bool) {
	p.authority.Refuse(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/renewalInfo/") {
			return false
		}
		from := time.Now().Add(300 * time.Second)
		if hurry.Load() {
			from = time.Now().Add(-time.Hour)
		}
		asked.Store(true)
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"suggestedWindow": {"start": %q, "end": %q}}`, from.Format(time.RFC3339), from.Add(100*time.Second).Format(time.RFC3339))
		return true
	})
}

// An authority that wants a certificate replaced early, as before it revokes many,
// says so by its renewal window.
func TestACertificateIsRenewedWhenTheAuthoritySaysSo(t *testing.T) {
	p := newPlace(t, acmetest.Options{Seconds: 600}) // by itself it would be renewed after 400
	var hurry, asked atomic.Bool
	p.renewal(&hurry, &asked)
	k := p.keeper(p.options())
	k.Want("blog", "ann", []string{"blog.test"}, false)
	first := p.issued("blog.test")
	p.until("it asked when to renew", asked.Load)
	if n := p.authority.Orders(); n != 1 {
		t.Fatalf("%d were ordered before it was time", n)
	}
	hurry.Store(true)
	p.until("there is another", func() bool { return p.issued("blog.test").SerialNumber.Cmp(first.SerialNumber) != 0 })
	if n := p.authority.Replacing(); n < 1 {
		t.Errorf("%d of %d orders say what they replace", n, p.authority.Orders())
	}
}

func TestNoRequestFailsWhileCertificatesAreRenewed(t *testing.T) {
	p := newPlace(t, acmetest.Options{Seconds: 600}) // none ends before there is another, on a machine of any speed
	var hurry, asked atomic.Bool
	hurry.Store(true)
	p.renewal(&hurry, &asked)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer app.Close()
	p.router.SetRoute("blog", &platform.Route{App: "blog", Hosts: []string{"blog.test"}, Release: 1, Backends: []platform.Backend{{Instance: "one", Address: app.Listener.Addr().String()}}})
	k := p.keeper(p.options())
	k.Want("blog", "ann", []string{"blog.test"}, false)
	p.issued("blog.test")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.authority.Root())
	// All but whether it is over by now: of six seconds a slow machine takes more
	// than two for another.
	genuine := func(c tls.ConnectionState) error {
		leaf, between := c.PeerCertificates[0], x509.NewCertPool()
		for _, issuer := range c.PeerCertificates[1:] {
			between.AddCert(issuer)
		}
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: c.ServerName, Roots: roots, Intermediates: between, CurrentTime: leaf.NotBefore})
		return err
	}
	stop := make(chan struct{})
	var load sync.WaitGroup
	var mu sync.Mutex
	serials, requests := map[string]bool{}, 0
	ask := func(kept bool) {
		transport := &http.Transport{
			TLSClientConfig: &tls.Config{ServerName: "blog.test", InsecureSkipVerify: true, VerifyConnection: genuine}, DisableKeepAlives: !kept, ForceAttemptHTTP2: kept,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", p.tls)
			},
		}
		defer transport.CloseIdleConnections()
		for {
			select {
			case <-stop:
				return
			default:
			}
			res, err := (&http.Client{Transport: transport}).Get("https://blog.test/")
			if err != nil {
				t.Error(err)
				return
			}
			text, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || string(text) != "hello" {
				t.Errorf("got %q, %v", text, err)
				return
			}
			mu.Lock()
			requests++
			serials[res.TLS.PeerCertificates[0].SerialNumber.String()] = true
			mu.Unlock()
		}
	}
	for _, kept := range []bool{false, false, true} {
		load.Go(func() { ask(kept) })
	}
	p.until("three were served in turn", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(serials) >= 3 || t.Failed()
	})
	close(stop)
	load.Wait()
	t.Logf("%d requests, %d certificates", requests, len(serials))
}

func TestWhatFailsIsSaidAndTriedAgain(t *testing.T) {
	p := newPlace(t, acmetest.Options{Blocked: []string{"blocked.test"}})
	k := p.keeper(p.options())
	k.Want("blocked", "ann", []string{"blocked.test"}, false)
	k.Want("elsewhere", "ann", []string{"elsewhere.invalid"}, false)
	for host, want := range map[string]string{"blocked.test": "rejectedIdentifier", "elsewhere.invalid": "elsewhere.invalid"} {
		state := p.problem(k, host)
		if !strings.Contains(state.Problem, want) || state.NextTry.IsZero() || strings.Contains(state.Problem, "\n") {
			t.Errorf("%s: it is said: %+v", host, state)
		}
	}
	p.until("it was tried again", func() bool { state, _ := k.State("blocked.test"); return state.Attempts >= 3 })
	if failing := k.Failing(); len(failing) != 2 || failing[0].Host != "blocked.test" {
		t.Errorf("failing are %+v", failing)
	}

	crowd := func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/order-plz") {
			return false
		}
		acmetest.Problem(w, http.StatusTooManyRequests, "rateLimited", "too many certificates, retry after 2999-01-01 00:00:00 UTC")
		return true
	}
	p.authority.Refuse(crowd)
	k.Want("late", "ann", []string{"late.test"}, false)
	if state := p.problem(k, "late.test"); !strings.Contains(state.Problem, "too many certificates") {
		t.Errorf("it is said: %s", state.Problem)
	}
	p.authority.Refuse(nil)
	p.issued("late.test")
	if state, _ := k.State("late.test"); state.Problem != "" || state.Attempts != 0 {
		t.Errorf("after it went well: %+v", state)
	}
}

func TestAnAuthorityThatIsAwayIsAskedAgainWhenItIsBack(t *testing.T) {
	address := fmt.Sprintf("127.0.0.1:%d", must(porttest.Free(1))(t)) // it is nobody else's while it is away
	p := newPlace(t, acmetest.Options{Address: address})
	o := p.options()
	p.authority.Close()
	k := p.keeper(o)
	k.Want("blog", "ann", []string{"blog.test"}, false)
	if state := p.problem(k, "blog.test"); !strings.Contains(state.Problem, address) {
		t.Errorf("it is said: %s", state.Problem)
	}
	_, secure, _ := net.SplitHostPort(p.tls)
	_, plain, _ := net.SplitHostPort(p.http)
	p.authority = must(acmetest.Start(acmetest.Options{Address: address, HTTPPort: number(plain), TLSPort: number(secure), Names: p.names.Address}))(t)
	defer p.authority.Close()
	p.issued("blog.test")
}

func number(text string) (n int) {
	_, _ = fmt.Sscan(text, &n)
	return n
}

func TestAnAccountIsBoundToTheOneAtTheAuthority(t *testing.T) {
	const key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	p := newPlace(t, acmetest.Options{Keys: map[string]string{"kid-1": key}})
	o := p.options()
	o.EABKey, o.EABSecret = "kid-1", "d3JvbmcgYnV0IGxvbmcgZW5vdWdoIHRvIGJlIHRha2Vu"
	wrong := p.keeper(o)
	wrong.Want("blog", "ann", []string{"blog.test"}, false)
	if state := p.problem(wrong, "blog.test"); strings.Contains(state.Problem, o.EABSecret) || !strings.Contains(state.Problem, "authority") {
		t.Errorf("with a wrong key it is said: %s", state.Problem)
	}
	wrong.Close()
	o.EABSecret = key
	p.keeper(o).Want("blog", "ann", []string{"blog.test"}, true)
	p.issued("blog.test")
}

func TestSeveralProcessesGetOneCertificate(t *testing.T) {
	p := newPlace(t, acmetest.Options{})
	one, two := p.options(), p.options()
	one.Process, two.Process = "one", "two"
	hosts := []string{"a.test", "b.test", "c.test"}
	first, second := p.keeper(one), p.keeper(two)
	p.orderedOnce(first, second, hosts)
}

// orderedOnce has two keepers want the same hosts: both get each one's
// certificate, for which one order is made.
func (p *place) orderedOnce(first, second *acme.Keeper, hosts []string) {
	p.Helper()
	first.Want("app", "ann", hosts, false)
	second.Want("app", "ann", hosts, false)
	for _, host := range hosts {
		p.until("both know of "+host, func() bool {
			a, _ := first.State(host)
			b, _ := second.State(host)
			return a.Source == platform.SourceAutomatic && b.Source == a.Source && a.Expires.Equal(b.Expires)
		})
	}
	if orders := p.authority.Orders(); orders != len(hosts) {
		p.Errorf("%d were ordered for %d", orders, len(hosts))
	}
}

func TestAProcessThatWasKilledLeavesNoLockToItsSuccessor(t *testing.T) {
	p := newPlace(t, acmetest.Options{})
	lock := func(name, holder string, life time.Duration) {
		err := p.db.Write(t.Context(), func(tx *store.Tx) error {
			taken, err := tx.LockACME(name, holder, life)
			if err == nil && !taken {
				return errors.New("somebody has it")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	lock("issue_cert_blog.test", "slipway/dead", time.Hour)
	began := time.Now()
	lock("issue_cert_shop.test", "other/alive", 2*time.Second)
	k := p.keeper(p.options())
	k.Want("blog", "ann", []string{"blog.test", "shop.test"}, false)
	p.issued("blog.test")
	p.issued("shop.test")
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("another's lock was passed by after %s", took)
	}
}

func TestOnDemandACertificateIsGotWhenAClientComesAndForOurNamesAlone(t *testing.T) {
	p := newPlace(t, acmetest.Options{})
	o := p.options()
	o.OnDemand = true
	k := p.keeper(o)
	p.router.SetEdge(platform.EdgeState{Domain: "apps.test", OnDemand: true})
	p.router.OnAsked(func() { k.Asked(p.router.Asked()) })
	p.router.SetRoute("blog", &platform.Route{App: "blog", Hosts: []string{"blog.test", "never.test"}})
	k.Want("blog", "ann", []string{"blog.test", "never.test"}, false)
	p.until("they wait", func() bool { state, _ := k.State("blog.test"); return state.Waiting != "" })
	for n := range 2000 {
		conn, err := tls.Dial("tcp", p.tls, &tls.Config{ServerName: fmt.Sprintf("n%d.stranger.test", n), InsecureSkipVerify: true})
		if err == nil {
			conn.Close()
			t.Fatal("a stranger was shown a certificate")
		}
	}
	if asked := p.router.Asked(); len(asked) > 0 || p.authority.Orders() > 0 {
		t.Errorf("strangers had asked for %v", asked)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.authority.Root())
	p.until("a client is served", func() bool { // the first, which waits, on a machine of any speed
		conn, err := tls.Dial("tcp", p.tls, &tls.Config{ServerName: "blog.test", RootCAs: roots})
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	if p.authority.Orders() != 1 {
		t.Errorf("%d were ordered", p.authority.Orders())
	}
}

func TestAFloodOfClientsOnDemandOrdersSoManyInATime(t *testing.T) {
	p := newPlace(t, acmetest.Options{})
	o := p.options()
	o.OnDemand = true
	began := time.Now()
	k := p.keeper(o)
	var hosts []string
	for n := range 100 {
		hosts = append(hosts, fmt.Sprintf("n%d.test", n))
	}
	k.Want("blog", "ann", hosts, false)
	for range 100 {
		k.Asked(append([]string{"stranger.test"}, hosts...))
	}
	got := func() (n int) {
		for _, host := range hosts {
			if state, _ := k.State(host); state.Source == platform.SourceAutomatic {
				n++
			}
		}
		return n
	}
	p.until("ten are got", func() bool { return got() >= 10 })
	if most := 11 + int(time.Since(began)/(6*time.Second)); p.authority.Orders() > most {
		t.Errorf("%d were ordered in %s", p.authority.Orders(), time.Since(began))
	}
}

func TestASecondStartFindsWhatTheFirstGot(t *testing.T) {
	p := newPlace(t, acmetest.Options{Blocked: []string{"blocked.test"}})
	o := p.options()
	o.FirstPause, o.LastPause = time.Hour, time.Hour
	k := p.keeper(o)
	k.Want("blog", "ann", []string{"blog.test", "blocked.test"}, false)
	leaf := p.issued("blog.test")
	before := p.problem(k, "blocked.test")
	k.Close()
	orders := p.authority.Orders()
	k = p.keeper(o)
	k.Want("blog", "ann", []string{"blog.test", "blocked.test"}, false)
	p.until("both are known", func() bool {
		good, _ := k.State("blog.test")
		bad, _ := k.State("blocked.test")
		return good.Source == platform.SourceAutomatic && bad.Problem == before.Problem
	})
	if again := p.issued("blog.test"); !again.Equal(leaf) || p.authority.Orders() != orders {
		t.Errorf("%d were ordered again", p.authority.Orders()-orders)
	}
	k.Want("blog", "ann", []string{"blog.test", "blocked.test"}, true)
	p.until("it was tried at once", func() bool { return p.authority.Orders() > orders })
}

// deadNames are names that the authority refuses, which come first by the
// alphabet and by when they were wanted.
func deadNames(n int) (hosts []string) {
	for i := range n {
		hosts = append(hosts, fmt.Sprintf("a%03d.dead.test", i))
	}
	return hosts
}

// slowed checks that no more of them were ordered than one user's may be.
func (p *place) slowed(began time.Time) {
	p.Helper()
	if most := 20 + int(time.Since(began)/(3*time.Minute)); p.authority.Ordered(".dead.test") > most {
		p.Errorf("%d names that are dead were ordered in %s", p.authority.Ordered(".dead.test"), time.Since(began))
	}
}

func TestAUserWithManyDeadNamesDelaysNobodyElse(t *testing.T) {
	p := newPlace(t, acmetest.Options{Blocked: []string{"dead.test"}})
	o := p.options()
	o.FirstPause, o.LastPause = time.Hour, time.Hour
	began := time.Now()
	k := p.keeper(o)
	dead := deadNames(300)
	k.Want("one", "eve", dead[:150], false)
	k.Want("two", "eve", dead[150:], false)
	k.Want("blog", "bob", []string{"blog.test"}, false)
	p.issued("blog.test")
	p.until("her other names wait, and it is said why", func() bool {
		state, _ := k.State(dead[299])
		return strings.Contains(state.Waiting, "owner failed lately")
	})
	k.Want("shop", "ann", []string{"shop.test"}, false)
	p.issued("shop.test")
	p.slowed(began)
	k.Want("three", "eve", []string{"good.test"}, false)
	p.until("what she wants besides waits too", func() bool { state, _ := k.State("good.test"); return state.Waiting != "it is on its way" })
	k.Want("three", "bob", []string{"good.test"}, false) // an app that is given away takes its names along
	p.issued("good.test")
	p.slowed(began)
}

func TestOnDemandDeadNamesTakeNobodysPlace(t *testing.T) {
	p := newPlace(t, acmetest.Options{Blocked: []string{"dead.test"}})
	o := p.options()
	o.OnDemand, o.FirstPause, o.LastPause = true, time.Hour, time.Hour
	began := time.Now()
	k := p.keeper(o)
	dead := deadNames(100)
	k.Want("one", "eve", dead, false)
	k.Want("blog", "bob", []string{"blog.test"}, false)
	k.Asked(append(dead, "blog.test")) // once: who had to wait is not forgotten
	p.issued("blog.test")
	p.slowed(began)
	k.Want("one", "eve", nil, false)
}
