package controller_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// selfSigned makes a certificate for the hosts that lasts for a while.
func selfSigned(t testing.TB, life time.Duration, hosts ...string) (chain, key string) {
	t.Helper()
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hosts[0]}, DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, private.Public(), private))(t)
	keyDER := must(x509.MarshalPKCS8PrivateKey(private))(t)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

// certified adds a certificate of the caller.
func (p *place) certified(caller platform.Caller, name string, life time.Duration, hosts ...string) platform.Certificate {
	p.t.Helper()
	chain, key := selfSigned(p.t, life, hosts...)
	return must(p.AddCertificate(p.t.Context(), caller, name, chain, key))(p.t)
}

// withEdge sets the edge as the platform does, with its own certificate.
func (p *place) withEdge(hosts ...string) *place {
	p.t.Helper()
	chain, key := selfSigned(p.t, time.Hour, hosts...)
	must(p.SetEdge(p.t.Context(), platform.EdgeState{
		Domain: "localhost", Registry: p.registry, Control: p.registry,
		Certificates: []platform.EdgeCertificate{{Hosts: hosts, Certificate: chain, Key: key}},
	}))(p.t)
	return p
}

// shown is the name of the certificate that a client of the host is shown.
func (p *place) shown(host string) string {
	p.t.Helper()
	conn, err := tls.Dial("tcp", p.edgeTLS, &tls.Config{ServerName: host, InsecureSkipVerify: true})
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestADomainIsServedWithTheCertificateThatIsAttached(t *testing.T) {
	p := open(t, controller.Options{}).withEdge("localhost", "*.localhost", "blog.localhost").withNode()
	bob := p.user("bob")
	p.app(bob, "blog")
	if _, err := p.AddDomain(t.Context(), bob, "blog", "www.shop.org"); err != nil {
		t.Fatal(err)
	}
	p.certified(bob, "mine", time.Hour, "shop.org", "*.shop.org")
	p.certified(bob, "own", time.Hour, "own.localhost", "blog.localhost")
	expect := func(when string, want map[string]string) {
		t.Helper()
		for host, name := range want {
			if got := p.shown(host); got != name {
				t.Errorf("%s, %s is shown %q, want %q", when, host, got, name)
			}
		}
	}
	expect("before", map[string]string{"www.shop.org": "localhost", "blog.localhost": "localhost"})
	for name, domain := range map[string]string{"mine": "WWW.shop.org.", "own": "blog"} {
		if err := p.Attach(t.Context(), bob, name, domain, false); err != nil {
			t.Fatal(err)
		}
	}
	attached := map[string]string{"www.shop.org": "shop.org", "blog.localhost": "own.localhost", "other.localhost": "localhost"}
	expect("attached", attached)
	p.withEdge("localhost", "*.localhost", "blog.localhost")
	expect("after the platform renewed its own", attached)

	p.Close()
	p.start()
	p.withEdge("localhost", "*.localhost")
	expect("after a restart", attached)

	if err := p.Detach(t.Context(), bob, "mine", "www.shop.org"); err != nil {
		t.Fatal(err)
	}
	expect("detached", map[string]string{"www.shop.org": "localhost", "blog.localhost": "own.localhost"})
	if err := p.RemoveCertificate(t.Context(), bob, "own"); err != nil {
		t.Fatal(err)
	}
	expect("removed", map[string]string{"blog.localhost": "localhost"})
	if err := p.Attach(t.Context(), bob, "mine", "www.shop.org", false); err != nil {
		t.Fatal(err)
	}
	if err := p.RemoveDomain(t.Context(), bob, "blog", "www.shop.org"); err != nil {
		t.Fatal(err)
	}
	expect("the domain removed", map[string]string{"www.shop.org": "localhost"})
	p.certified(bob, "again", time.Hour, "again.localhost")
	if err := p.Attach(t.Context(), bob, "again", "blog", false); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Rename(t.Context(), bob, "blog", "journal"); err != nil {
		t.Fatal(err)
	}
	if err := p.DestroyApp(t.Context(), bob, "journal"); err != nil {
		t.Fatal(err)
	}
	expect("the app destroyed", map[string]string{"blog.localhost": "localhost", "journal.localhost": "localhost"})
	if c := must(p.Certificate(t.Context(), bob, "mine"))(t); len(c.Domains) != 0 {
		t.Errorf("the certificate names %q", c.Domains)
	}
	events := p.eventsOf("blog")
	for _, want := range []string{
		"certificate.attached bob certificate=own domain=blog", "certificate.detached bob certificate=mine domain=www.shop.org",
		"certificate.detached bob certificate=own domain=blog",
	} {
		if !slices.Contains(events, want) {
			t.Errorf("%q is not among the events %q", want, events)
		}
	}
}

func TestACertificateIsReplacedByAnotherAtOnceAndNoHandshakeIsWithout(t *testing.T) {
	p := open(t, controller.Options{}).withEdge("localhost", "*.localhost").withNode()
	bob, ann := p.user("bob"), p.user("ann")
	p.app(bob, "blog")
	must(p.AddDomain(t.Context(), bob, "blog", "www.shop.org"))(t)
	p.certified(bob, "first", time.Hour, "first.org", "www.shop.org")
	p.certified(bob, "second", time.Hour, "second.org", "www.shop.org")
	attach := func(name string) {
		t.Helper()
		if err := p.Attach(t.Context(), bob, name, "www.shop.org", true); err != nil {
			t.Fatal(err)
		}
	}
	attach("first")
	stop := make(chan struct{})
	var load sync.WaitGroup
	shaken := make(chan string)
	for range 2 {
		load.Go(func() {
			for {
				select {
				case shaken <- p.shown("www.shop.org"):
				case <-stop:
					return
				}
			}
		})
	}
	for n := range 10 {
		attach([]string{"second", "first"}[n%2])
		for range 4 { // the first two may have begun before
			if got := <-shaken; got != "first.org" && got != "second.org" {
				t.Errorf("while it was replaced, a client was shown %q", got)
			}
		}
	}
	close(stop)
	load.Wait()
	attach("second")
	if got := p.shown("www.shop.org"); got != "second.org" {
		t.Errorf("in the end it is %q", got)
	}
	says(t, p.Attach(t.Context(), bob, "second", "www.shop.org", true), platform.ErrConflict, "Domain already has a certificate attached to it")
	if err := p.Grant(t.Context(), bob, "blog", "ann", platform.RoleOperator); err != nil {
		t.Fatal(err)
	}
	p.certified(ann, "anns", time.Hour, "anns.org")
	says(t, p.Attach(t.Context(), ann, "anns", "www.shop.org", true), platform.ErrConflict, "Domain already has a certificate attached to it")
	if c := must(p.Certificate(t.Context(), bob, "first"))(t); len(c.Domains) != 0 {
		t.Errorf("the one that was replaced names %q", c.Domains)
	}
}

func TestACertificateIsAttachedByWhoOwnsItAndOperatesTheApp(t *testing.T) {
	p := open(t, controller.Options{})
	bob, ann, eve := p.user("bob"), p.user("ann"), p.user("eve")
	p.app(bob, "blog")
	p.write(func(tx *store.Tx) error { return tx.SetCollaborator("blog", "ann", platform.RoleOperator) })
	for _, domain := range []string{"www.shop.org", "old.shop.org"} {
		if _, err := p.AddDomain(t.Context(), bob, "blog", domain); err != nil {
			t.Fatal(err)
		}
	}
	p.certified(ann, "anns", time.Hour, "www.shop.org")
	p.certified(eve, "eves", time.Hour, "www.shop.org")
	p.certified(ann, "stale", -time.Minute, "elsewhere.org")
	bounded, root := ann, p.user("root")
	bounded.Scope, root.Admin = platform.Scope{Apps: []string{"blog"}}, true

	kind := func(err error) string {
		if missing, ok := errors.AsType[*platform.NotFoundError](err); ok {
			return missing.Kind
		}
		return ""
	}
	for name, test := range map[string]struct {
		caller       platform.Caller
		name, domain string
		missing      string
		refused      error
	}{
		"neither is known":      {ann, "ghost", "ghost.org", "Certificate", nil},
		"another's certificate": {bob, "anns", "www.shop.org", "Certificate", nil},
		"an administrator":      {root, "anns", "www.shop.org", "Certificate", nil},
		"no such domain":        {ann, "anns", "ghost.org", "Domain", nil},
		"no domain at all":      {ann, "anns", "no_domain", "Domain", nil},
		"another's app":         {eve, "eves", "www.shop.org", "", platform.ErrForbidden},
		"a bounded token":       {bounded, "anns", "www.shop.org", "", platform.ErrForbidden},
		"nobody":                {platform.Caller{}, "anns", "www.shop.org", "", platform.ErrUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			err := p.Attach(t.Context(), test.caller, test.name, test.domain, false)
			if kind(err) != test.missing || test.refused != nil && !errors.Is(err, test.refused) {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, name := range []string{"anns", "stale"} {
		domain := map[string]string{"anns": "www.shop.org", "stale": "old.shop.org"}[name]
		if err := p.Attach(t.Context(), ann, name, domain, false); err != nil {
			t.Fatal(err)
		}
		says(t, p.Attach(t.Context(), ann, name, domain, false), platform.ErrConflict, "Domain already has a certificate attached to it")
	}
	if err := p.Detach(t.Context(), ann, "stale", "www.shop.org"); err != nil {
		t.Errorf("detach what is not attached: %v", err)
	}
	if d := must(p.Certificate(t.Context(), ann, "anns"))(t); !slices.Equal(d.Domains, []string{"www.shop.org"}) {
		t.Errorf("it took another's away: %q", d.Domains)
	}
	text := p.logged("blog")
	for _, want := range []string{"WARNING certificate stale is not for old.shop.org", "WARNING certificate stale expired on", "INFO certificate anns attached to www.shop.org"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the log:\n%s", want, text)
		}
	}
	if strings.Contains(text, "WARNING certificate anns") {
		t.Errorf("the log warns of what is well:\n%s", text)
	}
}

func TestACertificateIsKeptUnderAFreeNameWithoutShowingItsKey(t *testing.T) {
	p := open(t, controller.Options{})
	bob, eve := p.user("bob"), p.user("eve")
	kept := p.certified(bob, "mine", time.Hour, "shop.org")
	if kept.ID == 0 || kept.Owner != "bob" || kept.CommonName != "shop.org" || kept.Fingerprint == "" {
		t.Errorf("kept is %+v", kept)
	}
	chain, key := selfSigned(t, time.Hour, "shop.org")
	_, err := p.AddCertificate(t.Context(), eve, "mine", chain, key)
	says(t, err, platform.ErrInvalid, "name: certificate with this name already exists.")
	_, err = p.AddCertificate(t.Context(), bob, "Mine!", "x", "y")
	for _, want := range []string{"name: Can only contain a-z (lowercase), 0-9 and hyphens", "certificate: Could not load certificate: ", "key: Could not load private key: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	all, count, err := p.Certificates(t.Context(), bob, platform.Page{})
	if err != nil || count != 1 || len(all) != 1 || all[0].Key != "" || all[0].Chain != "" {
		t.Errorf("bob has %+v, %d, %v", all, count, err)
	}
	if _, count, err := p.Certificates(t.Context(), eve, platform.Page{}); err != nil || count != 0 {
		t.Errorf("eve has %d, %v", count, err)
	}
	if err := p.RemoveCertificate(t.Context(), eve, "mine"); !errors.Is(err, platform.ErrNotFound) {
		t.Errorf("eve removes bob's: %v", err)
	}
	if err := p.RemoveCertificate(t.Context(), bob, "mine"); err != nil {
		t.Error(err)
	}
	if events := p.eventsOf(""); !slices.Contains(events, "certificate.removed bob certificate=mine") {
		t.Errorf("events: %q", events)
	}
}
