package store

import (
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
)

// ACMEFile is what is kept under a name: a path with slashes.
type ACMEFile struct {
	Name     string
	Size     int64
	Modified time.Time
}

func noACMEFile(name string) error { return &platform.NotFoundError{Kind: "ACME file", ID: name} }

func aboutACMEFile(name string) string { return "acme_files.value/" + name }

// PutACMEFile keeps a value under a name, sealed, instead of the one before.
func (tx *Tx) PutACMEFile(name string, value []byte) error {
	sealed := tx.ring.Seal(value, aboutACMEFile(name))
	_, err := tx.exec(`INSERT INTO acme_files (name, value, size, sealed_under, modified) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value, size = excluded.size, sealed_under = excluded.sealed_under, modified = excluded.modified`,
		name, sealed, len(value), secret.KeyID(sealed), micros(time.Now()))
	return err
}

// ACMEFile is the value kept under the name.
func (tx *Tx) ACMEFile(name string) ([]byte, error) {
	sealed, err := one(tx, noACMEFile(name), scanText, "SELECT value FROM acme_files WHERE name = ?", name)
	if err != nil {
		return nil, err
	}
	value, err := tx.ring.Open(sealed, aboutACMEFile(name))
	if err != nil {
		return nil, cannotOpen(name, err)
	}
	return value, nil
}

// ACMEFiles are those of the name and below it, by name.
func (tx *Tx) ACMEFiles(prefix string) ([]ACMEFile, error) {
	from, to := below(prefix)
	return all(tx, func(row scanner) (f ACMEFile, err error) {
		err = row.Scan(&f.Name, &f.Size, at(&f.Modified))
		return f, err
	}, "SELECT name, size, modified FROM acme_files WHERE name = ? OR name >= ? AND name < ? ORDER BY name COLLATE BINARY", prefix, from, to)
}

// below bounds the names under a path; every name for the empty one.
func below(prefix string) (from, to string) {
	if prefix == "" {
		return "", "\U0010FFFF"
	}
	return prefix + "/", prefix + "0" // what follows "/"
}

// DeleteACMEFiles removes those of the name and below it; none is no error.
func (tx *Tx) DeleteACMEFiles(name string) error {
	from, to := below(name)
	_, err := tx.exec("DELETE FROM acme_files WHERE name = ? OR name >= ? AND name < ?", name, from, to)
	return err
}

// LockACME takes a lock for as long, or reports that somebody has it.
func (tx *Tx) LockACME(name, holder string, life time.Duration) (taken bool, err error) {
	now := time.Now()
	n, err := tx.exec(`INSERT INTO acme_locks (name, holder, expires) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires = excluded.expires WHERE acme_locks.expires < ?`,
		name, holder, micros(now.Add(life)), micros(now))
	return n > 0, err
}

// ACMELocks names the locks below a path that somebody has.
func (tx *Tx) ACMELocks(path string) ([]string, error) {
	from, to := below(path)
	return all(tx, scanText, "SELECT name FROM acme_locks WHERE name >= ? AND name < ? AND expires >= ? ORDER BY name COLLATE BINARY", from, to, micros(time.Now()))
}

// ProlongACME gives a lock more time; it reports false when it is another's now.
func (tx *Tx) ProlongACME(name, holder string, life time.Duration) (held bool, err error) {
	n, err := tx.exec("UPDATE acme_locks SET expires = ? WHERE name = ? AND holder = ?", micros(time.Now().Add(life)), name, holder)
	return n > 0, err
}

// UnlockACME gives a lock back; one that is another's is left to it.
func (tx *Tx) UnlockACME(name, holder string) error {
	_, err := tx.exec("DELETE FROM acme_locks WHERE name = ? AND holder = ?", name, holder)
	return err
}

// UnlockAllACME gives back what a process held whose successor asks: holders are
// its name, a slash and something of its own.
func (tx *Tx) UnlockAllACME(process string) error {
	from, to := below(strings.TrimSuffix(process, "/"))
	_, err := tx.exec("DELETE FROM acme_locks WHERE holder >= ? AND holder < ?", from, to)
	return err
}
