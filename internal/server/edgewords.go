package server

import (
	"encoding/json"

	"github.com/slipway-paas/slipway/internal/platform"
)

func (s *server) getEdge(c *call) (answer, error) {
	edge, err := s.desk.Edge(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	return ok(edge.Words())
}

func (s *server) patchEdge(c *call) (answer, error) {
	text, err := json.Marshal(c.body.raw)
	if err != nil {
		return answer{}, err
	}
	if c.body.raw == nil {
		text = []byte("{}")
	}
	patch, err := platform.ParseEdgePatch(text)
	if err != nil {
		return answer{}, err
	}
	edge, err := s.desk.PatchEdge(c.ctx(), c.caller, c.app(), patch)
	if err != nil {
		return answer{}, err
	}
	return ok(edge.Words())
}

func (s *server) resetEdge(c *call) (answer, error) {
	if err := s.desk.ResetEdge(c.ctx(), c.caller, c.app()); err != nil {
		return answer{}, err
	}
	return noContent()
}
