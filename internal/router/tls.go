package router

import (
	"container/list"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/overload"
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
	made     atomic.Int64 // how many came about
	tidy     tidy         // the watch's
	pace     overload.Pace

	mu    sync.Mutex
	seats list.List     // of those under way, the oldest first
	freed chan struct{} // holds a token when one ended
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
	h.freed = make(chan struct{}, 1)
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
	if err := r.handshakes.turn(r.base, r.now()); err != nil {
		return nil, err
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

// handshake brings a connection to where requests can come; the watch ends it
// when its time is over. Very many may be under way; of more, those wait that
// came last, and the oldest that takes longer than a client needs makes room for
// them: who sends nothing, or the half of it, holds up nobody.
func (r *Router) handshake(socket net.Conn, conn *tls.Conn) error {
	seat, err := r.handshakes.enter(r.base, socket, r.opt.HeaderTimeout, r.opt.Handshakes)
	if err != nil {
		return err
	}
	defer r.handshakes.leave(seat)
	deepen()
	return conn.HandshakeContext(context.Background()) // any other would be waited for by a goroutine
}

// deepen makes the goroutine's stack large enough for a handshake at once. Else it
// would grow with it, step by step, and each time all that is on it by then is
// found and copied.
//
//go:noinline
func deepen() { occupy(new([12 << 10]byte)) }

//go:noinline
func occupy(*[12 << 10]byte) {} // so that there has to be room for it

// handshaking is a handshake that is under way.
type handshaking struct {
	began  time.Time
	socket net.Conn
}

// handshakeGrace is how long a handshake may take where others wait: some round
// trips around the world.
const handshakeGrace = 1500 * time.Millisecond

func (h *handshakes) enter(ctx context.Context, socket net.Conn, limit time.Duration, most int) (*list.Element, error) {
	for came := time.Now(); ; {
		h.mu.Lock()
		now := time.Now()
		if h.seats.Len() >= most {
			oldest := h.seats.Front()
			left := handshakeGrace - now.Sub(oldest.Value.(*handshaking).began)
			if left > 0 {
				h.mu.Unlock()
				if err := h.await(ctx, min(left, limit-now.Sub(came))); err != nil {
					return nil, err
				}
				continue
			}
			_ = oldest.Value.(*handshaking).socket.Close()
			h.seats.Remove(oldest)
		}
		e := h.seats.PushBack(&handshaking{now, socket})
		h.mu.Unlock()
		return e, nil
	}
}

// await waits until there may be a seat.
func (h *handshakes) await(ctx context.Context, most time.Duration) error {
	if most <= 0 {
		return os.ErrDeadlineExceeded
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.freed:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// turn waits for a handshake's turn: of all that a router does it is what can
// best be put off when it is late.
func (h *handshakes) turn(ctx context.Context, now time.Duration) error {
	wait, ok := h.pace.Turn(now)
	switch {
	case !ok:
		return os.ErrDeadlineExceeded
	case wait == 0:
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// underWay is how many are.
func (h *handshakes) underWay() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seats.Len()
}

// leave gives a seat back, which may be another's already.
func (h *handshakes) leave(e *list.Element) {
	h.mu.Lock()
	h.seats.Remove(e) // does nothing when it is out
	h.mu.Unlock()
	select {
	case h.freed <- struct{}{}:
	default:
	}
}

// profileOf is an app's own profile; empty: the router's.
func profileOf(wish string) string {
	if wish == platform.TLSModern || wish == platform.TLSIntermediate {
		return wish
	}
	return ""
}
