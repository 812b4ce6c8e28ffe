package store

import (
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// A token without a name of its own shows none, whatever older rows called it.
const tokenColumns = "CASE WHEN tokens.named THEN tokens.name ELSE '' END, tokens.username, tokens.role, tokens.apps, tokens.created, tokens.expires, tokens.last_used"

func tokenFields(t *platform.Token) []any {
	return []any{&t.Name, &t.User, &t.Scope.Role, fromJSON(&t.Scope.Apps), at(&t.Created), at(&t.Expires), at(&t.LastUsed)}
}

func noToken(name string) error { return &platform.NotFoundError{Kind: "Token", ID: name} }

// InsertToken adds a credential of t.User. hash is a digest of the secret,
// which itself is never stored; t.Name says what it is for. The names of a
// user's named tokens are unique: a FieldError of "name".
func (tx *Tx) InsertToken(hash string, t platform.Token, named bool) error {
	_, err := tx.exec("INSERT INTO tokens (hash, username, name, role, apps, named, created, expires, last_used) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		hash, t.User, t.Name, string(t.Scope.Role), asList(t.Scope.Apps), named, micros(t.Created), micros(t.Expires), micros(t.LastUsed))
	return err
}

// Token is the token that has the hash, be it expired or not, and its user.
func (tx *Tx) Token(hash string) (platform.Token, platform.User, error) {
	type owned struct {
		token platform.Token
		user  platform.User
	}
	found, err := one(tx, noToken(""), func(row scanner) (o owned, err error) {
		err = row.Scan(append(tokenFields(&o.token), userFields(&o.user)...)...)
		return o, err
	}, "SELECT "+tokenColumns+", "+userColumns+" FROM tokens JOIN users ON users.username = tokens.username WHERE tokens.hash = ?", hash)
	return found.token, found.user, err
}

// NamedTokens lists the user's named tokens by name.
func (tx *Tx) NamedTokens(user string) ([]platform.Token, error) {
	return all(tx, func(row scanner) (t platform.Token, err error) {
		err = row.Scan(tokenFields(&t)...)
		return t, err
	}, "SELECT "+tokenColumns+" FROM tokens WHERE username = ? AND named ORDER BY name COLLATE BINARY", user)
}

// TouchToken notes when the token was shown last.
func (tx *Tx) TouchToken(hash string, when time.Time) error {
	return tx.change(noToken(""), "UPDATE tokens SET last_used = ? WHERE hash = ?", micros(when), hash)
}

// DeleteToken removes the user's named token of that name.
func (tx *Tx) DeleteToken(user, name string) error {
	return tx.change(noToken(name), "DELETE FROM tokens WHERE username = ? AND name = ? AND named", user, name)
}

// DeleteTokens removes all tokens of the user, the named ones included.
func (tx *Tx) DeleteTokens(user string) error {
	_, err := tx.exec("DELETE FROM tokens WHERE username = ?", user)
	return err
}

// DeleteAllTokens removes all tokens of all users.
func (tx *Tx) DeleteAllTokens() error {
	_, err := tx.exec("DELETE FROM tokens")
	return err
}

// TrimTokens removes the oldest tokens of the user beyond keep, but for the
// named ones.
func (tx *Tx) TrimTokens(user string, keep int) error {
	_, err := tx.exec(`DELETE FROM tokens WHERE username = ? AND NOT named AND hash NOT IN (
		SELECT hash FROM tokens WHERE username = ? AND NOT named ORDER BY created DESC, hash LIMIT ?)`, user, user, keep)
	return err
}
