package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"

	"github.com/slipway-paas/slipway/internal/platform"
)

// The cost of a password's hash, as OWASP advises for argon2id. A hash carries
// its own, so these may change.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonLanes  = 1
	argonKey    = 32
	argonSalt   = 16
)

// hasher makes and checks password hashes, two at a time, so that many logins
// at once cost time and not memory.
type hasher struct {
	running chan struct{}
	waiting chan struct{}
	working atomic.Int64
	// dummy is compared with when there is no user, to take the same time.
	dummy string
}

func newHasher() *hasher {
	h := &hasher{running: make(chan struct{}, 2), waiting: make(chan struct{}, 64)}
	h.dummy = encode(make([]byte, argonSalt), make([]byte, argonKey))
	return h
}

// hash encodes a fresh hash of the password in the PHC string format.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails, see its documentation
	var encoded string
	err := h.work(ctx, func() {
		encoded = encode(salt, argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, argonKey))
	})
	return encoded, err
}

// matches reports whether the password is the one encoded was made from. An
// empty encoded, for no user, takes as long and never matches.
func (h *hasher) matches(ctx context.Context, password, encoded string) (bool, error) {
	nobody := encoded == ""
	if nobody {
		encoded = h.dummy
	}
	want, err := decode(encoded)
	if err != nil {
		return false, err
	}
	var got []byte
	err = h.work(ctx, func() {
		got = argon2.IDKey([]byte(password), want.salt, want.time, want.memory, want.lanes, uint32(len(want.key)))
	})
	same := subtle.ConstantTimeCompare(got, want.key) == 1
	return same && !nobody && err == nil, err
}

// work runs f when there is room. The last one out gives the memory back to
// the machine: one hash needs a quarter of what an idle Slipway may use.
func (h *hasher) work(ctx context.Context, f func()) error {
	select {
	case h.waiting <- struct{}{}:
		defer func() { <-h.waiting }()
	default:
		return fmt.Errorf("too many passwords to check at once, try again: %w", platform.ErrUnavailable)
	}
	select {
	case h.running <- struct{}{}:
		defer func() { <-h.running }()
	case <-ctx.Done():
		return ctx.Err()
	}
	h.working.Add(1)
	f()
	if h.working.Add(-1) == 0 {
		debug.FreeOSMemory()
	}
	return nil
}

// hashed is an encoded hash, taken apart.
type hashed struct {
	memory, time uint32
	lanes        uint8
	salt, key    []byte
}

func encode(salt, key []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

var errHash = errors.New("a stored password hash is not readable")

func decode(encoded string) (h hashed, err error) {
	var version int
	var rest string
	if _, err := fmt.Sscanf(encoded, "$argon2id$v=%d$m=%d,t=%d,p=%d$%s", &version, &h.memory, &h.time, &h.lanes, &rest); err != nil {
		return hashed{}, errHash
	}
	if version != argon2.Version || h.memory > 1<<20 || h.time < 1 || h.time > 64 || h.lanes < 1 {
		return hashed{}, errHash
	}
	salt, key, _ := strings.Cut(rest, "$")
	if h.salt, err = base64.RawStdEncoding.DecodeString(salt); err != nil {
		return hashed{}, errHash
	}
	if h.key, err = base64.RawStdEncoding.DecodeString(key); err != nil || len(h.key) < 16 {
		return hashed{}, errHash
	}
	return h, nil
}
