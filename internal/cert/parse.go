package cert

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

const (
	// maxPEM bounds a chain, and a key, in bytes.
	maxPEM = 64 << 10
	// maxKey bounds a key's DER: to look at a larger one's numbers costs more than
	// a request may, and none of those is served.
	maxKey = 16 << 10
	// maxChain bounds the certificates of a chain.
	maxChain = 10
	// An RSA key of fewer bits cannot sign a handshake here; one of more is
	// refused by clients, and each handshake would cost the edge dearly.
	minRSA, maxRSA = 1024, 8192
)

// Parse reads an uploaded chain and the private key of its first certificate,
// both PEM. The result has all fields that the two tell, with Chain and Key
// rewritten to hold nothing else than them; Name, Owner and the like are the
// caller's. A chain in another order is put into that of a handshake: the key's
// own certificate, then who signed it, and so on (RFC 5246, 7.4.2).
//
// Keys may be RSA, ECDSA or Ed25519, in PKCS #1, PKCS #8 or SEC 1 form, without
// a passphrase. A certificate that has expired is taken. What is wrong is a
// *platform.FieldError of "certificate" or of "key", or both, joined.
func Parse(chain, key []byte) (platform.Certificate, error) {
	certificates, err := parseChain(chain)
	if err != nil {
		err = platform.Invalid("certificate", "Could not load certificate: %s", err)
	}
	signer, block, keyErr := parseKey(key)
	if keyErr != nil {
		keyErr = platform.Invalid("key", "Could not load private key: %s", keyErr)
	}
	if err := errors.Join(err, keyErr); err != nil {
		return platform.Certificate{}, err
	}
	if certificates = ordered(certificates, signer); !matches(signer, certificates[0]) {
		return platform.Certificate{}, platform.Invalid("key", "Certificate and private key do not match!")
	}
	c := describe(certificates[0])
	var text strings.Builder
	for _, certificate := range certificates {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
	}
	c.Chain, c.Key = text.String(), string(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))
	return c, nil
}

// Covers reports whether clients take a certificate with these names for host,
// which may be a wildcard such as *.example.com.
func Covers(san []string, host string) bool {
	if strings.HasPrefix(host, "*.") {
		return slices.ContainsFunc(san, func(name string) bool { return strings.EqualFold(name, host) })
	}
	return (&x509.Certificate{DNSNames: san}).VerifyHostname(host) == nil
}

// parseChain returns at least one certificate, or what is wrong in words.
func parseChain(text []byte) ([]*x509.Certificate, error) {
	if len(text) > maxPEM {
		return nil, fmt.Errorf("it is larger than %d bytes, and each handshake sends all of it; take fewer names, or several certificates", maxPEM)
	}
	var chain []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue // a whole .pem file, key and all: the key is not kept here
		}
		if len(chain) == maxChain {
			return nil, fmt.Errorf("a chain has at most %d certificates; take the domain's own, and those that lead to its authority", maxChain)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the chain: %s", len(chain)+1, strings.TrimPrefix(err.Error(), "x509: "))
		}
		chain = append(chain, certificate)
	}
	if len(chain) == 0 {
		return nil, errors.New("no PEM that begins with -----BEGIN CERTIFICATE----- was found")
	}
	return chain, usable(chain[0].PublicKey)
}

var errKeyKind = errors.New("only RSA, ECDSA and Ed25519 keys can be served")

// usable returns nil for a public key that the edge can serve.
func usable(key crypto.PublicKey) error {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSA || bits > maxRSA {
			return fmt.Errorf("an RSA key has %d to %d bits, not %d; 2048 do for all clients", minRSA, maxRSA, bits)
		}
		return nil
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return nil
	}
	return errKeyKind
}

// parseKey returns the first private key of text and its block, or what is
// wrong in words that hold nothing of it.
func parseKey(text []byte) (crypto.Signer, *pem.Block, error) {
	if len(text) > maxPEM {
		return nil, nil, fmt.Errorf("it is larger than %d bytes", maxPEM)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
			continue // EC PARAMETERS, or the certificate in the same file
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, nil, errors.New("it is encrypted; take the passphrase away with openssl pkey -in key.pem -out plain.pem")
		case len(block.Bytes) > maxKey:
			return nil, nil, fmt.Errorf("it has %d bytes, and the largest key that can be served, RSA of %d bits, has fewer than %d", len(block.Bytes), maxRSA, maxKey)
		case block.Type == "OPENSSH PRIVATE KEY":
			return nil, nil, errors.New("it is a key of SSH; a certificate's key is in PKCS #1, PKCS #8 or SEC 1 form")
		}
		signer, err := decodeKey(block.Bytes)
		return signer, block, err
	}
	return nil, nil, errors.New("no PEM that begins with -----BEGIN PRIVATE KEY----- was found")
}

// decodeKey tries every form, for files are often labelled with another's.
func decodeKey(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if signer, ok := key.(crypto.Signer); ok {
			return signer, usable(signer.Public())
		}
		return nil, errKeyKind // X25519, which cannot sign
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, usable(key.Public())
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return nil, errors.New("it is damaged, or in none of the forms PKCS #1, PKCS #8 and SEC 1")
}

func matches(signer crypto.Signer, certificate *x509.Certificate) bool {
	public, ok := certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(signer.Public())
}

// ordered is the chain with the key's own certificate first, if it is there, and
// each followed by who issued it; those that are nobody's issuer come last.
func ordered(chain []*x509.Certificate, signer crypto.Signer) []*x509.Certificate {
	rest := slices.Clone(chain)
	at := max(0, slices.IndexFunc(rest, func(c *x509.Certificate) bool { return matches(signer, c) }))
	next := make([]*x509.Certificate, 0, len(chain))
	for at >= 0 && len(rest) > 0 {
		last := rest[at]
		next, rest = append(next, last), slices.Delete(rest, at, at+1)
		at = slices.IndexFunc(rest, func(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, last.RawIssuer) })
	}
	return append(next, rest...)
}

// describe fills in what users are shown of a certificate.
func describe(certificate *x509.Certificate) platform.Certificate {
	return platform.Certificate{
		CommonName:  printable(certificate.Subject.CommonName),
		SAN:         names(certificate),
		Fingerprint: fingerprint(certificate.Raw),
		Issuer:      distinguished(certificate.RawIssuer),
		Subject:     distinguished(certificate.RawSubject),
		Starts:      certificate.NotBefore.UTC(),
		Expires:     certificate.NotAfter.UTC(),
	}
}

// names are the DNS names of a certificate, never nil.
func names(certificate *x509.Certificate) []string {
	all := make([]string, 0, len(certificate.DNSNames))
	for _, name := range certificate.DNSNames {
		all = append(all, printable(name))
	}
	return all
}

// fingerprint is the SHA-256 of the DER, upper hex with colons.
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return string(bytes.ReplaceAll(fmt.Appendf(nil, "% X", sum), []byte{' '}, []byte{':'}))
}
