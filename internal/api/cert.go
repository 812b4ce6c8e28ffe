package api

// Cert is an uploaded certificate; its PEM never comes back.
type Cert struct {
	ID          int64    `json:"id"`
	Owner       string   `json:"owner"`
	Domains     []string `json:"domains"`
	SAN         []string `json:"san"`
	Created     Time     `json:"created" format:"date-time"`
	Updated     Time     `json:"updated" format:"date-time"`
	Name        string   `json:"name"`
	CommonName  *string  `json:"common_name"`
	Fingerprint string   `json:"fingerprint" doc:"SHA-256, upper hex with colons."`
	Expires     Time     `json:"expires" format:"date-time"`
	Starts      Time     `json:"starts" format:"date-time"`
	Issuer      string   `json:"issuer" example:"/C=US/CN=Some CA"`
	Subject     string   `json:"subject"`
}

// CreateCert is the body of POST /v2/certs/. A chain may follow the certificate.
type CreateCert struct {
	Name        string `json:"name" maxLength:"253" pattern:"^[a-z0-9-]+$"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

// AttachCert is the body of POST /v2/certs/<name>/domain/.
type AttachCert struct {
	Domain  string `json:"domain"`
	Replace bool   `json:"replace,omitempty" doc:"in place of another of one's own, at once"`
}
