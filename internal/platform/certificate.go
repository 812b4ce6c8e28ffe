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
