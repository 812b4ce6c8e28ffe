package server

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Papers is what this door needs of *controller.Controller for the documents
// of images.
type Papers interface {
	SBOM(ctx context.Context, caller platform.Caller, app string, version int) ([]byte, error)
	Provenance(ctx context.Context, caller platform.Caller, app string, version int) ([]byte, error)
}

func (s *server) getSBOM(c *call) (answer, error)       { return s.paper(c, s.desk.SBOM) }
func (s *server) getProvenance(c *call) (answer, error) { return s.paper(c, s.desk.Provenance) }

// paper answers with a document as it is.
func (s *server) paper(c *call, get func(context.Context, platform.Caller, string, int) ([]byte, error)) (answer, error) {
	version, err := strconv.Atoi(strings.TrimPrefix(c.path["version"], "v"))
	if err != nil || version < 1 || version > maxVersion {
		version = maxVersion // there is none
	}
	text, err := get(c.ctx(), c.caller, c.app(), version)
	if err != nil {
		return answer{}, err
	}
	return ok(json.RawMessage(text))
}
