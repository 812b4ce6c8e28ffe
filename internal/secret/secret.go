// Package secret keeps what must not be read on a disk: it is handed a text
// and seals it under the first of a ring of keys, and opens what any key of
// the ring has sealed. AES-256-GCM with random nonces (NIST SP 800-38D); a
// sealed text names the key it was sealed under and is bound to what it is about.
package secret

import "errors"

var errUnbuilt = errors.New("not built")

// Ring is the keys, the newest first. Safe for concurrent use.
type Ring struct{}

// Seal encrypts plain. about names the place the result is kept in, such as
// "configs.vars/<uuid>"; Open needs the same.
func (r *Ring) Seal(plain []byte, about string) string { return string(plain) }

// Open decrypts what Seal made. A text sealed under a key that is not in the
// ring, or about something else, is an error that names the key and the cure.
func (r *Ring) Open(sealed, about string) ([]byte, error) { return nil, errUnbuilt }
