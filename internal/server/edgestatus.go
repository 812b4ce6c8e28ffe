package server

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

// edgeStatus is what the edge counts of one app, for those who may see the app.
func (s *server) edgeStatus(c *call) (answer, error) {
	if _, err := s.desk.Edge(c.ctx(), c.caller, c.app()); err != nil {
		return answer{}, err
	}
	if s.opts.Metrics == nil {
		return answer{}, platform.ErrUnavailable
	}
	text, err := s.opts.Metrics(c.ctx())
	if err != nil {
		s.log.Warn("metrics were not to be had", "request_id", c.id, "err", err)
		return answer{}, platform.ErrUnavailable
	}
	return ok(statusOf(string(text), c.app()))
}

// statusOf reads an app's status out of the metrics.
func statusOf(text, app string) api.EdgeStatus {
	status := api.EdgeStatus{Gates: []api.EdgeGate{}, Shed: []api.EdgeShed{}, Would: []api.EdgeShed{}}
	mark := `{app="` + app + `",`
	for line := range strings.Lines(text) {
		name, rest, found := strings.Cut(strings.TrimSpace(line), mark)
		labels, number, whole := strings.Cut(rest, "} ")
		value, err := strconv.ParseFloat(number, 64)
		if !found || !whole || err != nil {
			continue
		}
		switch name {
		case "slipway_shed_total":
			status.Shed = append(status.Shed, api.EdgeShed{Class: label(labels, "class"), Reason: label(labels, "reason"), Requests: int64(value)})
		case "slipway_shed_would_total":
			status.Would = append(status.Would, api.EdgeShed{Class: label(labels, "class"), Reason: label(labels, "reason"), Requests: int64(value)})
		default:
			if field, ok := strings.CutPrefix(name, "slipway_gate_"); ok {
				setGate(gateOf(&status, label(labels, "process")), field, label(labels, "mode"), value)
			}
		}
	}
	return status
}

// gateOf is the gate of a process type in status.
func gateOf(status *api.EdgeStatus, process string) *api.EdgeGate {
	for i := range status.Gates {
		if status.Gates[i].Process == process {
			return &status.Gates[i]
		}
	}
	status.Gates = append(status.Gates, api.EdgeGate{Process: process})
	return &status.Gates[len(status.Gates)-1]
}

func setGate(g *api.EdgeGate, field, mode string, value float64) {
	switch field {
	case "limit":
		g.Limit, g.Mode = int(value), mode
	case "in_flight":
		g.InFlight = int(value)
	case "queued":
		g.Queued = int(value)
	case "level":
		g.Level, g.Admits = int(value), admits(int(value))
	case "wait_p99_seconds":
		g.WaitP99 = value
	}
}

// label is the value of one of some labels, whose values need no escapes.
func label(labels, name string) string {
	for pair := range strings.SplitSeq(labels, ",") {
		if value, ok := strings.CutPrefix(pair, name+`="`); ok {
			return strings.TrimSuffix(value, `"`)
		}
	}
	return ""
}

func admits(level int) string {
	if level >= 511 {
		return "all"
	}
	class := [...]string{"critical", "normal", "bulk", "background"}[level/128]
	return fmt.Sprintf("%s, %d%% of its users", class, (level%128+1)*100/128)
}
