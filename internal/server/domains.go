package server

import (
	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (s *server) listDomains(c *call) (answer, error) {
	domains, count, err := s.desk.Domains(c.ctx(), c.caller, c.app(), c.page())
	if err != nil {
		return answer{}, err
	}
	return list(c, domains, count, wireDomain)
}

func (s *server) addDomain(c *call) (answer, error) {
	f := c.body
	name := f.required("domain")
	if err := f.err(); err != nil {
		return answer{}, err
	}
	domain, err := s.desk.AddDomain(c.ctx(), c.caller, c.app(), name)
	if err != nil {
		return answer{}, err
	}
	return created(wireDomain(domain))
}

func (s *server) deleteDomain(c *call) (answer, error) {
	if err := s.desk.RemoveDomain(c.ctx(), c.caller, c.app(), c.path["domain"]); err != nil {
		return answer{}, err
	}
	return noContent()
}

func wireDomain(d platform.Domain) api.Domain {
	return api.Domain{
		Owner: d.Owner, App: d.App, Domain: d.Domain,
		Created: api.At(d.Created), Updated: api.At(d.Updated),
	}
}
