package platform

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"
)

// Passwords of an app's visitors (see BasicAuth) are kept as
//
//	pbkdf2-sha256$iterations$salt$hash
//
// with salt and hash in base64 without padding (RFC 4648). A router checks them,
// so what a guess costs it is bounded too: some 15 ms of one core.
const (
	passwordForm       = "pbkdf2-sha256"
	passwordIterations = 100_000
	passwordSalt       = 16
	passwordKey        = 32
)

// Bounds of what is taken for a hash that somebody else made.
const (
	minIterations = 10_000
	maxIterations = 1_000_000
)

// Bounds of a visitor's password, in bytes.
const (
	MinVisitorPassword = 8
	MaxVisitorPassword = 200
)

// HashPassword is a fresh hash of a visitor's password. It takes about as long
// as VerifyPassword.
func HashPassword(password string) (string, error) {
	if len(password) < MinVisitorPassword || len(password) > MaxVisitorPassword {
		return "", Invalid("password", "A password has %d to %d bytes.", MinVisitorPassword, MaxVisitorPassword)
	}
	salt := make([]byte, passwordSalt)
	_, _ = rand.Read(salt) // never fails, see its documentation
	key, err := pbkdf2.Key(sha256.New, password, salt, passwordIterations, passwordKey)
	if err != nil {
		return "", err
	}
	return strings.Join([]string{
		passwordForm, strconv.Itoa(passwordIterations), base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key),
	}, "$"), nil
}

// VerifyPassword reports whether hash was made from the password; of what is no
// hash, never. It takes as much time for a wrong password as for the right one.
func VerifyPassword(hash, password string) bool {
	iterations, salt, key, ok := parseHash(hash)
	if !ok || len(password) > MaxVisitorPassword {
		return false
	}
	other, err := pbkdf2.Key(sha256.New, password, salt, iterations, len(key))
	return err == nil && subtle.ConstantTimeCompare(key, other) == 1
}

// ValidPasswordHash reports whether text has the form of HashPassword's, within
// bounds that VerifyPassword can bear.
func ValidPasswordHash(text string) bool {
	_, _, _, ok := parseHash(text)
	return ok
}

func parseHash(text string) (iterations int, salt, key []byte, ok bool) {
	parts := strings.Split(text, "$")
	if len(parts) != 4 || parts[0] != passwordForm || len(text) > 200 {
		return 0, nil, nil, false
	}
	iterations, err := strconv.Atoi(parts[1])
	if err != nil || iterations < minIterations || iterations > maxIterations {
		return 0, nil, nil, false
	}
	strict := base64.RawStdEncoding.Strict()
	salt, saltErr := strict.DecodeString(parts[2])
	key, keyErr := strict.DecodeString(parts[3])
	return iterations, salt, key, saltErr == nil && keyErr == nil && len(salt) >= 8 && len(key) == passwordKey
}
