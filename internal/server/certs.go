package server

import (
	"net/http"
	"regexp"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

const (
	badCertName = "Can only contain a-z (lowercase), 0-9 and hyphens"
	maxCertName = 253
)

var certName = regexp.MustCompile(`^[a-z0-9-]+$`)

func (s *server) listCerts(c *call) (answer, error) {
	certs, count, err := s.desk.Certificates(c.ctx(), c.caller, c.page())
	if err != nil {
		return answer{}, err
	}
	return list(c, certs, count, wireCert)
}

func (s *server) addCert(c *call) (answer, error) {
	f := c.body
	name, chain, key := f.required("name"), f.required("certificate"), f.required("key")
	f.short("name", maxCertName)
	if name != "" && !certName.MatchString(name) {
		f.reject("name", badCertName)
	}
	if err := f.err(); err != nil {
		return answer{}, err
	}
	cert, err := s.desk.AddCertificate(c.ctx(), c.caller, name, chain, key)
	if err != nil {
		return answer{}, err
	}
	return created(wireCert(cert))
}

func (s *server) getCert(c *call) (answer, error) {
	cert, err := s.desk.Certificate(c.ctx(), c.caller, c.path["name"])
	if err != nil {
		return answer{}, err
	}
	return ok(wireCert(cert))
}

func (s *server) deleteCert(c *call) (answer, error) {
	if err := s.desk.RemoveCertificate(c.ctx(), c.caller, c.path["name"]); err != nil {
		return answer{}, err
	}
	return noContent()
}

func (s *server) attachCert(c *call) (answer, error) {
	f := c.body
	domain, replace := f.demanded("domain"), f.boolean("replace")
	if err := f.err(); err != nil {
		return answer{}, err
	}
	if err := s.desk.Attach(c.ctx(), c.caller, c.path["name"], domain, replace != nil && *replace); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated}, nil
}

func (s *server) detachCert(c *call) (answer, error) {
	if err := s.desk.Detach(c.ctx(), c.caller, c.path["name"], c.path["domain"]); err != nil {
		return answer{}, err
	}
	return noContent()
}

func wireCert(cert platform.Certificate) api.Cert {
	body := api.Cert{
		ID: cert.ID, Owner: cert.Owner, Name: cert.Name, Domains: some(cert.Domains), SAN: some(cert.SAN),
		Fingerprint: cert.Fingerprint, Issuer: cert.Issuer, Subject: cert.Subject,
		Starts: api.At(cert.Starts), Expires: api.At(cert.Expires), Created: api.At(cert.Created), Updated: api.At(cert.Updated),
	}
	if cert.CommonName != "" {
		body.CommonName = &cert.CommonName
	}
	return body
}

// some is the list, never nil: clients take null for nothing at all.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
