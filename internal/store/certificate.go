package store

import (
	"strconv"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
)

const certificateColumns = "id, name, owner, common_name, san, fingerprint, issuer, subject, starts, expires, created, updated"

func scanCertificate(row scanner) (c platform.Certificate, err error) {
	err = row.Scan(certificateFields(&c)...)
	return c, err
}

func certificateFields(c *platform.Certificate) []any {
	return []any{
		&c.ID, &c.Name, &c.Owner, &c.CommonName, fromJSON(&c.SAN), &c.Fingerprint, &c.Issuer, &c.Subject,
		at(&c.Starts), at(&c.Expires), at(&c.Created), at(&c.Updated),
	}
}

func noCertificate(name string) error { return &platform.NotFoundError{Kind: "Certificate", ID: name} }

func aboutKey(id int64) string { return "certificates.key/" + strconv.FormatInt(id, 10) }

// InsertCertificate adds a certificate and returns it with its ID, which no
// other has or had. Its key is sealed. Names are unique among all users: a
// FieldError of "name". Its Domains are ignored: see AttachCertificate.
func (tx *Tx) InsertCertificate(c platform.Certificate) (platform.Certificate, error) {
	id, err := tx.next("certificates")
	if err != nil {
		return platform.Certificate{}, err
	}
	c.ID, c.Domains = id, []string{}
	if c.SAN == nil {
		c.SAN = []string{}
	}
	key := tx.ring.Seal([]byte(c.Key), aboutKey(id))
	_, err = tx.exec("INSERT INTO certificates ("+certificateColumns+", chain, key, sealed_under) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		c.ID, c.Name, c.Owner, c.CommonName, asList(c.SAN), c.Fingerprint, c.Issuer, c.Subject,
		micros(c.Starts), micros(c.Expires), micros(c.Created), micros(c.Updated), c.Chain, key, secret.KeyID(key))
	if err != nil {
		return platform.Certificate{}, err
	}
	return c, nil
}

// next is a number that the counter of that name has not given before.
func (tx *Tx) next(counter string) (n int64, err error) {
	if tx.readOnly {
		return 0, errReadOnly
	}
	err = tx.row("UPDATE counters SET value = value + 1 WHERE name = ? RETURNING value", counter).Scan(&n)
	return n, err
}

// Certificate is the owner's certificate of that name, without its Chain and Key.
func (tx *Tx) Certificate(owner, name string) (platform.Certificate, error) {
	c, err := tx.CertificateByName(name)
	if err == nil && c.Owner != owner {
		return platform.Certificate{}, noCertificate(name)
	}
	return c, err
}

// CertificateByName is the certificate of that name, whoever owns it, without
// its Chain and Key.
func (tx *Tx) CertificateByName(name string) (platform.Certificate, error) {
	c, err := one(tx, noCertificate(name), scanCertificate, "SELECT "+certificateColumns+" FROM certificates WHERE name = ?", name)
	if err != nil {
		return platform.Certificate{}, err
	}
	c.Domains, err = all(tx, scanText, "SELECT domain FROM domains WHERE certificate = ? ORDER BY domain COLLATE BINARY", name)
	return c, err
}

// Certificates lists a page of the owner's certificates by name, without
// their Chain and Key, and how many there are.
func (tx *Tx) Certificates(owner string, page platform.Page) ([]platform.Certificate, int, error) {
	certificates, count, err := window(tx, page, scanCertificate, selection{
		columns: certificateColumns, from: "certificates WHERE owner = ?", order: "name COLLATE BINARY", args: []any{owner},
	})
	if err != nil {
		return nil, 0, err
	}
	return certificates, count, tx.withDomains(certificates,
		"SELECT certificate, domain FROM domains WHERE certificate IN (SELECT name FROM certificates WHERE owner = ?)", owner)
}

// withDomains sets the Domains of the certificates by a query of names and domains.
func (tx *Tx) withDomains(certificates []platform.Certificate, query string, args ...any) error {
	pairs, err := all(tx, func(row scanner) (pair [2]string, err error) {
		err = row.Scan(&pair[0], &pair[1])
		return pair, err
	}, query+" ORDER BY domain COLLATE BINARY", args...)
	if err != nil {
		return err
	}
	domains := make(map[string][]string)
	for _, pair := range pairs {
		domains[pair[0]] = append(domains[pair[0]], pair[1])
	}
	for i, c := range certificates {
		certificates[i].Domains = append([]string{}, domains[c.Name]...)
	}
	return nil
}

// DeleteCertificate removes the owner's certificate of that name; its domains
// detach.
func (tx *Tx) DeleteCertificate(owner, name string) error {
	return tx.change(noCertificate(name), "DELETE FROM certificates WHERE owner = ? AND name = ?", owner, name)
}

// AttachCertificate has the domain served with the certificate of that name,
// instead of the one it has, if any.
func (tx *Tx) AttachCertificate(domain, name string) error {
	if _, err := tx.CertificateByName(name); err != nil {
		return err
	}
	return tx.change(noDomain(domain), "UPDATE domains SET certificate = ?, updated = ? WHERE domain = ?", name, micros(time.Now()), domain)
}

// DetachCertificate ends that; a domain that has none is no error.
func (tx *Tx) DetachCertificate(domain string) error {
	return tx.change(noDomain(domain), "UPDATE domains SET certificate = NULL, updated = ? WHERE domain = ?", micros(time.Now()), domain)
}

const edgeCertificates = "SELECT " + certificateColumns + `, chain, key FROM certificates
	WHERE name IN (SELECT certificate FROM domains WHERE certificate IS NOT NULL`

// EdgeCertificates are those attached to a domain at least, by name, with
// their Chain, Key and Domains. One whose key cannot be opened is left out,
// and logged: the others serve on.
func (tx *Tx) EdgeCertificates() ([]platform.Certificate, error) {
	return tx.edgeCertificates(edgeCertificates+") ORDER BY name COLLATE BINARY", "SELECT certificate, domain FROM domains WHERE certificate IS NOT NULL")
}

// EdgeCertificate is the one of that name among EdgeCertificates; found is
// false where it is not.
func (tx *Tx) EdgeCertificate(name string) (c platform.Certificate, found bool, err error) {
	one, err := tx.edgeCertificates(edgeCertificates+" AND certificate = ?)", "SELECT certificate, domain FROM domains WHERE certificate = ?", name)
	if err != nil || len(one) == 0 {
		return platform.Certificate{}, false, err
	}
	return one[0], true, nil
}

func (tx *Tx) edgeCertificates(query, domains string, args ...any) ([]platform.Certificate, error) {
	attached, err := all(tx, func(row scanner) (c platform.Certificate, err error) {
		err = row.Scan(append(certificateFields(&c), &c.Chain, &c.Key)...)
		return c, err
	}, query, args...)
	if err != nil {
		return nil, err
	}
	opened := attached[:0]
	for _, c := range attached {
		key, err := tx.ring.Open(c.Key, aboutKey(c.ID))
		if err != nil {
			tx.log.Error("a certificate's key cannot be opened", "certificate", c.Name, "err", err)
			continue
		}
		c.Key = string(key)
		opened = append(opened, c)
	}
	return opened, tx.withDomains(opened, domains, args...)
}
