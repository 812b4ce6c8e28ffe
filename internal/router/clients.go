package router

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// clientPolicy is an app's demand for certificates of clients. It is checked in
// the handshake, by the name that the client asks for, and again at each request:
// a connection may carry requests for other names than that (RFC 9110, 7.4).
type clientPolicy struct {
	wish  platform.ClientCerts
	pool  *x509.CertPool
	roots map[[32]byte]bool // by the hash of the certificate
	wrong []string
	made  atomic.Pointer[clientConfig]
}

// clientConfig is the configuration for handshakes, made anew with the keys of
// tickets.
type clientConfig struct {
	profile string
	tickets *tickets
	config  *tls.Config
}

// maxClientCAs bounds the authorities of one app: each is sent in the handshake.
const maxClientCAs = 100

// clientsAfter is the app's demand; what is the same as in old is taken over.
// Authorities that cannot be read let nobody in: who asked for certificates did
// not ask for everybody.
func clientsAfter(old *clientPolicy, wish *platform.ClientCerts) *clientPolicy {
	if wish == nil {
		return nil
	}
	if old != nil && old.wish == *wish {
		return old
	}
	p := &clientPolicy{wish: *wish, pool: x509.NewCertPool(), roots: map[[32]byte]bool{}}
	for block, rest := pem.Decode([]byte(wish.CA)); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err != nil:
			p.wrong = append(p.wrong, "an authority of clients cannot be read: "+err.Error())
		case len(p.roots) == maxClientCAs:
			p.wrong = append(p.wrong, fmt.Sprintf("an app has at most %d authorities of clients", maxClientCAs))
		default:
			p.pool.AddCert(cert)
			p.roots[sha256.Sum256(cert.Raw)] = true
		}
	}
	if len(p.roots) == 0 {
		p.wrong = append(p.wrong, "no authority of clients can be read: nobody is let in")
	}
	return p
}

func (p *clientPolicy) complaints() []string {
	if p == nil {
		return nil
	}
	return slices.Clone(p.wrong)
}

// configOf is what handshakes for the app's hosts go on with.
func (p *clientPolicy) configOf(r *Router, profile string) *tls.Config {
	if profile == "" {
		profile = r.opt.TLSProfile
	}
	now := r.handshakes.tickets.Load()
	if made := p.made.Load(); made != nil && made.tickets == now && made.profile == profile {
		return made.config
	}
	config := r.handshakes.profiles[profile].Clone()
	config.ClientCAs, config.ClientAuth = p.pool, tls.RequireAndVerifyClientCert
	if p.wish.Optional {
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	if len(now.keys) > 0 {
		config.SetSessionTicketKeys(now.keys)
	}
	p.bind(config)
	p.made.Store(&clientConfig{profile, now, config})
	return config
}

// bind has sessions resume where they began: under the same authorities. Without
// it a ticket of another app's handshake, under the same keys, would be looked at.
func (p *clientPolicy) bind(config *tls.Config) {
	mark := []byte("slipway clients " + p.wish.CA)
	sum := sha256.Sum256(mark)
	config.WrapSession = func(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		session.Extra = append(session.Extra, sum[:])
		return config.EncryptTicket(state, session)
	}
	config.UnwrapSession = func(identity []byte, state tls.ConnectionState) (*tls.SessionState, error) {
		session, err := config.DecryptTicket(identity, state)
		if err != nil || session == nil {
			return nil, err
		}
		for _, extra := range session.Extra {
			if string(extra) == string(sum[:]) {
				return session, nil
			}
		}
		return nil, nil
	}
}

// judge decides about a request for a host of a that came on a connection; state
// is nil for plain HTTP, and behind proxies that end TLS themselves.
func (p *clientPolicy) judge(r *Router, a *app, state *tls.ConnectionState, now time.Time) refusal {
	if p == nil {
		return admitted
	}
	switch {
	case state == nil && p.wish.Optional:
		return admitted
	case state == nil:
		return uncertified
	}
	if host, ok := normalHost(state.ServerName); !ok || r.find(host) != a {
		return misdirected // the client was asked for another's certificate, or none
	}
	if len(state.VerifiedChains) == 0 {
		if p.wish.Optional && len(state.PeerCertificates) == 0 {
			return admitted
		}
		return misdirected // the demand is newer than the connection
	}
	if now.After(state.PeerCertificates[0].NotAfter) || !slices.ContainsFunc(state.VerifiedChains, p.trusts) {
		return misdirected
	}
	return admitted
}

func (p *clientPolicy) trusts(chain []*x509.Certificate) bool {
	return p.roots[sha256.Sum256(chain[len(chain)-1].Raw)]
}

// The headers that tell an app of its client's certificate. They are taken off
// every request that comes in.
const (
	clientVerifiedHeader    = "X-Client-Cert-Verified"    // SUCCESS or NONE
	clientSubjectHeader     = "X-Client-Cert-Subject"     // RFC 2253
	clientFingerprintHeader = "X-Client-Cert-Fingerprint" // SHA-256 in hex
)

// bearer is what an app is told of its client's certificate; verified is empty
// for apps that ask for none.
type bearer struct {
	verified, subject, fingerprint string
}

func (p *clientPolicy) bearer(state *tls.ConnectionState) bearer {
	switch {
	case p == nil:
		return bearer{}
	case state == nil || len(state.PeerCertificates) == 0:
		return bearer{verified: "NONE"}
	}
	leaf := state.PeerCertificates[0]
	sum := sha256.Sum256(leaf.Raw)
	return bearer{"SUCCESS", headerText(leaf.Subject.String()), hex.EncodeToString(sum[:])}
}

// lines appends what the app is told, as lines of a head.
func (b *bearer) lines(dst []byte) []byte {
	if b.verified == "" {
		return dst
	}
	dst = append(append(append(dst, clientVerifiedHeader+": "...), b.verified...), "\r\n"...)
	if b.fingerprint == "" {
		return dst
	}
	dst = append(append(append(dst, clientSubjectHeader+": "...), b.subject...), "\r\n"...)
	return append(append(append(dst, clientFingerprintHeader+": "...), b.fingerprint...), "\r\n"...)
}

// headerText is a name as a header's value can hold it.
func headerText(name string) string {
	const most = 1024
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, name[:min(len(name), most)])
}
