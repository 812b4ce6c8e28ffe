package router

import (
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-paas/slipway/internal/platform"
)

// TestTheLastInTheListIsServed compares what a change left with what the list
// says by itself.
func TestTheLastInTheListIsServed(t *testing.T) {
	pair := somePair(t)
	hosts := rapid.SampledFrom([]string{"a.test", "*.a.test", "b.a.test", "test"})
	one := rapid.Custom(func(t *rapid.T) platform.EdgeCertificate {
		return platform.EdgeCertificate{
			Certificate: pair.Certificate + rapid.SampledFrom([]string{"", "\n", "\n\n"}).Draw(t, "text"), Key: pair.Key,
			Hosts: rapid.SliceOfN(hosts, 0, 3).Draw(t, "hosts"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		var certs certificates
		certs.begin()
		for range rapid.IntRange(1, 8).Draw(t, "changes") {
			list := rapid.SliceOfN(one, 0, 6).Draw(t, "list")
			certs.set(list)
			for host, chain := range map[string][]string{
				"a.test": {"a.test"}, "b.a.test": {"b.a.test", "*.a.test"}, "c.a.test": {"*.a.test"}, "c.b.a.test": {}, "test": {"test"},
			} {
				if got, want := certs.find(host), lastFor(list, chain); got == nil != (want == nil) || got != nil && got.wish.Certificate != want.Certificate {
					t.Fatalf("%s of %v: got %v, want %v", host, list, got, want)
				}
			}
		}
		certs.set(nil)
		if len(certs.by) > 0 {
			t.Fatalf("left behind: %v", certs.by)
		}
	})
}

// somePair is a certificate and its key.
func somePair(t *testing.T) platform.EdgeCertificate {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	cert := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return platform.EdgeCertificate{
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})),
		Key:         string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	}
}

func lastFor(list []platform.EdgeCertificate, chain []string) *platform.EdgeCertificate {
	for _, pattern := range chain {
		for i := len(list) - 1; i >= 0; i-- {
			if slices.Contains(list[i].Hosts, pattern) {
				return &list[i]
			}
		}
	}
	return nil
}
