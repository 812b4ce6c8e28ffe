package server

import (
	"net/http"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (s *server) root(*call) (answer, error) { return ok(struct{}{}) }

func (s *server) healthz(*call) (answer, error) { return html(http.StatusOK, "OK"), nil }

func (s *server) readiness(c *call) (answer, error) {
	if err := s.desk.Ready(c.ctx()); err != nil {
		s.log.Warn("readiness refused", "request_id", c.id, "err", err)
		return html(http.StatusServiceUnavailable, "The database does not answer"), nil
	}
	return html(http.StatusOK, "OK"), nil
}

func (s *server) openAPI(*call) (answer, error) {
	text, err := s.doc.text()
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, text: text, kind: "application/json"}, nil
}

func (s *server) platform(*call) (answer, error) {
	var runtime platform.RuntimeInfo
	if s.opts.Runtime != nil {
		runtime = s.opts.Runtime()
	}
	return ok(api.Platform{
		Version: s.opts.Version, Domain: s.opts.Domain, APIURL: s.opts.APIURL,
		GitSSH: s.opts.GitSSH, GitHTTP: s.opts.GitHTTP,
		EdgeHTTPPort: s.opts.EdgeHTTPPort, EdgeHTTPSPort: s.opts.EdgeHTTPSPort,
		Engine: s.opts.Engine, Runtime: runtime.Name, Isolation: string(runtime.Isolation),
	})
}

func (s *server) examine(c *call) (answer, error) {
	if !c.caller.Admin {
		return answer{}, platform.ErrForbidden
	}
	found := s.doctor(c.ctx())
	findings := make([]api.Finding, 0, len(found))
	for _, f := range found {
		findings = append(findings, api.Finding{Name: f.Name, Status: string(f.Status), Text: f.Text, Cure: f.Cure})
	}
	return ok(findings)
}
