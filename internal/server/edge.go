package server

import (
	"net/http"
	"time"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (s *server) getTLS(c *call) (answer, error) {
	tls, err := s.desk.TLS(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	return ok(wireTLS(tls))
}

func (s *server) setTLS(c *call) (answer, error) {
	f := c.body
	enforced := f.boolean("https_enforced")
	if !f.has("https_enforced") {
		f.reject("https_enforced", isRequired)
	}
	if err := f.err(); err != nil {
		return answer{}, err
	}
	tls, err := s.desk.SetTLS(c.ctx(), c.caller, c.app(), *enforced)
	if err != nil {
		return answer{}, err
	}
	return created(wireTLS(tls))
}

func (s *server) listHostCertificates(c *call) (answer, error) {
	all, automatic, err := s.desk.HostCertificates(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	body := api.HostCertificates{Automatic: automatic, Hosts: make([]api.HostCertificate, 0, len(all))}
	for _, one := range all {
		body.Hosts = append(body.Hosts, api.HostCertificate{
			Host: one.Host, Source: one.Source, Name: one.Name, Issuer: one.Issuer, Expires: timeOrNil(one.Expires),
			Problem: one.Problem, Attempts: one.Attempts, NextTry: timeOrNil(one.NextTry), Waiting: one.Waiting,
		})
	}
	return ok(body)
}

func timeOrNil(t time.Time) *api.Time {
	if t.IsZero() {
		return nil
	}
	at := api.At(t)
	return &at
}

func (s *server) setAutomatic(c *call) (answer, error) {
	f := c.body
	automatic := f.boolean("automatic")
	if !f.has("automatic") {
		f.reject("automatic", isRequired)
	}
	if err := f.err(); err != nil {
		return answer{}, err
	}
	if err := s.desk.SetAutomatic(c.ctx(), c.caller, c.app(), *automatic); err != nil {
		return answer{}, err
	}
	return s.listHostCertificates(c)
}

func wireTLS(t platform.TLS) api.TLS {
	return api.TLS{
		UUID: t.UUID, App: t.App, Owner: t.Owner, HTTPSEnforced: t.Enforced,
		Created: api.At(t.Created), Updated: api.At(t.Updated),
	}
}

func (s *server) getWhitelist(c *call) (answer, error) {
	addresses, err := s.desk.Whitelist(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	return ok(api.Whitelist{Addresses: some(addresses)})
}

func (s *server) addWhitelist(c *call) (answer, error) {
	addresses, err := c.body.addresses()
	if err != nil {
		return answer{}, err
	}
	all, err := s.desk.AddWhitelist(c.ctx(), c.caller, c.app(), addresses)
	if err != nil {
		return answer{}, err
	}
	return created(api.Whitelist{Addresses: some(all)})
}

func (s *server) removeWhitelist(c *call) (answer, error) {
	addresses, err := c.body.addresses()
	if err != nil {
		return answer{}, err
	}
	if err := s.desk.RemoveWhitelist(c.ctx(), c.caller, c.app(), addresses); err != nil {
		return answer{}, err
	}
	return noContent()
}

// addresses reads the one field of a whitelist's body, which must be there.
func (f *fields) addresses() ([]string, error) {
	if !f.has("addresses") {
		f.reject("addresses", isRequired)
	}
	addresses := f.texts("addresses")
	return addresses, f.err()
}

func (s *server) listServices(c *call) (answer, error) {
	services, err := s.desk.Services(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	body := api.Services{Services: make([]api.Service, 0, len(services))}
	for _, one := range services {
		body.Services = append(body.Services, api.Service{ProcfileType: one.Process, PathPattern: one.Pattern})
	}
	return ok(body)
}

func (s *server) setService(c *call) (answer, error) {
	f := c.body
	process, pattern := f.process(), f.required("path_pattern")
	if err := f.err(); err != nil {
		return answer{}, err
	}
	changed, err := s.desk.SetService(c.ctx(), c.caller, c.app(), process, pattern)
	switch {
	case err != nil:
		return answer{}, err
	case !changed:
		return noContent()
	}
	return answer{status: http.StatusCreated}, nil
}

func (s *server) removeService(c *call) (answer, error) {
	f := c.body
	process := f.process()
	if err := f.err(); err != nil {
		return answer{}, err
	}
	if err := s.desk.RemoveService(c.ctx(), c.caller, c.app(), process); err != nil {
		return answer{}, err
	}
	return noContent()
}

// process reads procfile_type, which must be there.
func (f *fields) process() string {
	process := f.required("procfile_type")
	if process != "" && !platform.ValidProcessType(process) {
		f.reject("procfile_type", badProcessType)
	}
	return process
}
