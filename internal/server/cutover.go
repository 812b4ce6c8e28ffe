package server

import (
	"maps"
	"slices"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (s *server) getCutover(c *call) (answer, error) {
	status, err := s.desk.CutoverOf(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	return ok(wireCutover(status))
}

func (s *server) setCutover(c *call) (answer, error) {
	f := c.body
	words := make(map[string]string)
	for _, key := range slices.Sorted(maps.Keys(f.raw)) {
		words[key] = ""
		if f.given(key) {
			words[key] = f.optional(key)
		}
	}
	if err := f.err(); err != nil {
		return answer{}, err
	}
	status, err := s.desk.SetStrategy(c.ctx(), c.caller, c.app(), words)
	if err != nil {
		return answer{}, err
	}
	return created(wireCutover(status))
}

func (s *server) promoteCutover(c *call) (answer, error) {
	status, err := s.desk.PromoteCutover(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	return ok(wireCutover(status))
}

func (s *server) abortCutover(c *call) (answer, error) {
	status, err := s.desk.AbortCutover(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	return ok(wireCutover(status))
}

func wireCutover(s controller.CutoverStatus) api.Cutover {
	body := api.Cutover{Strategy: s.Strategy.Words()}
	if u := s.UnderWay; u != nil {
		body.UnderWay = &api.CutoverUnderWay{
			Release: u.Release, From: u.From, Strategy: u.Strategy.Words(),
			Step: u.Step, Steps: some(u.Steps), Waits: u.Waits, Since: api.At(u.Since), Started: api.At(u.Started),
			Word: string(u.Word), By: u.By, Undone: u.Undone,
			Old: wireSide(u.Report.Old), New: wireSide(u.Report.New), Mirror: wireMirror(u.Report.Mirror), Done: some(wireSteps(u.Done)),
		}
	}
	return body
}

func wireSteps(steps []platform.CutoverStep) []api.CutoverStep {
	var all []api.CutoverStep
	for _, s := range steps {
		all = append(all, api.CutoverStep{
			Name: s.Name, Old: wireSide(s.Old), New: wireSide(s.New), Mirror: wireMirror(s.Mirror), TookMS: s.Took.Milliseconds(),
			Unjudged: s.Unjudged,
		})
	}
	return all
}

func wireSide(s platform.SideCount) api.SideCount {
	return api.SideCount{Requests: s.Requests, Failed: s.Failed, P99MS: milliseconds(s.P99)}
}

func wireMirror(m platform.MirrorCount) *api.MirrorCount {
	if m == (platform.MirrorCount{}) {
		return nil
	}
	return &api.MirrorCount{
		Compared: m.Compared, Dropped: m.Dropped, Status: m.Status, Size: m.Size, Failed: m.Failed,
		P99OldMS: milliseconds(m.P99Old), P99NewMS: milliseconds(m.P99New),
	}
}
