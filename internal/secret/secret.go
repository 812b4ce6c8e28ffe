// Package secret keeps what must not be read on a disk: it is handed a text
// and seals it under the first of a ring of keys, and opens what any key of
// the ring has sealed. AES-256-GCM with random nonces (NIST SP 800-38D); a
// sealed text names the key it was sealed under and is bound to what it is about.
package secret

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// Ring is the keys, the newest first. Safe for concurrent use. One that came
// from a file follows it: it looks at the file before it seals, and when it
// meets a key it does not have, so a change of the file needs no restart.
type Ring struct {
	path string // of the key file; empty: the keys never change

	mu   sync.Mutex
	keys []key
	seen os.FileInfo // the file the keys are of
}

// New is a ring of one fresh key that is kept nowhere: what it seals ends
// with the process.
func New() *Ring { return &Ring{keys: []key{newKey()}} }

// prefix begins every sealed text: prefix, key id, ":", base64 of nonce and
// ciphertext. The number is the form's.
const prefix = "sealed:1:"

// Seal encrypts plain, which may be any bytes, under the newest key. about
// names the place the result is kept in, such as "configs.vars/<uuid>"; Open
// needs the same. A key is good for some four billion texts.
func (r *Ring) Seal(plain []byte, about string) string {
	newest := r.current()[0]
	return prefix + newest.id + ":" + base64.RawStdEncoding.EncodeToString(newest.aead.Seal(nil, nil, plain, []byte(about)))
}

// Open decrypts what Seal made. A text sealed under a key that is not in the
// ring is an *UnknownKeyError; one that was changed, or is about something
// else, an error that names the key it says to be sealed under. No error
// repeats the text.
func (r *Ring) Open(sealed, about string) ([]byte, error) {
	id, body, ok := cut(sealed)
	if !ok {
		return nil, errors.New("the text is not sealed")
	}
	with, err := r.find(id)
	if err != nil {
		return nil, err
	}
	ciphertext, err := base64.RawStdEncoding.Strict().DecodeString(body)
	if err != nil {
		return nil, fmt.Errorf("what was sealed under key %s is damaged: put back a backup of it", id)
	}
	plain, err := with.aead.Open(nil, nil, ciphertext, []byte(about))
	if err != nil {
		return nil, fmt.Errorf("what was sealed under key %s was changed, or belongs to another place than %s: put back a backup of it", id, about)
	}
	return plain, nil
}

// Stale reports whether the text should be sealed anew: it is sealed under
// another key than the newest, or not at all.
func (r *Ring) Stale(sealed string) bool { return KeyID(sealed) != r.Newest() }

// Newest is the id of the key Seal uses.
func (r *Ring) Newest() string { return r.current()[0].id }

// KeyIDs are the ids of all keys, the newest first.
func (r *Ring) KeyIDs() []string {
	var ids []string
	for _, k := range r.current() {
		ids = append(ids, k.id)
	}
	return ids
}

// KeyID is the id of the key the text says to be sealed under; empty when it
// is not sealed.
func KeyID(sealed string) string {
	id, _, _ := cut(sealed)
	return id
}

func cut(sealed string) (id, body string, ok bool) {
	rest, ok := strings.CutPrefix(sealed, prefix)
	if !ok {
		return "", "", false
	}
	id, body, ok = strings.Cut(rest, ":")
	if !ok || !validID(id) {
		return "", "", false
	}
	return id, body, true
}

// UnknownKeyError says that a text is sealed under a key that is not in the
// ring. It tells the cure.
type UnknownKeyError struct {
	ID   string // of the missing key
	File string // where the keys come from; empty: the environment
	Why  error  // the file could not be read again; may be nil
}

func (e *UnknownKeyError) Error() string {
	where := e.File
	if where == "" {
		where = EnvironmentVariable
	}
	text := fmt.Sprintf("sealed under key %s, which is not in %s: put that key back there, below the newest", e.ID, where)
	if e.Why != nil {
		text += fmt.Sprintf(" (%v)", e.Why)
	}
	return text
}

func (e *UnknownKeyError) Unwrap() error { return e.Why }

// find is the key of that id; the file is looked at when the ring has none.
func (r *Ring) find(id string) (key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k, ok := pick(r.keys, id); ok {
		return k, nil
	}
	err := r.follow()
	if k, ok := pick(r.keys, id); ok {
		return k, nil
	}
	return key{}, &UnknownKeyError{ID: id, File: r.path, Why: err}
}

// current is the keys after a look at the file. A file that has become
// unreadable or wrong changes nothing: the keys that were good go on.
func (r *Ring) current() []key {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.follow() // told by find, when a key is missed
	return r.keys
}
