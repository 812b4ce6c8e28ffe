package auth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// The bounds of a key.
const (
	maxKeyID     = 128
	maxPublic    = 16 << 10 // bytes
	minRSA       = 1024     // bits; less is broken on a laptop
	maxRSA       = 16384    // more costs the server too much per login
	maxKeysAUser = 1000
)

// AddKey adds an SSH public key, one authorized_keys line without options, to
// the caller. Ids and keys are unique among all users; field errors "id" and
// "public" have the words of the contract (2.10).
func (a *Auth) AddKey(ctx context.Context, caller platform.Caller, id, public string) (platform.Key, error) {
	if _, err := account(caller, ""); err != nil {
		return platform.Key{}, err
	}
	public = strings.TrimSpace(public)
	parsed, invalid := parsePublic(public)
	if err := errors.Join(validKeyID(id), invalid); err != nil {
		return platform.Key{}, err
	}
	now := time.Now().UTC()
	key := platform.Key{
		UUID: newUUID(), ID: id, Owner: caller.User, Public: public,
		Fingerprint: ssh.FingerprintLegacyMD5(parsed), Created: now, Updated: now,
	}
	err := a.store.Write(ctx, func(tx *store.Tx) error {
		if err := mayMint(tx, caller); err != nil {
			return err
		}
		if _, count, err := tx.Keys(caller.User, platform.Page{Limit: 1}); err != nil {
			return err
		} else if count >= maxKeysAUser {
			return platform.Invalid("public", "You have %d keys: remove one first.", count)
		}
		if err := tx.InsertKey(key, fingerprint(parsed.Marshal())); err != nil {
			return err
		}
		return record(tx, caller, "key.added", "key", id, "fingerprint", key.Fingerprint)
	})
	if err != nil {
		return platform.Key{}, err
	}
	a.log.Info("key added", "user", caller.User, "fingerprint", key.Fingerprint)
	return key, nil
}

// Keys lists a page of the caller's keys, and how many there are.
func (a *Auth) Keys(ctx context.Context, caller platform.Caller, page platform.Page) (keys []platform.Key, count int, err error) {
	if _, err := account(caller, ""); err != nil {
		return nil, 0, err
	}
	err = a.store.Read(ctx, func(tx *store.Tx) (err error) {
		keys, count, err = tx.Keys(caller.User, page)
		return err
	})
	return keys, count, err
}

// Key is the caller's key of that id.
func (a *Auth) Key(ctx context.Context, caller platform.Caller, id string) (key platform.Key, err error) {
	if _, err := account(caller, ""); err != nil {
		return platform.Key{}, err
	}
	err = a.store.Read(ctx, func(tx *store.Tx) (err error) {
		key, err = tx.Key(caller.User, id)
		return err
	})
	return key, err
}

// DeleteKey removes the caller's key of that id.
func (a *Auth) DeleteKey(ctx context.Context, caller platform.Caller, id string) error {
	if _, err := account(caller, ""); err != nil {
		return err
	}
	err := a.store.Write(ctx, func(tx *store.Tx) error {
		key, err := tx.Key(caller.User, id)
		if err != nil {
			return err
		}
		if err := tx.DeleteKey(caller.User, id); err != nil {
			return err
		}
		return record(tx, caller, "key.removed", "key", id, "fingerprint", key.Fingerprint)
	})
	if err == nil {
		a.log.Info("key removed", "user", caller.User)
	}
	return err
}

// KeyByMD5 finds a key, whoever owns it, by its contract fingerprint, for the
// builder. The key of a user who is not active is not found.
func (a *Auth) KeyByMD5(ctx context.Context, fingerprint string) (key platform.Key, err error) {
	err = a.store.Read(ctx, func(tx *store.Tx) error {
		if key, err = tx.KeyByMD5(fingerprint); err != nil {
			return err
		}
		return activeOwner(tx, key)
	})
	if err != nil {
		return platform.Key{}, err
	}
	return key, nil
}

func activeOwner(tx *store.Tx, key platform.Key) error {
	owner, err := tx.User(key.Owner)
	if err == nil && !owner.Active {
		err = &platform.NotFoundError{Kind: "Key", ID: key.Fingerprint}
	}
	return err
}

// KeysOf lists the keys of a user, for the builder; none of one who is not
// active.
func (a *Auth) KeysOf(ctx context.Context, username string) (keys []platform.Key, err error) {
	err = a.store.Read(ctx, func(tx *store.Tx) error {
		owner, err := tx.User(username)
		if err != nil {
			return err
		}
		if keys, _, err = tx.Keys(username, platform.Page{Limit: maxKeysAUser}); err == nil && !owner.Active {
			keys = []platform.Key{}
		}
		return err
	})
	return keys, err
}

func validKeyID(id string) error {
	switch {
	case strings.TrimSpace(id) == "":
		return platform.Invalid("id", "This field may not be blank.")
	case strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return platform.Invalid("id", "Control characters are not allowed.")
	}
	return atMost("id", id, maxKeyID)
}

// keyTypes are the names of the types of SSH keys that may log in.
var keyTypes = []string{
	ssh.KeyAlgoRSA, ssh.InsecureKeyAlgoDSA, ssh.KeyAlgoED25519, //nolint:staticcheck // the contract takes DSA
	ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
}

// parsePublic reads "type base64 comment".
func parsePublic(public string) (ssh.PublicKey, error) {
	switch {
	case public == "":
		return nil, platform.Invalid("public", "This field may not be blank.")
	case len(public) > maxPublic:
		return nil, platform.Invalid("public", "Ensure this field has no more than %d characters.", maxPublic)
	case strings.ContainsFunc(public, func(r rune) bool { return (r < ' ' && r != '\t') || r == 0x7f }):
		return nil, platform.Invalid("public", "Key is more than one line")
	}
	words := strings.Fields(public)
	if len(words) < 2 {
		return nil, platform.Invalid("public", "Key contains invalid base64 chars")
	}
	wire, err := base64.StdEncoding.DecodeString(words[1])
	if err != nil {
		return nil, platform.Invalid("public", "Key contains invalid base64 chars")
	}
	key, err := ssh.ParsePublicKey(wire)
	if err != nil || key.Type() != words[0] || !slices.Contains(keyTypes, key.Type()) {
		return nil, platform.Invalid("public", "Key is no SSH public key of type rsa, dsa, ecdsa or ed25519")
	}
	return key, validStrength(key)
}

func validStrength(key ssh.PublicKey) error {
	crypto, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil
	}
	if public, ok := crypto.CryptoPublicKey().(*rsa.PublicKey); ok {
		if bits := public.N.BitLen(); bits < minRSA || bits > maxRSA {
			return platform.Invalid("public", "Key has %d bits: rsa keys need between %d and %d", bits, minRSA, maxRSA)
		}
	}
	return nil
}

// fingerprint is what a key is looked up by, as ssh-keygen -l prints it.
func fingerprint(wire []byte) string {
	sum := sha256.Sum256(wire)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// newUUID is a random one (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see its documentation
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
