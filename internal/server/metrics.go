package server

import (
	"net/http"

	"github.com/slipway-paas/slipway/internal/platform"
)

// metrics answers Prometheus, who comes with an administrator's token.
func (s *server) metrics(c *call) (answer, error) {
	if !c.caller.Admin {
		return answer{}, platform.ErrForbidden
	}
	if s.opts.Metrics == nil {
		return answer{}, platform.ErrUnavailable
	}
	text, err := s.opts.Metrics(c.ctx())
	if err != nil {
		s.log.Warn("metrics were not to be had", "request_id", c.id, "err", err)
		return answer{}, platform.ErrUnavailable
	}
	return answer{status: http.StatusOK, text: text, kind: "text/plain; version=0.0.4; charset=utf-8"}, nil
}
