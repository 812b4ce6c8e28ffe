package server

import (
	"time"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (s *server) listPods(c *call) (answer, error) {
	instances, err := s.desk.Instances(c.ctx(), c.caller, c.app(), c.path["type"], c.path["name"])
	if err != nil {
		return answer{}, err
	}
	pods := wirePods(instances)
	return ok(api.Pods{Results: pods, Count: len(pods)})
}

// restartPods answers a bare array. A name decides alone: clients guess the
// type from it, and wrongly when the type has a hyphen.
func (s *server) restartPods(c *call) (answer, error) {
	process, name := c.path["type"], c.path["name"]
	if name != "" {
		process = ""
	}
	instances, err := s.desk.Restart(c.ctx(), c.caller, c.app(), process, name)
	if err != nil {
		return answer{}, err
	}
	return ok(wirePods(instances))
}

func wirePods(instances []platform.Instance) []api.Pod {
	pods := make([]api.Pod, 0, len(instances))
	for _, i := range instances {
		if i.Started.IsZero() { // clients need a time, also of what has not started
			i.Started = time.Now()
		}
		pods = append(pods, api.Pod{
			Name: i.ID, State: string(i.State), Release: platform.Release{Version: i.Release}.Tag(), Type: i.Process,
			Started: api.At(i.Started), Address: i.Address, Restarts: i.Restarts, CrashLoop: i.CrashLoop,
			Message: i.Message, Isolation: string(i.Isolation),
		})
	}
	return pods
}
