package platform

import "time"

// Certificate is an uploaded chain and its key, for the domains it is attached to.
type Certificate struct {
	ID          int64 // counts up; the contract's clients want a number
	Name, Owner string
	// Chain and Key are PEM; the first certificate of the chain is the one below.
	Chain, Key      string
	CommonName      string // may be empty
	SAN             []string
	Fingerprint     string // SHA-256 of the DER, upper hex with colons
	Issuer, Subject string // /C=US/…/CN=…, in the order of the certificate
	Starts, Expires time.Time
	Domains         []string // it is attached to, in order
	Created         time.Time
	Updated         time.Time
}

// Where a host's certificate comes from.
const (
	SourceUploaded  = "uploaded"
	SourceAutomatic = "automatic" // from an authority, by ACME
	SourcePlatform  = "platform"  // the platform's own
	SourceNone      = "none"
)

// HostCertificate says what a host is served with, and what keeps it from better.
type HostCertificate struct {
	Host   string
	Source string
	// Name is that of an upload, or what an automatic certificate is for: the
	// host, or a wildcard that stands for it.
	Name    string
	Issuer  string
	Expires time.Time // zero: not known
	// Problem says in words why there is no certificate, or no newer one, after
	// Attempts; NextTry is when it is tried again.
	Problem  string
	Attempts int
	NextTry  time.Time
	// Waiting says that a certificate is on its way, or is got when a client
	// first comes.
	Waiting string
}
