package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// aCertificate is ann's, as InsertCertificate is given it.
func aCertificate(name string) platform.Certificate {
	return platform.Certificate{
		Name: name, Owner: "ann", Chain: "chain of " + name, Key: "key of " + name, CommonName: "*.foo.com", SAN: []string{"foo.com"},
		Fingerprint: "8F:8E", Issuer: "/C=US", Subject: "/CN=*.foo.com", Starts: moment, Expires: moment.AddDate(1, 0, 0), Created: moment, Updated: moment,
	}
}

// withCertificate adds mine to ann, and domain a.foo.com to blog.
func withCertificate(t *testing.T, s *store.Store) {
	t.Helper()
	withApp(t, s)
	write(t, s, func(tx *store.Tx) error {
		_, err := tx.InsertCertificate(aCertificate("mine"))
		return errors.Join(err, tx.InsertDomain(platform.Domain{Domain: "a.foo.com", App: "blog", Owner: "ann"}))
	})
}

func edge(t *testing.T, s *store.Store) []platform.Certificate {
	t.Helper()
	return read(t, s, func(tx *store.Tx) ([]platform.Certificate, error) { return tx.EdgeCertificates() })
}

func TestACertificateIsKeptWithItsKeyForTheEdgeAlone(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withCertificate(t, s)
		want := aCertificate("mine")
		want.ID, want.Chain, want.Key, want.Domains = 1, "", "", []string{}
		get := func() platform.Certificate {
			return read(t, s, func(tx *store.Tx) (platform.Certificate, error) { return tx.Certificate("ann", "mine") })
		}
		same(t, get(), want)
		same(t, edge(t, s), []platform.Certificate{})

		write(t, s, func(tx *store.Tx) error { return tx.AttachCertificate("a.foo.com", "mine") })
		want.Domains = []string{"a.foo.com"}
		same(t, get(), want)
		same(t, read(t, s, func(tx *store.Tx) (platform.Certificate, error) { return tx.CertificateByName("mine") }), want)
		same(t, read(t, s, func(tx *store.Tx) (platform.Domain, error) { return tx.Domain("a.foo.com") }).Certificate, "mine")
		want.Chain, want.Key = "chain of mine", "key of mine"
		same(t, edge(t, s), []platform.Certificate{want})

		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.DetachCertificate("a.foo.com"), tx.DetachCertificate("a.foo.com"))
		})
		same(t, edge(t, s), []platform.Certificate{})
	})
}

func TestWhatIsNoCertificateOrDomainIsNotFound(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withCertificate(t, s)
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.AttachCertificate("nothing", "other") }), "Certificate")
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.AttachCertificate("nothing", "mine") }), "Domain")
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.DetachCertificate("nothing") }), "Domain")
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.DeleteCertificate("bob", "mine") }), "Certificate")
		wantNotFound(t, s.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.Certificate("bob", "mine"); return err }), "Certificate")
	})
}

func TestARemovedCertificateDetachesAndItsNumberDoesNotComeAgain(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withCertificate(t, s)
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.AttachCertificate("a.foo.com", "mine"), tx.DeleteCertificate("ann", "mine"))
		})
		same(t, read(t, s, func(tx *store.Tx) (platform.Domain, error) { return tx.Domain("a.foo.com") }).Certificate, "")
		write(t, s, func(tx *store.Tx) error {
			c, err := tx.InsertCertificate(aCertificate("mine"))
			same(t, c.ID, 2)
			return err
		})
	})
}

func TestCertificatesAreListedByNameInPages(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withCertificate(t, s)
		write(t, s, func(tx *store.Tx) error {
			for _, name := range []string{"b", "a", "z"} {
				if _, err := tx.InsertCertificate(aCertificate(name)); err != nil {
					return err
				}
			}
			other := aCertificate("bobs")
			other.Owner = "bob"
			_, err := tx.InsertCertificate(other)
			return errors.Join(err, tx.AttachCertificate("a.foo.com", "b"))
		})
		wantField(t, failed(t, s, func(tx *store.Tx) error { _, err := tx.InsertCertificate(aCertificate("bobs")); return err }),
			"name", "certificate with this name already exists.")
		err := s.Read(t.Context(), func(tx *store.Tx) error {
			certificates, count, err := tx.Certificates("ann", platform.Page{Limit: 2, Offset: 1})
			var got []string
			for _, c := range certificates {
				got = append(got, fmt.Sprint(c.Name, c.Domains, c.Key))
			}
			same(t, got, []string{"b[a.foo.com]", "mine[]"})
			same(t, count, 4)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestADeletedUsersCertificatesGoAndTheirRowsStay(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		withRows(t, s, "bob")
		write(t, s, func(tx *store.Tx) error {
			c := aCertificate("bobs")
			c.Owner = "bob"
			_, err := tx.InsertCertificate(c)
			return errors.Join(err, tx.AttachCertificate("blog", "bobs"), tx.DeleteUser("bob"))
		})
		for row, owner := range owners(t, s, "blog", "blog") {
			if owner != "ann" {
				t.Errorf("the %s is %s's", row, owner)
			}
		}
		same(t, read(t, s, func(tx *store.Tx) (platform.Domain, error) { return tx.Domain("blog") }).Certificate, "")
		wantNotFound(t, s.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.CertificateByName("bobs"); return err }), "Certificate")
	})
}
