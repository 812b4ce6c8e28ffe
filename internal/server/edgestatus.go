package server

import (
	"fmt"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

// edgeStatus is what the edge counts of one app, for those who may see the app.
func (s *server) edgeStatus(c *call) (answer, error) {
	if _, err := s.desk.Edge(c.ctx(), c.caller, c.app()); err != nil {
		return answer{}, err
	}
	if s.opts.EdgeStatus == nil {
		return answer{}, platform.ErrUnavailable
	}
	status, err := s.opts.EdgeStatus(c.ctx(), c.app())
	if err != nil {
		s.log.Warn("the edge was not to be asked", "request_id", c.id, "app", c.app(), "err", err)
		return answer{}, platform.ErrUnavailable
	}
	return ok(wireEdgeStatus(status))
}

func wireEdgeStatus(s platform.EdgeStatus) api.EdgeStatus {
	wire := api.EdgeStatus{
		Refused:   s.Refused,
		Processes: make([]api.EdgeProcess, 0, len(s.Processes)), Waiting: s.Waiting,
		Gates: make([]api.EdgeGate, 0, len(s.Gates)), Shed: wireShed(s.Shed), Would: wireShed(s.Would),
	}
	for _, g := range s.Gates {
		wire.Gates = append(wire.Gates, api.EdgeGate{
			Process: g.Process, Mode: g.Mode, Limit: g.Limit, InFlight: g.InFlight, Queued: g.Queued,
			Level: g.Level, Admits: admits(g.Level), WaitP99: g.WaitP99.Seconds(),
		})
	}
	for _, p := range s.Processes {
		one := api.EdgeProcess{
			Process: p.Process, Open: p.Open, Second: wireWindow(p.Second), Ten: wireWindow(p.Ten), Minute: wireWindow(p.Minute),
			Sound: p.Sound, Out: p.Out, HalfOpen: p.HalfOpen, Ejections: p.Ejections, Quarantines: p.Quarantines,
			Retries: p.Retries, Hedges: p.Hedges, Exhausted: p.Exhausted,
		}
		wire.Processes = append(wire.Processes, one)
	}
	return wire
}

func wireWindow(w platform.EdgeWindow) api.EdgeWindow {
	return api.EdgeWindow{
		Requests: w.Requests, Failed: w.Failed, PerSecond: w.PerSecond,
		P50MS: milliseconds(w.P50), P95MS: milliseconds(w.P95), P99MS: milliseconds(w.P99),
	}
}

func wireShed(all []platform.EdgeShed) []api.EdgeShed {
	wire := make([]api.EdgeShed, 0, len(all))
	for _, one := range all {
		wire = append(wire, api.EdgeShed(one))
	}
	return wire
}

func admits(level int) string {
	if level >= 511 {
		return "all"
	}
	class := [...]string{"critical", "normal", "bulk", "background"}[max(level, 0)/128]
	return fmt.Sprintf("%s, %d%% of its users", class, (max(level, 0)%128+1)*100/128)
}
