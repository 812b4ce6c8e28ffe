package balance

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// How a client stays with an instance: platform.Balance.Sticky.
const (
	StickyCookie = "cookie"
	StickyClient = "client"
)

// CookieName is that of the cookie that names an instance.
const CookieName = "slipway_instance"

// A token is the hash of an instance and what signs it, so that a client can
// neither choose an instance nor learn its name.
const (
	hashBytes  = 8
	tokenBytes = hashBytes + 16
)

var tokenSize = base64.RawURLEncoding.EncodedLen(tokenBytes)

// sign makes the tokens, once a change of the pool.
func (b *Balancer) sign() {
	b.tokens = make([]string, len(b.hosts))
	for i, h := range b.hosts {
		token := binary.BigEndian.AppendUint64(nil, h.hash)
		mac := hmac.New(sha256.New, b.key)
		mac.Write(token)
		b.tokens[i] = base64.RawURLEncoding.EncodeToString(mac.Sum(token)[:tokenBytes])
	}
}

// Sticky is how clients stay with instances: empty, StickyCookie or StickyClient.
func (b *Balancer) Sticky() string { return b.settings.Sticky }

// Token is what the cookie of host i says; empty: there is none.
func (b *Balancer) Token(i int) string {
	if i < 0 || i >= len(b.tokens) {
		return ""
	}
	return b.tokens[i]
}

// Named is the host that a cookie names; -1: none that is here.
func (b *Balancer) Named(token []byte) int {
	if len(token) != tokenSize {
		return -1
	}
	found := -1
	for i := range b.tokens {
		if subtle.ConstantTimeCompare([]byte(b.tokens[i]), token) == 1 {
			found = i
		}
	}
	return found
}

// Nearest is the host that a client is led to by its key, as long as the host
// may serve: the highest of the hashes of both (rendezvous hashing), so that
// no other client moves when a host comes or goes. -1: no sound one.
func (b *Balancer) Nearest(now time.Duration, client string, may func(i int) bool) int {
	key := uint64(14695981039346656037)
	for i := range len(client) {
		key = (key ^ uint64(client[i])) * 1099511628211
	}
	best, highest := -1, uint64(0)
	for i, h := range b.hosts {
		if score := mix(key ^ h.hash); (best < 0 || score > highest) && may(i) && h.takes(now) && !b.full(h, now) {
			best, highest = i, score
		}
	}
	return best
}
