package router

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// certificate is one that the router was told of.
type certificate struct {
	wish  platform.EdgeCertificate // as told
	hosts []string                 // normal
	pair  *tls.Certificate         // nil: it cannot be read, because of
	err   error
}

var errNoCertificate = errors.New("no certificate for this name")

func newCertificate(wish platform.EdgeCertificate) *certificate {
	c := &certificate{wish: wish}
	var wrong []string
	if c.hosts, wrong = normalPatterns(wish.Hosts); len(wrong) > 0 {
		c.err = errors.New(strings.Join(wrong, ", "))
	}
	// Its dates are not looked at: a client that is shown an expired one can
	// say what is wrong, one that is shown another's cannot.
	pair, err := tls.X509KeyPair([]byte(wish.Certificate), []byte(wish.Key))
	if err != nil {
		c.hosts, c.err = nil, err
		return c
	}
	c.pair = &pair
	return c
}

// same reports whether wish tells of c again.
func (c *certificate) same(wish platform.EdgeCertificate) bool {
	return c.wish.Name == wish.Name && c.wish.Certificate == wish.Certificate && c.wish.Key == wish.Key && slices.Equal(c.wish.Hosts, wish.Hosts)
}

// setCertificates makes state's all there are. Only those that changed are
// parsed, and only their hosts are touched, each at once: handshakes under way
// and those for other hosts notice nothing. Of several for one host the last
// told wins. The others are compared, which is all that 10,000 of them cost.
func (r *Router) setCertificates(state platform.EdgeState) {
	old, wish := r.served, state.Certificates
	first := 0
	for first < min(len(old), len(wish)) && old[first].same(wish[first]) {
		first++
	}
	last := 0
	for last < min(len(old), len(wish))-first && old[len(old)-1-last].same(wish[len(wish)-1-last]) {
		last++
	}
	left := map[string][]*certificate{} // by text, to be found again elsewhere in the list
	for _, c := range old[first : len(old)-last] {
		left[c.wish.Certificate] = append(left[c.wish.Certificate], c)
	}
	next := slices.Clone(old[:first])
	for _, w := range wish[first : len(wish)-last] {
		next = append(next, r.serveCertificate(w, left))
	}
	next = append(next, old[len(old)-last:]...)
	for _, gone := range left {
		for _, c := range gone {
			for _, host := range c.hosts {
				r.certs.leave(host, c)
			}
		}
	}
	r.served = next
	r.complain("certificates", complaintsOf(next))
}

// serveCertificate is the one among left that wish tells of again, and is then
// not left any more, or a new one.
func (r *Router) serveCertificate(wish platform.EdgeCertificate, left map[string][]*certificate) *certificate {
	alike := left[wish.Certificate]
	for i, c := range alike {
		if c.same(wish) {
			left[wish.Certificate] = slices.Delete(alike, i, i+1)
			return c
		}
	}
	c := newCertificate(wish)
	for _, host := range c.hosts {
		r.certs.take(host, c)
	}
	return c
}

func complaintsOf(certs []*certificate) (lines []string) {
	for _, c := range certs {
		if c.err != nil {
			name := c.wish.Name
			if name == "" {
				name = strings.Join(c.wish.Hosts, " ")
			}
			lines = append(lines, fmt.Sprintf("%.80q: %v", name, c.err))
		}
	}
	return lines
}

// setFallback makes the platform's own certificate the one for names that none
// is for: that of its domain, else that of a name of the control plane.
func (r *Router) setFallback(state platform.EdgeState) {
	for _, name := range slices.Concat([]string{state.Domain, "*." + state.Domain}, state.ControlHosts) {
		host, ok := normalPattern(name)
		if !ok {
			continue
		}
		if c := r.certificateFor(host); c != nil {
			r.fallback.Store(c)
			return
		}
	}
	r.fallback.Store(nil)
}

// certificateFor is the certificate for a normal pattern: its own, else its
// parent's wildcard, which stands for one label (RFC 6125, 6.4.3); nil for none.
func (r *Router) certificateFor(host string) *certificate {
	if c, ok := r.certs.at(keyOf(host)); ok {
		return c
	}
	if dot := strings.IndexByte(host, '.'); dot > 0 {
		if c, ok := r.certs.at(host[dot:]); ok {
			return c
		}
	}
	return nil
}

// certificate answers a handshake. Names that no certificate is for get the
// platform's, so that the client can say what is wrong.
func (r *Router) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if host, ok := normalHost(hello.ServerName); ok {
		if c := r.certificateFor(host); c != nil {
			return c.pair, nil
		}
	}
	if c := r.fallback.Load(); c != nil {
		return c.pair, nil
	}
	return nil, errNoCertificate
}
