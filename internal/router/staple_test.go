package router_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// stapled is a certificate and what its responder says of it, until then.
func stapled(t *testing.T, until time.Time, names ...string) platform.EdgeCertificate {
	t.Helper()
	c := selfSigned(t, names...)
	chain, _ := pem.Decode([]byte(c.Certificate))
	leaf, err := x509.ParseCertificate(chain.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(c.Key))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	c.OCSP, err = ocsp.CreateResponse(leaf, leaf, ocsp.Response{
		Status: ocsp.Good, SerialNumber: leaf.SerialNumber, ThisUpdate: until.Add(-time.Hour), NextUpdate: until,
	}, key.(crypto.Signer))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAResponderIsQuotedUntilItsWordIsOver(t *testing.T) {
	e := serve(t, router.Options{})
	addr := e.serveTLS()
	fresh, over, bad := stapled(t, time.Now().Add(time.Hour), "fresh.test"), stapled(t, time.Now().Add(-time.Minute), "over.test"), selfSigned(t, "bad.test")
	fresh.Name, over.Name, bad.Name, bad.OCSP = "fresh", "over", "bad", []byte("no answer")
	e.SetCertificates([]platform.EdgeCertificate{fresh, over, bad}, nil)
	for name, want := range map[string][]byte{"fresh.test": fresh.OCSP, "over.test": nil, "bad.test": nil} {
		conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := conn.OCSPResponse(); !bytes.Equal(got, want) {
			t.Errorf("%s is stapled with %d bytes, want %d", name, len(got), len(want))
		}
		conn.Close()
	}
	if told := strings.Join(e.Problems(), "\n"); !strings.Contains(told, `"bad": its OCSP answer cannot be read`) {
		t.Errorf("it is told: %q", told)
	}
}
