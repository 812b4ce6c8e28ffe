package staple

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// signer is who can sign, with a certificate.
type signer struct {
	*testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var mustStapleFeature = pkix.Extension{Id: []int{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 3, 2, 1, 5}}

func authority(t *testing.T, name string) *signer {
	return (&signer{T: t}).issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	})
}

// serial is of the next certificate.
var serial = func() func() *big.Int {
	var mu sync.Mutex
	var n int64
	return func() *big.Int {
		mu.Lock()
		defer mu.Unlock()
		n++
		return big.NewInt(n)
	}
}()

// issue signs a certificate; that of nobody signs itself.
func (s *signer) issue(wish *x509.Certificate) *signer {
	s.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.Fatal(err)
	}
	wish.SerialNumber = serial()
	if wish.NotAfter.IsZero() {
		wish.NotAfter = time.Now().Add(90 * 24 * time.Hour)
	}
	wish.NotBefore = time.Now().Add(-time.Hour)
	parent, by := s.cert, s.key
	if parent == nil {
		parent, by = wish, key
	}
	der, err := x509.CreateCertificate(rand.Reader, wish, parent, &key.PublicKey, by)
	if err != nil {
		s.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		s.Fatal(err)
	}
	return &signer{s.T, cert, key}
}

// site issues a certificate for a host that names a responder.
func (s *signer) site(host, responder string, more ...pkix.Extension) *signer {
	return s.issue(&x509.Certificate{DNSNames: []string{host}, OCSPServer: []string{responder}, ExtraExtensions: more})
}

func (s *signer) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Raw}))
}

// edge is the certificate as routers get it.
func (s *signer) edge(host string, issuer *signer) platform.EdgeCertificate {
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		s.Fatal(err)
	}
	return platform.EdgeCertificate{Name: host, Hosts: []string{host}, Certificate: s.pem() + issuer.pem(), Key: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))}
}

// says is an answer of s, as a responder, about a certificate.
func (s *signer) says(issuer, leaf *x509.Certificate, change func(*ocsp.Response)) []byte {
	s.Helper()
	word := ocsp.Response{Status: ocsp.Good, SerialNumber: leaf.SerialNumber, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	if change != nil {
		change(&word)
	}
	text, err := ocsp.CreateResponse(issuer, s.cert, word, crypto.Signer(s.key))
	if err != nil {
		s.Fatal(err)
	}
	return text
}

// responder answers what answer says; asked is told of each question.
func responder(t *testing.T, answer func(question *ocsp.Request, w http.ResponseWriter)) (url string, asked chan struct{}) {
	asked = make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		question, err := ocsp.ParseRequest(body)
		if err != nil || r.Header.Get("Content-Type") != "application/ocsp-request" {
			t.Errorf("the question is %x: %v", body, err)
			return
		}
		answer(question, w)
		asked <- struct{}{}
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestOnlyAWordThatClientsWouldTakeIsTaken(t *testing.T) {
	ca, stranger := authority(t, "authority"), authority(t, "stranger")
	site := ca.site("blog.test", "http://ocsp.test")
	spokesman := ca.issue(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}})
	customer := ca.issue(&x509.Certificate{DNSNames: []string{"customer.test"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	late := ca.issue(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, NotAfter: time.Now().Add(-time.Minute)})
	embedded := func(by *signer) func(*ocsp.Response) { return func(r *ocsp.Response) { r.Certificate = by.cert } }
	for _, c := range []struct {
		what, why string
		text      []byte
	}{
		{"the authority's", "", ca.says(ca.cert, site.cert, nil)},
		{"its spokesman's", "", spokesman.says(ca.cert, site.cert, embedded(spokesman))},
		{"a customer's", "signed by who may not", customer.says(ca.cert, site.cert, embedded(customer))},
		{"a former spokesman's", "does not hold now", late.says(ca.cert, site.cert, embedded(late))},
		{"a stranger's", "bad OCSP signature", stranger.says(ca.cert, site.cert, nil)},
		{"a stranger's with its certificate", "bad OCSP signature", stranger.says(ca.cert, site.cert, embedded(stranger))},
		{"about another", "another certificate", ca.says(ca.cert, customer.cert, nil)},
		{"that it is revoked", "revoked", ca.says(ca.cert, site.cert, func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, time.Now() })},
		{"that it is unknown", "does not know", ca.says(ca.cert, site.cert, func(r *ocsp.Response) { r.Status = ocsp.Unknown })},
		{"of yesterday", "does not hold now", ca.says(ca.cert, site.cert, func(r *ocsp.Response) { r.NextUpdate = time.Now().Add(-time.Second) })},
		{"of tomorrow", "does not hold now", ca.says(ca.cert, site.cert, func(r *ocsp.Response) { r.ThisUpdate = time.Now().Add(time.Hour) })},
		{"for ever", "does not hold now", ca.says(ca.cert, site.cert, func(r *ocsp.Response) { r.NextUpdate = time.Time{} })},
		{"to try later", "try later", ocsp.TryLaterErrorResponse},
		{"nothing", "no answer", nil},
		{"no OCSP", "asn1", []byte("<html>")},
	} {
		_, err := read(c.text, site.cert, ca.cert, time.Now())
		if c.why == "" && err != nil || c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)) {
			t.Errorf("the word is %s: %v", c.what, err)
		}
	}
	if mustStaple(site.cert) || !mustStaple(ca.site("must.test", "http://ocsp.test", mustStapleFeature).cert) {
		t.Error("it is not known which certificates need a staple")
	}
}

// handed is a stapler whose words go to a router, and are counted.
func handed(t *testing.T, log io.Writer, opt Options, certs ...platform.EdgeCertificate) (addr string, words chan string, s *Stapler) {
	t.Helper()
	r := router.New(slog.New(slog.DiscardHandler), router.Options{})
	t.Cleanup(r.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = r.ServeTLS(ln) }() // ends with Close
	words = make(chan string, 100)
	r.SetCertificates(certs, nil)
	opt.Set = func(name, chain string, word []byte) error {
		for _, c := range certs {
			if c.Name == name && c.Certificate == chain {
				c.OCSP = word
				r.SetCertificates([]platform.EdgeCertificate{c}, nil)
			}
		}
		words <- name
		return nil
	}
	s = New(slog.New(slog.NewTextHandler(log, nil)), opt)
	t.Cleanup(s.Close)
	for _, c := range certs {
		s.Told(c.Name, c.Certificate, nil)
	}
	return ln.Addr().String(), words, s
}

// stapled is what a client is shown with a host's certificate.
func stapled(t *testing.T, addr, host string) []byte {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: host, InsecureSkipVerify: true}) //nolint:gosec // only the staple is looked at
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().OCSPResponse
}

func TestTheWordOfAResponderIsStapledAndAskedForAnewInTime(t *testing.T) {
	ca := authority(t, "authority")
	url, asked := responder(t, func(q *ocsp.Request, w http.ResponseWriter) {
		_, _ = w.Write(ca.says(ca.cert, &x509.Certificate{SerialNumber: q.SerialNumber}, func(r *ocsp.Response) {
			r.ThisUpdate, r.NextUpdate = time.Now().Add(-2*time.Second), time.Now().Add(10*time.Second)
		}))
	})
	site := ca.site("blog.test", url, mustStapleFeature)
	addr, words, s := handed(t, io.Discard, Options{Private: true}, site.edge("blog.test", ca))
	<-words
	first := stapled(t, addr, "blog.test")
	if word, err := ocsp.ParseResponseForCert(first, site.cert, ca.cert); err != nil || word.Status != ocsp.Good {
		t.Fatal(word, err)
	}
	<-asked
	<-asked // before the first is over
	<-words
	again := stapled(t, addr, "blog.test")
	for ; bytes.Equal(first, again); again = stapled(t, addr, "blog.test") {
		<-words // the first was looked at late, on a slow machine
	}
	if len(again) == 0 {
		t.Error("there is no staple any more")
	}
	s.Told("blog.test", "", nil)
	if s.mu.Lock(); len(s.subjects) != 0 {
		t.Error("one that is gone is followed")
	}
	s.mu.Unlock()
}

func TestAResponderThatIsSlowOrDownHoldsUpNobodyAndIsAskedAgain(t *testing.T) {
	ca := authority(t, "authority")
	var mu sync.Mutex
	bad := 0
	over, answered := make(chan struct{}), make(chan struct{})
	broken, _ := responder(t, func(q *ocsp.Request, w http.ResponseWriter) {
		mu.Lock()
		bad++
		n := bad
		mu.Unlock()
		switch n {
		case 1:
			<-over // it never answers
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 3:
			_, _ = w.Write(make([]byte, 1<<20))
		default:
			select {
			case <-answered:
			default: // the other's word comes first on a machine of any speed
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			_, _ = w.Write(ca.says(ca.cert, &x509.Certificate{SerialNumber: q.SerialNumber}, nil))
		}
	})
	t.Cleanup(func() { close(over) }) // before its server is closed
	sound, _ := responder(t, func(q *ocsp.Request, w http.ResponseWriter) {
		_, _ = w.Write(ca.says(ca.cert, &x509.Certificate{SerialNumber: q.SerialNumber}, nil))
	})
	addr, words, _ := handed(t, io.Discard, Options{Private: true, Timeout: 200 * time.Millisecond, FirstPause: 10 * time.Millisecond},
		ca.site("broken.test", broken).edge("broken.test", ca), ca.site("sound.test", sound).edge("sound.test", ca))
	if first := <-words; first != "sound.test" || stapled(t, addr, "sound.test") == nil || stapled(t, addr, "broken.test") != nil {
		t.Errorf("%s came first", first)
	}
	close(answered)
	if then := <-words; then != "broken.test" || stapled(t, addr, "broken.test") == nil {
		t.Errorf("%s came then", then)
	}
}

// syncWriter tells of each line of a log.
type syncWriter chan string

func (w syncWriter) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

func TestNobodyHasUsAskAtPrivateAddressesByACertificate(t *testing.T) {
	ca := authority(t, "authority")
	url, asked := responder(t, func(*ocsp.Request, http.ResponseWriter) {})
	for _, at := range []string{url, "http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/", "ftp://127.0.0.1/", "unix:/run/socket"} {
		lines := make(syncWriter, 10)
		handed(t, lines, Options{}, ca.site("blog.test", at).edge("blog.test", ca))
		if line := <-lines; !strings.Contains(line, "address of this network") && !strings.Contains(line, "no address of a responder") {
			t.Errorf("%s: %s", at, line)
		}
	}
	select {
	case <-asked:
		t.Error("it was asked")
	default:
	}
}
