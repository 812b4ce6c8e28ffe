package router

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/slipway-paas/slipway/internal/platform"
)

// certificate is one that the router was told of.
type certificate struct {
	wish  platform.EdgeCertificate // as told
	hosts []string                 // normal
	place int                      // in the list; guarded by Router.mu
	pair  *tls.Certificate         // nil: it cannot be read
	err   error                    // what is wrong with it
}

var errNoCertificate = errors.New("no certificate for this name")

// readCertificate parses one; what is wrong with it is in it.
func readCertificate(wish platform.EdgeCertificate) *certificate {
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

// certificates are those that handshakes are answered with. Looking up takes no
// lock; changes must not run at the same time.
type certificates struct {
	told []*certificate            // in the order that they were told in
	held sync.Map                  // what a host is answered with; a wildcard as what follows its "*"
	by   map[string][]*certificate // all for a host, by the keys of held
}

// set makes wish all there are. Of several for one host the last in the list
// is served. Only what changed is parsed, and only its hosts are touched, each
// at once: handshakes under way and those for other hosts notice nothing. The
// others are compared, and that is all that 10,000 of them cost.
func (c *certificates) set(wish []platform.EdgeCertificate) {
	first, last := 0, 0
	for first < min(len(c.told), len(wish)) && c.told[first].same(wish[first]) {
		first++
	}
	for last < min(len(c.told), len(wish))-first && c.told[len(c.told)-1-last].same(wish[len(wish)-1-last]) {
		last++
	}
	old := c.told[first : len(c.told)-last]
	left := map[string][]*certificate{} // by text, to be found again elsewhere in the list
	for _, cert := range old {
		left[cert.wish.Certificate] = append(left[cert.wish.Certificate], cert)
	}
	var fresh []*certificate
	for _, w := range wish[first : len(wish)-last] {
		fresh = append(fresh, again(w, left))
	}
	c.told = slices.Concat(c.told[:first], fresh, c.told[len(c.told)-last:])
	for place, cert := range c.told {
		cert.place = place
	}
	c.settle(old, fresh)
}

// settle brings the hosts of certificates that came, went or moved up to date.
func (c *certificates) settle(old, fresh []*certificate) {
	touched := map[string]bool{}
	for _, cert := range old {
		for _, host := range cert.hosts {
			key := keyOf(host)
			touched[key] = true
			c.by[key] = slices.DeleteFunc(c.by[key], func(other *certificate) bool { return other == cert })
		}
	}
	for _, cert := range fresh {
		for _, host := range cert.hosts {
			touched[keyOf(host)] = true
			c.by[keyOf(host)] = append(c.by[keyOf(host)], cert)
		}
	}
	for key := range touched {
		if len(c.by[key]) == 0 {
			delete(c.by, key)
			c.held.Delete(key)
			continue
		}
		c.held.Store(key, slices.MaxFunc(c.by[key], func(a, b *certificate) int { return cmp.Compare(a.place, b.place) }))
	}
}

// again is the one among left that wish tells of again, and is then not left
// any more, or a new one.
func again(wish platform.EdgeCertificate, left map[string][]*certificate) *certificate {
	alike := left[wish.Certificate]
	for i, cert := range alike {
		if cert.same(wish) {
			left[wish.Certificate] = slices.Delete(alike, i, i+1)
			return cert
		}
	}
	return readCertificate(wish)
}

// find is the certificate for a normal pattern: its own, else its parent's
// wildcard, which stands for one label (RFC 6125, 6.4.3); nil for none.
func (c *certificates) find(host string) *certificate {
	if cert, ok := c.held.Load(keyOf(host)); ok {
		return cert.(*certificate)
	}
	if dot := strings.IndexByte(host, '.'); dot > 0 {
		if cert, ok := c.held.Load(host[dot:]); ok {
			return cert.(*certificate)
		}
	}
	return nil
}

// complaints are what is wrong with those that were told.
func (c *certificates) complaints() (lines []string) {
	for _, cert := range c.told {
		if cert.err != nil {
			name := cert.wish.Name
			if name == "" {
				name = strings.Join(cert.wish.Hosts, " ")
			}
			lines = append(lines, fmt.Sprintf("%.80q: %v", name, cert.err))
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
		if c := r.certs.find(host); c != nil {
			r.fallback.Store(c)
			return
		}
	}
	r.fallback.Store(nil)
}

// certificate answers a handshake. Names that no certificate is for get the
// platform's, so that the client can say what is wrong.
func (r *Router) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if host, ok := normalHost(hello.ServerName); ok {
		if c := r.certs.find(host); c != nil {
			return c.pair, nil
		}
	}
	if c := r.fallback.Load(); c != nil {
		return c.pair, nil
	}
	return nil, errNoCertificate
}
