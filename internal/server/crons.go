package server

import (
	"strconv"
	"time"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (s *server) listCrons(c *call) (answer, error) {
	crons, err := s.desk.Crons(c.ctx(), c.caller, c.app())
	if err != nil {
		return answer{}, err
	}
	return listPage(c, platform.Page{Limit: platform.MaxCrons}, crons, len(crons), wireCron)
}

func (s *server) getCron(c *call) (answer, error) {
	cron, err := s.desk.Cron(c.ctx(), c.caller, c.app(), c.path["type"])
	if err != nil {
		return answer{}, err
	}
	return ok(wireCron(cron))
}

func (s *server) setCron(c *call) (answer, error) {
	f := c.body
	process := f.required("process")
	patch := controller.CronPatch{
		Schedule: f.perhaps("schedule"), Timezone: f.perhaps("timezone"), Paused: f.boolean("paused"),
		Overlap: (*platform.CronOverlap)(f.perhaps("overlap")), Missed: (*platform.CronMissed)(f.perhaps("missed")),
		Deadline: f.seconds("deadline"),
	}
	if err := f.err(); err != nil {
		return answer{}, err
	}
	cron, err := s.desk.SetCron(c.ctx(), c.caller, c.app(), process, patch)
	if err != nil {
		return answer{}, err
	}
	return created(wireCron(cron))
}

// perhaps reads a text that may be absent; then it is nil.
func (f *fields) perhaps(name string) *string {
	if !f.has(name) {
		return nil
	}
	text := f.required(name)
	return &text
}

// seconds reads a number of seconds that may be absent; then it is nil.
func (f *fields) seconds(name string) *time.Duration {
	text := f.perhaps(name)
	if text == nil || f.rejected(name) {
		return nil
	}
	n, err := strconv.ParseInt(*text, 10, 32)
	if err != nil {
		f.reject(name, "A whole number of seconds is expected.")
		return nil
	}
	span := time.Duration(n) * time.Second
	return &span
}

func (s *server) removeCron(c *call) (answer, error) {
	if err := s.desk.RemoveCron(c.ctx(), c.caller, c.app(), c.path["type"]); err != nil {
		return answer{}, err
	}
	return noContent()
}

func (s *server) listCronRuns(c *call) (answer, error) {
	runs, count, err := s.desk.CronRuns(c.ctx(), c.caller, c.app(), c.path["type"], c.page())
	if err != nil {
		return answer{}, err
	}
	return list(c, runs, count, wireCronRun)
}

func (s *server) getCronRun(c *call) (answer, error) {
	run, err := s.desk.CronRun(c.ctx(), c.caller, c.app(), c.path["type"], c.path["uuid"])
	if err != nil {
		return answer{}, err
	}
	return ok(wireCronRun(run))
}

func (s *server) runCron(c *call) (answer, error) {
	run, err := s.desk.RunCron(c.ctx(), c.caller, c.app(), c.path["type"])
	if err != nil {
		return answer{}, err
	}
	return created(wireCronRun(run))
}

func wireCron(c controller.CronStatus) api.Cron {
	wire := api.Cron{
		App: c.App, Process: c.Process, Schedule: c.Schedule, Timezone: c.Timezone, Overlap: string(c.Overlap), Missed: string(c.Missed),
		Deadline: int(c.Deadline / time.Second), Paused: c.Paused, Created: api.At(c.Created), Updated: api.At(c.Updated),
		Next: make([]api.Time, 0, len(c.Next)), Problem: c.Problem,
	}
	for _, next := range c.Next {
		wire.Next = append(wire.Next, api.At(next))
	}
	if c.Last != nil {
		last := wireCronRun(*c.Last)
		wire.Last = &last
	}
	return wire
}

func wireCronRun(r platform.CronRun) api.CronRun {
	wire := api.CronRun{
		UUID: r.UUID, App: r.App, Process: r.Process, Scheduled: api.At(r.Scheduled), Manual: r.Manual, By: r.By,
		State: string(r.State), Reason: r.Reason, Instance: r.Instance, Missed: r.Missed, Started: when(r.Started), Ended: when(r.Ended),
	}
	if r.Release > 0 {
		wire.Release = "v" + strconv.Itoa(r.Release)
	}
	if r.State == platform.CronRunSucceeded || r.Exit != 0 {
		wire.ExitCode = &r.Exit
	}
	return wire
}
