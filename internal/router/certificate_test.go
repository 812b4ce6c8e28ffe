package router_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// selfSigned is a certificate for some names.
func selfSigned(t testing.TB, names ...string) platform.EdgeCertificate {
	t.Helper()
	return signedUntil(t, time.Now().Add(time.Hour), names...)
}

func signedUntil(t testing.TB, end time.Time, names ...string) platform.EdgeCertificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: end.Add(-24 * time.Hour), NotAfter: end,
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return platform.EdgeCertificate{
		Hosts:       names,
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		Key:         string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})),
	}
}

// serves says which of the certificates, by their numbers, names get.
func (e *edge) serves(addr string, certs []platform.EdgeCertificate, want map[string]int) {
	e.t.Helper()
	for name, number := range want {
		conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			e.t.Errorf("%s: %v", name, err)
			continue
		}
		got := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: conn.ConnectionState().PeerCertificates[0].Raw})
		conn.Close()
		if string(got) != certs[number].Certificate {
			e.t.Errorf("%s got another than number %d", name, number)
		}
	}
}

func TestOfSeveralUploadsForAHostTheLastIsServed(t *testing.T) {
	e := serve(t, router.Options{})
	addr := e.serveTLS()
	certs := []platform.EdgeCertificate{
		selfSigned(t, "apps.test", "*.apps.test"), selfSigned(t, "blog.test"), selfSigned(t, "blog.test", "www.blog.test"), selfSigned(t, "shop.test"),
		signedUntil(t, time.Now().Add(-time.Minute), "old.test"),
	}
	tell := func(numbers ...int) {
		state := platform.EdgeState{Domain: "apps.test"}
		for _, n := range numbers {
			state.Certificates = append(state.Certificates, certs[n])
		}
		e.SetEdge(state)
	}
	tell(0, 1, 3, 4)
	e.serves(addr, certs, map[string]int{"blog.test": 1, "www.blog.test": 0, "shop.test": 3, "old.test": 4})
	tell(0, 1, 2, 3)
	e.serves(addr, certs, map[string]int{"blog.test": 2, "www.blog.test": 2, "shop.test": 3, "old.test": 0})
	tell(3, 2, 1, 0)
	e.serves(addr, certs, map[string]int{"blog.test": 1, "www.blog.test": 2, "shop.test": 3})
	next := selfSigned(t, "apps.test", "*.apps.test", "blog.test")
	e.SetEdge(platform.EdgeState{Domain: "apps.test", Certificates: []platform.EdgeCertificate{next, certs[1], certs[3]}})
	e.serves(addr, certs, map[string]int{"blog.test": 1, "shop.test": 3}) // what comes anew does not come last
	tell(0, 1, 3)
	e.serves(addr, certs, map[string]int{"blog.test": 1, "www.blog.test": 0, "shop.test": 3})
	tell(1)
	e.serves(addr, certs, map[string]int{"blog.test": 1})
	if got := handshake(t, addr, "shop.test"); !strings.Contains(got, "tls:") {
		t.Errorf("without a certificate of the platform's own a stranger got %s", got)
	}
}

func TestAPairThatDoesNotFitIsToldByNameAndTheOthersAreServed(t *testing.T) {
	e := serve(t, router.Options{})
	addr := e.serveTLS()
	good, other := selfSigned(t, "apps.test", "*.apps.test"), selfSigned(t, "blog.apps.test")
	bad := platform.EdgeCertificate{Name: "blog-2026", Hosts: []string{"blog.apps.test"}, Certificate: other.Certificate, Key: good.Key}
	odd := other
	odd.Hosts = []string{"no host", "odd.apps.test"}
	certs := []platform.EdgeCertificate{bad, good, other}
	e.SetEdge(platform.EdgeState{Domain: "apps.test", Certificates: []platform.EdgeCertificate{bad, good, odd}})
	e.serves(addr, certs, map[string]int{"blog.apps.test": 1, "odd.apps.test": 2})
	told := strings.Join(e.Problems(), "\n")
	if !strings.Contains(told, "blog-2026") || !strings.Contains(told, `"no host"`) || strings.Contains(told, "PRIVATE KEY") {
		t.Errorf("got %q", told)
	}
	e.SetEdge(platform.EdgeState{Domain: "apps.test", Certificates: []platform.EdgeCertificate{good, other}})
	e.serves(addr, certs, map[string]int{"blog.apps.test": 2, "odd.apps.test": 1})
	if told := e.Problems(); len(told) > 0 {
		t.Errorf("still told: %q", told)
	}
}

func TestTheCertificateOfAControlHostIsThePlatformsWhenItsDomainHasNone(t *testing.T) {
	e := serve(t, router.Options{})
	addr := e.serveTLS()
	certs := []platform.EdgeCertificate{selfSigned(t, "tenant.example"), selfSigned(t, "slipway.apps.test"), selfSigned(t, "*.apps.test")}
	state := platform.EdgeState{Domain: "apps.test", ControlHosts: []string{"slipway.apps.test"}, Certificates: certs[:2]}
	e.SetEdge(state)
	e.serves(addr, certs, map[string]int{"": 1, "stranger.example": 1, "tenant.example": 0})
	state.Certificates = certs
	e.SetEdge(state)
	e.serves(addr, certs, map[string]int{"": 2, "stranger.example": 2, "slipway.apps.test": 1})
}

func TestNoHandshakeFailsWhileCertificatesChange(t *testing.T) {
	e := serve(t, router.Options{})
	addr := e.serveTLS()
	own, one, two := selfSigned(t, "apps.test"), selfSigned(t, "blog.test"), selfSigned(t, "blog.test")
	e.SetEdge(platform.EdgeState{Domain: "apps.test", Certificates: []platform.EdgeCertificate{own, one}})
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 2 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := handshake(t, addr, "blog.test"); got != "blog.test" {
					t.Errorf("got %s", got)
					return
				}
			}
		})
	}
	for n := range 300 {
		e.SetEdge(platform.EdgeState{Domain: "apps.test", Certificates: []platform.EdgeCertificate{own, []platform.EdgeCertificate{one, two}[n%2]}})
		if n%10 == 0 {
			handshake(t, addr, "blog.test")
		}
	}
	close(stop)
	load.Wait()
}

// BenchmarkSetCertificates is the cost of one new certificate among many: it is
// read, and nothing is done about the others.
func BenchmarkSetCertificates(b *testing.B) {
	pair := selfSigned(b, "blog.test")
	for _, n := range []int{10, 10_000} {
		r := router.New(slog.New(slog.DiscardHandler), router.Options{})
		var all []platform.EdgeCertificate
		for i := range n {
			all = append(all, platform.EdgeCertificate{
				Name: fmt.Sprint("upload/", i), Hosts: []string{fmt.Sprintf("blog-%d.test", i)}, Certificate: pair.Certificate, Key: pair.Key,
			})
		}
		r.SetCertificates(all, nil)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				one := all[n/2]
				one.Hosts = []string{fmt.Sprintf("new-%d.test", i)}
				r.SetCertificates([]platform.EdgeCertificate{one}, nil)
			}
		})
		r.Close()
	}
}

// BenchmarkTenThousandCertificates is what a router reads when it starts.
func BenchmarkTenThousandCertificates(b *testing.B) {
	pair := selfSigned(b, "blog.test")
	var all []platform.EdgeCertificate
	for i := range 10_000 {
		c := pair
		c.Name, c.Hosts = fmt.Sprint("acme/", i), []string{fmt.Sprintf("blog-%d.test", i)}
		all = append(all, c)
	}
	for b.Loop() {
		r := router.New(slog.New(slog.DiscardHandler), router.Options{})
		r.SetCertificates(all, nil)
		r.Close()
	}
}

func TestCertificatesComeAndGoByName(t *testing.T) {
	e := serve(t, router.Options{})
	addr := e.serveTLS()
	certs := []platform.EdgeCertificate{selfSigned(t, "apps.test", "*.apps.test"), selfSigned(t, "blog.apps.test"), selfSigned(t, "blog.apps.test"), selfSigned(t, "shop.test")}
	named := func(number int, name string, rank int) platform.EdgeCertificate {
		c := certs[number]
		c.Name, c.Rank = name, rank
		return c
	}
	e.SetEdge(platform.EdgeState{Domain: "apps.test"})
	e.SetCertificates([]platform.EdgeCertificate{named(0, "platform/0", platform.RankPlatform), named(2, "upload/blog", platform.RankUploaded)}, nil)
	e.serves(addr, certs, map[string]int{"blog.apps.test": 2, "shop.test": 0, "": 0})
	e.SetCertificates([]platform.EdgeCertificate{named(1, "acme/blog.apps.test", platform.RankAutomatic), named(3, "upload/shop", platform.RankUploaded)}, nil)
	e.serves(addr, certs, map[string]int{"blog.apps.test": 2, "shop.test": 3}) // an upload wins
	e.SetCertificates(nil, []string{"upload/blog", "never-there"})
	e.serves(addr, certs, map[string]int{"blog.apps.test": 1, "other.apps.test": 0})
	e.SetEdge(platform.EdgeState{Domain: "apps.test", ControlHosts: []string{"slipway.apps.test"}}) // says nothing of certificates
	e.serves(addr, certs, map[string]int{"blog.apps.test": 1, "shop.test": 3, "slipway.apps.test": 0})
	e.SetCertificates(nil, []string{"acme/blog.apps.test"})
	e.serves(addr, certs, map[string]int{"blog.apps.test": 0})
}

func TestWhatClientsWillRefuseIsTold(t *testing.T) {
	e := serve(t, router.Options{})
	old, other, huge := signedUntil(t, time.Now().Add(-time.Hour), "old.test"), selfSigned(t, "other.test"), selfSigned(t, "huge.test")
	old.Name, other.Name, huge.Name = "upload/old", "upload/other", "upload/huge"
	other.Hosts = []string{"blog.test"}
	huge.Certificate = strings.Repeat(huge.Certificate, 300)
	early := signedUntil(t, time.Now().Add(72*time.Hour), "early.test")
	early.Name = "upload/early"
	e.SetCertificates([]platform.EdgeCertificate{old, other, huge, early}, nil)
	told := strings.Join(e.Problems(), "\n")
	for _, want := range []string{`"upload/old": it expired`, `"upload/other": it is not for blog.test`, `"upload/huge": it has`, `"upload/early": it is valid from`} {
		if !strings.Contains(told, want) {
			t.Errorf("%s is not told in %s", want, told)
		}
	}
	e.SetCertificates(nil, []string{"upload/old", "upload/other", "upload/huge", "upload/early"})
	if told := e.Problems(); len(told) > 0 {
		t.Errorf("still told: %q", told)
	}
}
