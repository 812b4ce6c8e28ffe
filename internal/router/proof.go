package router

import (
	"crypto/tls"
	"net/http"
	"slices"
	"strings"
)

// proofPath is where authorities look for a token (RFC 8555, 8.3).
const proofPath = "/.well-known/acme-challenge/"

// alpnProof is the protocol that an authority offers alone (RFC 8737, 4).
const alpnProof = "acme-tls/1"

// proofKey finds what a host proves itself with: a token's answer, or without
// one the certificate of tls-alpn-01.
func proofKey(host, token string) string { return host + " " + token }

func (c *certificates) prove(cert *certificate) {
	if cert.wish.Challenge == nil {
		return
	}
	for _, host := range cert.hosts {
		if _, loaded := c.proofs.Swap(proofKey(host, cert.wish.Challenge.Token), cert); !loaded {
			c.proofing.Add(1)
		}
	}
}

func (c *certificates) unprove(cert *certificate) {
	if cert.wish.Challenge == nil {
		return
	}
	for _, host := range cert.hosts {
		if c.proofs.CompareAndDelete(proofKey(host, cert.wish.Challenge.Token), cert) {
			c.proofing.Add(-1)
		}
	}
}

// proof is the answer to an authority that asks a host for the path, whatever
// the app of that host is set to. It costs one load while nothing is proven.
func (r *Router) proof(host string, v *visit) (answer string, ok bool) {
	if r.certs.proofing.Load() == 0 {
		return "", false
	}
	token, ok := strings.CutPrefix(v.path(), proofPath)
	if !ok || token == "" {
		return "", false
	}
	cert, ok := r.certs.proofs.Load(proofKey(host, token))
	if !ok {
		return "", false
	}
	return cert.(*certificate).wish.Challenge.Answer, true
}

// proven is the page of a proof, which is bare.
func proven(answer string) page {
	return page{status: http.StatusOK, kind: "application/octet-stream", text: answer}
}

// proofFor is the certificate for a handshake of an authority's.
func (r *Router) proofFor(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	host, _ := normalHost(hello.ServerName)
	if cert, ok := r.certs.proofs.Load(proofKey(host, "")); ok {
		return cert.(*certificate).pair, nil
	}
	return nil, errNoCertificate
}

// isProof reports whether an authority asks for a proof: it offers one protocol.
func isProof(hello *tls.ClientHelloInfo) bool {
	return slices.Equal(hello.SupportedProtos, []string{alpnProof})
}
