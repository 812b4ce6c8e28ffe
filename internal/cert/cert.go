// Package cert makes the certificate that https works with from the first
// minute: it is handed a directory and the platform's domain, keeps a small
// certificate authority there, and hands on a certificate signed by it. Whoever
// trusts the authority's file, CAFile, sees no warning; the authority can vouch
// for names under the platform's domain only. It also reads the certificates
// that users upload: it is handed PEM and hands on what the platform says of it.
package cert

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 90 * 24 * time.Hour // browsers refuse more than 398 days
	// margin is how long before its end a certificate is replaced.
	margin = 30 * 24 * time.Hour
	// backdate allows for clocks that are behind.
	backdate = time.Hour
)

// CAFile is the file, in PEM, that a user trusts to trust every certificate
// of SelfSigned.
func CAFile(dir string) string { return filepath.Join(dir, "ca.pem") }

// SelfSigned returns a certificate for domain, *.domain and hosts, signed by an
// authority of its own. Both are kept in dir, made at the first call and
// replaced when less than 30 days are left or the names differ; else every
// call, in whichever process, returns the same. Call it again once a day and
// when a host comes.
//
// hosts are names under domain. They matter when domain is one label, such as
// localhost: OpenSSL, and so curl, takes no *.localhost for blog.localhost.
func SelfSigned(dir, domain string, hosts ...string) (platform.EdgeCertificate, error) {
	return selfSigned(dir, domain, hosts, time.Now())
}

func selfSigned(dir, domain string, hosts []string, now time.Time) (platform.EdgeCertificate, error) {
	names, err := namesFor(domain, hosts)
	if err != nil {
		return platform.EdgeCertificate{}, fmt.Errorf("certificate for %s: %w", domain, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return platform.EdgeCertificate{}, fmt.Errorf("certificate for %s: %w", domain, err)
	}
	ca, err := authority(dir, domain, now)
	if err != nil {
		return platform.EdgeCertificate{}, fmt.Errorf("certificate authority for %s: %w", domain, err)
	}
	leaf, err := leafOf(dir, ca, names, now)
	if err != nil {
		return platform.EdgeCertificate{}, fmt.Errorf("certificate for %s: %w", domain, err)
	}
	return platform.EdgeCertificate{Hosts: names, Certificate: string(leaf.certificate), Key: string(leaf.key)}, nil
}

// namesFor is domain, its wildcard, and hosts, sorted after them.
func namesFor(domain string, hosts []string) ([]string, error) {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	if domain == "" || strings.ContainsAny(domain, "*/:@ \t\r\n") {
		return nil, platform.Invalid("domain", "%q is no domain name", domain)
	}
	if net.ParseIP(domain) != nil {
		return nil, platform.Invalid("domain", "%s is an address; a domain name is needed, such as %s.nip.io", domain, domain)
	}
	names := []string{domain, "*." + domain}
	var more []string
	for _, host := range hosts {
		host = strings.ToLower(strings.TrimSuffix(host, "."))
		if strings.HasSuffix(host, "."+domain) && !slices.Contains(names, host) {
			more = append(more, host)
		}
	}
	slices.Sort(more)
	return append(names, slices.Compact(more)...), nil
}

// authority loads dir's authority, or makes one. ca-key.pem, certificate and
// key in one file, is what counts; ca.pem is a copy for the user, written
// after it and again whenever it differs.
func authority(dir, domain string, now time.Time) (*pair, error) {
	path := filepath.Join(dir, "ca-key.pem")
	ca, err := load(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if ca == nil || !ca.lasts(now, leafLife+margin) || !slices.Equal(ca.leaf.PermittedDNSDomains, []string{normal(domain)}) {
		if ca, err = newAuthority(path, domain, ca, now); err != nil {
			return nil, err
		}
	}
	if public, err := os.ReadFile(CAFile(dir)); err != nil || !bytes.Equal(public, ca.certificate) {
		if err := replace(CAFile(dir), ca.certificate, 0o644); err != nil {
			return nil, err
		}
	}
	return ca, nil
}

// newAuthority makes an authority at path. When there was none before and two
// processes come here at once, both take the one that was first.
func newAuthority(path, domain string, old *pair, now time.Time) (*pair, error) {
	domain = normal(domain)
	template := &x509.Certificate{
		Subject:                     pkix.Name{CommonName: "Slipway local authority for " + domain},
		NotAfter:                    now.Add(caLife),
		IsCA:                        true,
		BasicConstraintsValid:       true,
		MaxPathLenZero:              true,
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{domain},
	}
	ca, err := issue(template, nil, now)
	if err != nil {
		return nil, err
	}
	if old != nil {
		return ca, replace(path, ca.bundle(), 0o600)
	}
	switch err := create(path, ca.bundle()); {
	case errors.Is(err, fs.ErrExist):
		return load(path)
	case err != nil:
		return nil, err
	}
	return ca, nil
}

// leafOf loads dir's certificate, or makes one when it does not do.
func leafOf(dir string, ca *pair, names []string, now time.Time) (*pair, error) {
	path := filepath.Join(dir, "edge.pem")
	leaf, err := load(path)
	if err == nil && leaf.lasts(now, margin) && slices.Equal(leaf.leaf.DNSNames, names) && leaf.leaf.CheckSignatureFrom(ca.leaf) == nil {
		return leaf, nil
	}
	leaf, err = issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		NotAfter:    now.Add(leafLife),
		DNSNames:    names,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca, now)
	if err != nil {
		return nil, err
	}
	return leaf, replace(path, leaf.bundle(), 0o600)
}

func normal(domain string) string { return strings.ToLower(strings.TrimSuffix(domain, ".")) }

// pair is a certificate and its key, in PEM and parsed.
type pair struct {
	certificate, key []byte
	leaf             *x509.Certificate
	signer           crypto.Signer
}

// issue signs template with ca, or with its own key when ca is nil.
func issue(template *x509.Certificate, ca *pair, now time.Time) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, err
	}
	template.NotBefore = now.Add(-backdate)
	parent, signer := template, crypto.Signer(key)
	if ca != nil {
		parent, signer = ca.leaf, ca.signer
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return parse(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func parse(certificate, key []byte) (*pair, error) {
	c, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	signer, ok := c.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key cannot sign")
	}
	return &pair{certificate: certificate, key: key, leaf: c.Leaf, signer: signer}, nil
}

func (p *pair) bundle() []byte { return slices.Concat(p.certificate, p.key) }

// lasts reports whether p is valid now and for a while.
func (p *pair) lasts(now time.Time, while time.Duration) bool {
	return now.After(p.leaf.NotBefore) && now.Add(while).Before(p.leaf.NotAfter)
}

// load reads a bundle. The error of a broken one names the file, and that
// removing it cures it.
func load(path string) (*pair, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var certificate, key []byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			certificate = append(certificate, pem.EncodeToMemory(block)...)
		case "PRIVATE KEY":
			key = pem.EncodeToMemory(block)
		}
	}
	p, err := parse(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged (remove it and a new one is made): %w", path, err)
	}
	return p, nil
}
