package store

import "github.com/slipway-paas/slipway/internal/platform"

const keyColumns = "uuid, id, owner, public, fingerprint, created, updated"

func scanKey(row scanner) (k platform.Key, err error) {
	err = row.Scan(&k.UUID, &k.ID, &k.Owner, &k.Public, &k.Fingerprint, at(&k.Created), at(&k.Updated))
	return k, err
}

func noKey(id string) error { return &platform.NotFoundError{Kind: "Key", ID: id} }

// InsertKey adds an SSH key. sha256 is the fingerprint it is found by. Ids and
// keys are unique among all users: FieldErrors of "id" and "public".
func (tx *Tx) InsertKey(k platform.Key, sha256 string) error {
	_, err := tx.exec("INSERT INTO keys (uuid, id, owner, public, fingerprint, sha256, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		k.UUID, k.ID, k.Owner, k.Public, k.Fingerprint, sha256, micros(k.Created), micros(k.Updated))
	return err
}

// Keys lists a page of the owner's keys by their text, and how many there are.
func (tx *Tx) Keys(owner string, page platform.Page) ([]platform.Key, int, error) {
	return window(tx, page, scanKey, selection{
		columns: keyColumns, from: "keys WHERE owner = ?", order: "public COLLATE BINARY", args: []any{owner},
	})
}

// Key is the owner's key of that id.
func (tx *Tx) Key(owner, id string) (platform.Key, error) {
	return one(tx, noKey(id), scanKey, "SELECT "+keyColumns+" FROM keys WHERE owner = ? AND id = ?", owner, id)
}

// KeyByFingerprint is the key with the fingerprint InsertKey was given.
func (tx *Tx) KeyByFingerprint(sha256 string) (platform.Key, error) {
	return one(tx, noKey(sha256), scanKey, "SELECT "+keyColumns+" FROM keys WHERE sha256 = ?", sha256)
}

// KeyByMD5 is a key with that Fingerprint, whoever owns it.
func (tx *Tx) KeyByMD5(fingerprint string) (platform.Key, error) {
	return one(tx, noKey(fingerprint), scanKey, "SELECT "+keyColumns+" FROM keys WHERE fingerprint = ? ORDER BY created, uuid LIMIT 1", fingerprint)
}

// DeleteKey removes the owner's key of that id.
func (tx *Tx) DeleteKey(owner, id string) error {
	return tx.change(noKey(id), "DELETE FROM keys WHERE owner = ? AND id = ?", owner, id)
}
