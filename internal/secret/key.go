package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// key is 32 bytes, ready to use.
type key struct {
	id   string
	text string // base64, as a key file holds it
	aead cipher.AEAD
}

// idBytes of a hash name a key: enough to tell apart the few keys of a
// platform, and nothing of the key.
const idBytes = 6

func validID(id string) bool {
	_, err := hex.DecodeString(id)
	return err == nil && len(id) == 2*idBytes && id == strings.ToLower(id)
}

func makeKey(raw []byte) (key, error) {
	if len(raw) != 32 {
		return key{}, fmt.Errorf("a key has 32 bytes, this one %d", len(raw))
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return key{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return key{}, err
	}
	sum := sha256.Sum256(append([]byte("slipway key id\x00"), raw...))
	return key{id: hex.EncodeToString(sum[:idBytes]), text: base64.StdEncoding.EncodeToString(raw), aead: aead}, nil
}

func newKey() key {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails: crypto/rand ends the process instead
	k, err := makeKey(raw)
	if err != nil {
		panic(err) // impossible: 32 bytes
	}
	return k
}

// parseKey reads base64, with or without padding. Its error never repeats text.
func parseKey(text string) (key, error) {
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return key{}, errors.New("not a key: want 32 bytes in base64, such as `openssl rand -base64 32` prints")
	}
	return makeKey(raw)
}

// add appends a key that is not among keys.
func add(keys []key, text string) ([]key, error) {
	k, err := parseKey(text)
	if err != nil {
		return nil, err
	}
	if _, twice := pick(keys, k.id); twice {
		return nil, fmt.Errorf("key %s is there twice", k.id)
	}
	if len(keys) == maxKeys {
		return nil, fmt.Errorf("more than %d keys", maxKeys)
	}
	return append(keys, k), nil
}

// maxKeys bounds a ring.
const maxKeys = 1000

func pick(keys []key, id string) (key, bool) {
	for _, k := range keys {
		if k.id == id {
			return k, true
		}
	}
	return key{}, false
}
