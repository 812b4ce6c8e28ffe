package server

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

func (s *server) getEdge(c *call) (answer, error) {
	edge, err := s.desk.Edge(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	return edgeAnswer(edge)
}

// edgeAnswer has a tag, so that a change can say what it was made of (RFC 9110,
// 13.1.1).
func edgeAnswer(edge platform.Edge) (answer, error) {
	return answer{status: http.StatusOK, body: edge.Words(), header: map[string]string{"ETag": `"` + edge.Tag() + `"`}}, nil
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
	if tag := c.r.Header.Get("If-Match"); tag != "*" {
		patch.Of = strings.Trim(tag, `"`)
	}
	edge, err := s.desk.PatchEdge(c.ctx(), c.caller, c.app(), patch)
	if err != nil {
		return answer{}, err
	}
	return edgeAnswer(edge)
}

func (s *server) resetEdge(c *call) (answer, error) {
	if err := s.desk.ResetEdge(c.ctx(), c.caller, c.app()); err != nil {
		return answer{}, err
	}
	return noContent()
}
