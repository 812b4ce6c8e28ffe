package router

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/slipway-paas/slipway/internal/platform"
)

// certificate is one that the router was told of.
type certificate struct {
	wish  platform.EdgeCertificate // as told
	hosts []string                 // normal
	place int                      // in a list, for those that were told in one
	pair  *tls.Certificate         // nil: it cannot be read
	bare  *tls.Certificate         // without its staple, for when that is over
	until time.Time                // how long the staple may be shown
	wrong []string                 // what is wrong with it
}

var errNoCertificate = errors.New("no certificate for this name")

// maxChainText bounds a chain and a key, together and in PEM: every handshake
// sends the one and signs with the other.
const maxChainText = 128 << 10

// readCertificate parses one; what is wrong with it is in it.
func readCertificate(wish platform.EdgeCertificate) *certificate {
	c := &certificate{wish: wish}
	c.hosts, c.wrong = normalPatterns(wish.Hosts)
	if wish.Challenge != nil && wish.Challenge.Token != "" {
		return c
	}
	if size := len(wish.Certificate) + len(wish.Key); size > maxChainText {
		return c.refuse(fmt.Sprintf("it has %d bytes, and a router serves up to %d", size, maxChainText))
	}
	// Its dates are no reason to leave it out: a client that is shown an expired
	// one can say what is wrong, one that is shown another's cannot.
	pair, err := tls.X509KeyPair([]byte(wish.Certificate), []byte(wish.Key))
	if err != nil {
		return c.refuse(err.Error())
	}
	c.pair, c.bare = &pair, &pair
	if wish.Challenge == nil {
		c.mismatches()
	}
	c.staple()
	return c
}

func (c *certificate) refuse(why string) *certificate {
	c.hosts, c.wrong = nil, []string{why}
	return c
}

// mismatches notes the hosts that clients will not take it for.
func (c *certificate) mismatches() {
	for _, host := range c.hosts {
		name := strings.Replace(host, "*.", "any.", 1)
		if c.pair.Leaf.VerifyHostname(name) != nil {
			c.wrong = append(c.wrong, fmt.Sprintf("it is not for %s: clients refuse it there", host))
		}
	}
}

// staple adds the responder's word, if it is one about this certificate.
func (c *certificate) staple() {
	if len(c.wish.OCSP) == 0 {
		return
	}
	word, err := ocsp.ParseResponse(c.wish.OCSP, nil)
	if err != nil || word.SerialNumber.Cmp(c.pair.Leaf.SerialNumber) != 0 {
		c.wrong = append(c.wrong, "its OCSP answer cannot be read, or is another's")
		return
	}
	pair := *c.pair
	pair.OCSPStaple = c.wish.OCSP
	c.pair, c.until = &pair, word.NextUpdate
}

// shown is what a handshake is answered with: a staple whose time is over is
// worse than none, for clients refuse it.
func (c *certificate) shown(now time.Time) *tls.Certificate {
	if c.pair != c.bare && !c.until.IsZero() && now.After(c.until) {
		return c.bare
	}
	return c.pair
}

// label is what a complaint calls it.
func (c *certificate) label() string {
	return cmp.Or(c.wish.Name, strings.Join(c.wish.Hosts, " "))
}

// same reports whether wish tells of c again.
func (c *certificate) same(wish platform.EdgeCertificate) bool {
	return c.wish.Name == wish.Name && c.wish.Certificate == wish.Certificate && c.wish.Key == wish.Key && c.wish.Rank == wish.Rank &&
		slices.Equal(c.wish.Hosts, wish.Hosts) && bytes.Equal(c.wish.OCSP, wish.OCSP) && platform.Same(c.wish.Challenge, wish.Challenge)
}

// certificates are those that handshakes are answered with. Looking up takes no
// lock; changes must not run at the same time. What a change costs does not
// depend on how many there are.
type certificates struct {
	told map[string]*certificate   // by name
	list []*certificate            // those that were told in one list, in its order
	held sync.Map                  // what a host is answered with; a wildcard as what follows its "*"
	by   map[string][]*certificate // all for a host, by the keys of held

	bell     atomic.Pointer[chan struct{}] // closed by the next change
	proofs   sync.Map                      // of hosts, for authorities: see proofKey
	proofing atomic.Int64                  // how many those are
}

func (c *certificates) begin() {
	c.told, c.by = map[string]*certificate{}, map[string][]*certificate{}
	next := make(chan struct{})
	c.bell.Store(&next)
}

// news is closed by the next change. Take it before looking.
func (c *certificates) news() <-chan struct{} { return *c.bell.Load() }

// change takes over the certificates that changed and drops those that are gone,
// by their names. Handshakes under way and those for other hosts notice nothing,
// and a host that goes from one to another is at no moment without.
func (c *certificates) change(changed []platform.EdgeCertificate, gone []string) (fresh, old []*certificate) {
	for _, wish := range changed {
		before := c.told[wish.Name]
		if before != nil && before.same(wish) {
			continue
		}
		cert := readCertificate(wish)
		c.told[wish.Name] = cert
		fresh, old = append(fresh, cert), append(old, before)
	}
	for _, name := range gone {
		old = append(old, c.told[name])
		delete(c.told, name)
	}
	old = slices.DeleteFunc(old, func(cert *certificate) bool { return cert == nil })
	c.settle(old, fresh)
	return fresh, old
}

// set makes wish all that was told in one list: of several for one host its last
// is served, if none has a higher rank. Only what changed is parsed.
func (c *certificates) set(wish []platform.EdgeCertificate) (fresh, old []*certificate) {
	left := map[string][]*certificate{} // by text, to be found again elsewhere in the list
	for _, cert := range c.list {
		left[cert.wish.Certificate] = append(left[cert.wish.Certificate], cert)
	}
	old, c.list = c.list, nil
	for place, w := range wish {
		cert := again(w, left)
		cert.place = place
		fresh = append(fresh, cert)
	}
	c.list = fresh
	c.settle(old, fresh)
	return fresh, old
}

// again is the one among left that wish tells of again, and is then not left
// any more, or a new one.
func again(wish platform.EdgeCertificate, left map[string][]*certificate) *certificate {
	alike := left[wish.Certificate]
	for i, cert := range alike {
		if cert.same(wish) {
			left[wish.Certificate] = slices.Delete(alike, i, i+1)
			copied := *cert // handshakes read the other
			return &copied
		}
	}
	return readCertificate(wish)
}

// settle brings the hosts of certificates that came, went or moved up to date.
func (c *certificates) settle(old, fresh []*certificate) {
	touched := map[string]bool{}
	for _, cert := range fresh {
		for _, key := range cert.keys() {
			touched[key] = true
			c.by[key] = append(c.by[key], cert)
		}
		c.prove(cert)
	}
	for _, cert := range old {
		for _, key := range cert.keys() {
			touched[key] = true
			c.by[key] = slices.DeleteFunc(c.by[key], func(other *certificate) bool { return other == cert })
		}
		c.unprove(cert)
	}
	for key := range touched {
		if len(c.by[key]) == 0 {
			delete(c.by, key)
			c.held.Delete(key)
			continue
		}
		c.held.Store(key, slices.MaxFunc(c.by[key], byRank))
	}
	next := make(chan struct{})
	close(*c.bell.Swap(&next))
}

// keys are where it is found by clients.
func (c *certificate) keys() (keys []string) {
	if c.wish.Challenge != nil {
		return nil
	}
	for _, host := range c.hosts {
		keys = append(keys, keyOf(host))
	}
	return keys
}

// byRank puts what is served last.
func byRank(a, b *certificate) int {
	return cmp.Or(cmp.Compare(a.wish.Rank, b.wish.Rank), cmp.Compare(a.place, b.place), cmp.Compare(a.wish.Name, b.wish.Name))
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

// expired says which certificates are over, or not valid yet. It looks at each:
// that is a comparison of times, and cheaper than to remember when to look.
func (c *certificates) expired(now time.Time) (lines []string) {
	look := func(cert *certificate) {
		switch {
		case cert.pair == nil || cert.wish.Challenge != nil:
		case now.After(cert.pair.Leaf.NotAfter):
			lines = append(lines, fmt.Sprintf("certificate %.80q: it expired on %s, and clients refuse it", cert.label(), cert.pair.Leaf.NotAfter.UTC().Format(time.DateTime)))
		case now.Before(cert.pair.Leaf.NotBefore):
			lines = append(lines, fmt.Sprintf("certificate %.80q: it is valid from %s on, and clients refuse it until then", cert.label(), cert.pair.Leaf.NotBefore.UTC().Format(time.DateTime)))
		}
	}
	for _, cert := range c.told {
		look(cert)
	}
	for _, cert := range c.list {
		look(cert)
	}
	return lines
}

// SetCertificates tells of certificates that changed, and names those that are
// gone. One that does not parse is left out, logged and told by Problems;
// handshakes under way keep the one they have.
func (r *Router) SetCertificates(changed []platform.EdgeCertificate, gone []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.complainOf(r.certs.change(changed, gone))
	r.setFallback()
}

// complainOf tells what is wrong with certificates that came, and no more of
// those that went.
func (r *Router) complainOf(fresh, old []*certificate) {
	wrong := map[string][]string{}
	for _, cert := range slices.Concat(old, fresh) {
		wrong["certificate "+fmt.Sprintf("%.80q", cert.label())] = nil
	}
	for _, cert := range fresh {
		what := "certificate " + fmt.Sprintf("%.80q", cert.label())
		wrong[what] = append(wrong[what], cert.wrong...)
	}
	for what, lines := range wrong {
		r.complain(what, lines)
	}
}

// setFallback makes the platform's own certificate the one for names that none
// is for: that of its domain, else that of a name of the control plane.
func (r *Router) setFallback() {
	for _, name := range r.own {
		if c := r.certs.find(name); c != nil {
			r.fallback.Store(c)
			return
		}
	}
	r.fallback.Store(nil)
}

// ownNames are the names whose certificate is the platform's, the best first.
func ownNames(state platform.EdgeState) (own []string) {
	for _, name := range slices.Concat([]string{state.Domain, "*." + state.Domain}, state.ControlHosts) {
		if host, ok := normalPattern(name); ok {
			own = append(own, host)
		}
	}
	return own
}

// certificate answers a handshake. Names that no certificate is for get the
// platform's, so that the client can say what is wrong.
func (r *Router) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return r.certificateFor(hello.Context(), hello.ServerName)
}

// certificateFor is certificate for a name, as long as the client is there.
func (r *Router) certificateFor(ctx context.Context, name string) (*tls.Certificate, error) {
	host, ok := normalHost(name)
	if ok {
		c := r.certs.find(host)
		if c == nil || c.wish.Rank == platform.RankPlatform {
			if asked := r.onDemand.await(r, ctx, host); asked != nil {
				c = asked
			}
		}
		if c != nil {
			return c.shown(time.Now()), nil
		}
	}
	if c := r.fallback.Load(); c != nil {
		return c.shown(time.Now()), nil
	}
	return nil, errNoCertificate
}
