package router

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// intermediateSuites are those of TLS 1.2 that keep a recording useless to who
// learns the key later, and that cannot be tampered with (Mozilla's intermediate
// profile). Those of TLS 1.3 are all like that.
var intermediateSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// handshakes is how TLS connections begin: the configurations, and how many may
// begin at a time. It remembers nothing of names that clients send.
type handshakes struct {
	profiles map[string]*tls.Config // by platform.TLSModern and so on
	proofs   *tls.Config
	tickets  atomic.Pointer[tickets]
	renew    sync.Mutex
	rooms    chan struct{} // each holds one
}

// tickets are keys of session tickets, the newest first. Immutable.
type tickets struct {
	keys [][32]byte
	made time.Time // the newest of them; zero: crypto/tls makes its own
}

const (
	// ticketLife is how long a key is the newest, and ticketKeys how many are
	// taken: a session resumes for that many times as long.
	ticketLife = time.Hour
	ticketKeys = 3
)

func (r *Router) beginTLS() {
	h := &r.handshakes
	h.rooms = make(chan struct{}, r.opt.Handshakes)
	h.profiles = map[string]*tls.Config{
		platform.TLSModern:       r.profile(tls.VersionTLS13),
		platform.TLSIntermediate: r.profile(tls.VersionTLS12),
	}
	h.proofs = &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{alpnProof}, GetCertificate: r.proofFor, SessionTicketsDisabled: true,
	}
	h.tickets.Store(&tickets{})
}

func (r *Router) profile(version uint16) *tls.Config {
	return &tls.Config{
		MinVersion: version, CipherSuites: intermediateSuites, GetCertificate: r.certificate,
		NextProtos: []string{"h2", "http/1.1"},
	}
}

// tlsConfig is the configuration of every listener for HTTPS. What a client gets
// is chosen by the name it asks for: see configFor.
func (r *Router) tlsConfig() *tls.Config {
	config := r.profile(tls.VersionTLS12)
	config.GetConfigForClient = r.configFor
	return config
}

// configFor is what a handshake goes on with: it is told of the client's first
// message and has cost nothing yet.
func (r *Router) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if isProof(hello) {
		return r.handshakes.proofs, nil
	}
	r.rotate(time.Now())
	profile := r.opt.TLSProfile
	if host, ok := normalHost(hello.ServerName); ok {
		if a := r.find(host); a != nil && !a.control {
			if rt := a.route.Load(); rt != nil {
				if rt.clients != nil {
					return rt.clients.configOf(r, rt.tlsProfile), nil
				}
				if rt.tlsProfile != "" {
					profile = rt.tlsProfile
				}
			}
		}
	}
	return r.handshakes.profiles[profile], nil
}

// setTickets takes over keys that the routers share. Without any, as a control
// plane tells that knows nothing of them, crypto/tls makes its own.
func (r *Router) setTickets(wish []platform.TicketKey) {
	next := &tickets{}
	for _, t := range wish[:min(len(wish), ticketKeys)] {
		key, err := base64.StdEncoding.DecodeString(t.Key)
		if err != nil || len(key) != 32 {
			continue
		}
		next.keys = append(next.keys, [32]byte(key))
		if t.Made.After(next.made) {
			next.made = t.Made
		}
	}
	if len(next.keys) > 0 {
		r.useTickets(next)
	}
}

func (r *Router) useTickets(next *tickets) {
	r.handshakes.renew.Lock()
	defer r.handshakes.renew.Unlock()
	if old := r.handshakes.tickets.Load(); slices.Equal(old.keys, next.keys) || old.made.After(next.made) {
		return // told again; or made here, while nobody told
	}
	r.handshakes.tickets.Store(next)
	for _, config := range r.handshakes.profiles {
		config.SetSessionTicketKeys(next.keys)
	}
}

// rotate makes a key of the router's own when nobody has told of one for long:
// one that stays in use makes old recordings readable to who finds it.
func (r *Router) rotate(now time.Time) {
	t := r.handshakes.tickets.Load()
	if t.made.IsZero() || now.Sub(t.made) < 2*ticketLife {
		return
	}
	next := &tickets{made: now}
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	next.keys = append([][32]byte{key}, t.keys[:min(len(t.keys), ticketKeys-1)]...)
	r.useTickets(next)
}

var errCrowded = errors.New("too many handshakes at a time")

// handshake brings a connection to where requests can come, within the time that
// ctx has. Of very many at a time those beyond Options.Handshakes wait for room,
// without a buffer and before anything is computed for them.
func (r *Router) handshake(ctx context.Context, conn *tls.Conn) error {
	select {
	case r.handshakes.rooms <- struct{}{}:
	case <-ctx.Done():
		return errCrowded
	}
	defer func() { <-r.handshakes.rooms }()
	return conn.HandshakeContext(ctx)
}

// profileOf is an app's own profile; empty: the router's.
func profileOf(wish string) string {
	if wish == platform.TLSModern || wish == platform.TLSIntermediate {
		return wish
	}
	return ""
}
