package store

import (
	"database/sql"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

const domainColumns = "domain, app, owner, certificate, created, updated"

func scanDomain(row scanner) (d platform.Domain, err error) {
	var certificate sql.NullString
	err = row.Scan(&d.Domain, &d.App, &d.Owner, &certificate, at(&d.Created), at(&d.Updated))
	d.Certificate = certificate.String
	return d, err
}

func noDomain(name string) error { return &platform.NotFoundError{Kind: "Domain", ID: name} }

// InsertDomain adds a domain to an app. One in use by any app is a FieldError
// of "domain".
func (tx *Tx) InsertDomain(d platform.Domain) error {
	_, err := tx.exec("INSERT INTO domains ("+domainColumns+", mirror) VALUES (?, ?, ?, ?, ?, ?, ?)",
		d.Domain, d.App, d.Owner, orNull(d.Certificate), micros(d.Created), micros(d.Updated), mirrored(d.Domain))
	return err
}

// mirrored is a name as column mirror holds it, its last byte first: so all
// names below one stand side by side in an index.
func mirrored(name string) string {
	text := []byte(name)
	slices.Reverse(text)
	return string(text)
}

// Domain looks a domain up, of any app.
func (tx *Tx) Domain(name string) (platform.Domain, error) {
	return one(tx, noDomain(name), scanDomain, "SELECT "+domainColumns+" FROM domains WHERE domain = ?", name)
}

// Domains lists a page of the app's domains in order, and how many there are.
func (tx *Tx) Domains(app string, page platform.Page) ([]platform.Domain, int, error) {
	return window(tx, page, scanDomain, selection{
		columns: domainColumns, from: "domains WHERE app = ?", order: "domain COLLATE BINARY", args: []any{app},
	})
}

// AutomaticDomains are the app's domains that have no certificate attached and
// want one by themselves, in order; of every app when app is empty. Their owner is
// the app's, whoever added them.
func (tx *Tx) AutomaticDomains(app string) ([]platform.Domain, error) {
	columns := strings.Replace(domainColumns, "owner", "(SELECT apps.owner FROM apps WHERE apps.id = domains.app)", 1)
	query, args := "SELECT "+columns+` FROM domains WHERE certificate IS NULL
		AND NOT EXISTS (SELECT 1 FROM tls WHERE tls.app = domains.app AND tls.automatic = FALSE)`, []any{}
	if app != "" {
		query, args = query+" AND app = ?", append(args, app)
	}
	return all(tx, scanDomain, query+" ORDER BY domain COLLATE BINARY", args...)
}

// Claims are those of the names that are domains, of whichever app.
func (tx *Tx) Claims(names ...string) ([]platform.Domain, error) {
	args := make([]any, len(names))
	for i, name := range names {
		args[i] = name
	}
	return all(tx, scanDomain, "SELECT "+domainColumns+" FROM domains WHERE domain IN ("+strings.TrimPrefix(strings.Repeat(", ?", len(names)), ", ")+")", args...)
}

// DomainsBelow are domains below a host name, of all apps: the first few hundred
// that come after last, which is empty at the beginning. None are left when none
// come.
func (tx *Tx) DomainsBelow(host, last string) ([]platform.Domain, error) {
	from, to := mirrored("."+host), mirrored("/"+host) // '/' comes after '.'
	if last != "" {
		from = mirrored(last)
	}
	return all(tx, scanDomain, "SELECT "+domainColumns+" FROM domains WHERE mirror > ? AND mirror < ? ORDER BY mirror LIMIT 500", from, to)
}

// DeleteDomain removes a domain of the app.
func (tx *Tx) DeleteDomain(app, name string) error {
	return tx.change(noDomain(name), "DELETE FROM domains WHERE app = ? AND domain = ?", app, name)
}
