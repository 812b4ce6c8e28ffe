package store

import (
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// InsertToken adds a credential of the user. hash is a digest of the secret,
// which itself is never stored; name says what it is for.
func (tx *Tx) InsertToken(hash, user, name string, created time.Time) error {
	_, err := tx.exec("INSERT INTO tokens (hash, username, name, created) VALUES (?, ?, ?, ?)", hash, user, name, micros(created))
	return err
}

// TokenUser is the user whose token has the hash; not found is of kind "Token".
func (tx *Tx) TokenUser(hash string) (platform.User, error) {
	return one(tx, &platform.NotFoundError{Kind: "Token"}, scanUser,
		"SELECT "+userColumns+" FROM users JOIN tokens ON tokens.username = users.username WHERE tokens.hash = ?", hash)
}

// DeleteTokens removes all tokens of the user.
func (tx *Tx) DeleteTokens(user string) error {
	_, err := tx.exec("DELETE FROM tokens WHERE username = ?", user)
	return err
}

// TrimTokens removes the oldest tokens of the user beyond keep.
func (tx *Tx) TrimTokens(user string, keep int) error {
	_, err := tx.exec(`DELETE FROM tokens WHERE username = ? AND hash NOT IN (
		SELECT hash FROM tokens WHERE username = ? ORDER BY created DESC, hash LIMIT ?)`, user, user, keep)
	return err
}
