package router

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// certificates are what TLS handshakes are answered with, by name. Immutable.
type certificates struct {
	byHost   map[string]*tls.Certificate // "*.example.com" for wildcards
	fallback *tls.Certificate
	parsed   map[pairText]*tls.Certificate // so that a swap parses only what is new
}

// pairText is a certificate's text.
type pairText struct{ certificate, key string }

var errNoCertificate = errors.New("no certificate for this name")

// parseCertificates reads state's, taking over from old what is the same.
func parseCertificates(log *slog.Logger, state platform.EdgeState, old *certificates) *certificates {
	next := &certificates{byHost: map[string]*tls.Certificate{}, parsed: map[pairText]*tls.Certificate{}}
	for _, c := range state.Certificates {
		key := pairText{c.Certificate, c.Key}
		cert := old.parsed[key]
		if cert == nil {
			pair, err := tls.X509KeyPair([]byte(c.Certificate), []byte(c.Key))
			if err != nil {
				log.Warn("certificate was left out: it cannot be read", "domain", strings.Join(c.Hosts, " "), "err", err)
				continue
			}
			cert = &pair
		}
		next.parsed[key] = cert
		for _, pattern := range c.Hosts {
			if host, ok := normalPattern(pattern); ok {
				next.byHost[host] = cert
			}
		}
		if next.fallback == nil {
			next.fallback = cert
		}
	}
	if domain, ok := normalHost(state.Domain); ok {
		if cert := next.find(domain); cert != nil {
			next.fallback = cert
		}
	}
	return next
}

// find is the certificate for a normal host: its own, else its parent's
// wildcard, which stands for one label (RFC 6125, 6.4.3); nil for none.
func (c *certificates) find(host string) *tls.Certificate {
	if cert := c.byHost[host]; cert != nil {
		return cert
	}
	if _, parent, ok := strings.Cut(host, "."); ok {
		return c.byHost["*."+parent]
	}
	return nil
}

// certificate answers a handshake. Names that no certificate is for get the
// platform's, so that the client can say what is wrong.
func (r *Router) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	certs := r.certs.Load()
	if host, ok := normalHost(hello.ServerName); ok {
		if cert := certs.find(host); cert != nil {
			return cert, nil
		}
	}
	if certs.fallback == nil {
		return nil, errNoCertificate
	}
	return certs.fallback, nil
}
