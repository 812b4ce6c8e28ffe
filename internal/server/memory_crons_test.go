package server_test

import (
	"context"
	"slices"
	"time"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/platform"
)

// memoryCrons is the part of memoryDesk that has crons, by app and process type.
type memoryCrons struct {
	crons map[string]map[string]controller.CronStatus
	runs  map[string][]platform.CronRun
}

func (d *memoryDesk) Crons(_ context.Context, caller platform.Caller, id string) ([]controller.CronStatus, error) {
	if _, err := d.of(caller, id, platform.RoleViewer); err != nil {
		return nil, err
	}
	var all []controller.CronStatus
	for _, cron := range d.crons[id] {
		all = append(all, cron)
	}
	return all, nil
}

func (d *memoryDesk) Cron(_ context.Context, caller platform.Caller, id, process string) (controller.CronStatus, error) {
	if _, err := d.of(caller, id, platform.RoleViewer); err != nil {
		return controller.CronStatus{}, err
	}
	cron, ok := d.crons[id][process]
	if !ok {
		return cron, &platform.NotFoundError{Kind: "Cron", ID: process}
	}
	return cron, nil
}

func (d *memoryDesk) SetCron(ctx context.Context, caller platform.Caller, id, process string, patch controller.CronPatch) (controller.CronStatus, error) {
	if _, err := d.of(caller, id, platform.RoleOperator); err != nil {
		return controller.CronStatus{}, err
	}
	cron, err := d.Cron(ctx, caller, id, process)
	if err != nil {
		cron = controller.CronStatus{Cron: platform.Cron{
			App: id, Process: process, Timezone: "UTC", Overlap: platform.OverlapForbid, Missed: platform.MissedSkip,
			Deadline: time.Hour, Created: born, Updated: born,
		}}
	}
	if err != nil && patch.Schedule == nil {
		return cron, platform.Invalid("schedule", "This field is required.")
	}
	if err == nil && patch == (controller.CronPatch{}) {
		return cron, changedNothing(caller)
	}
	if patch.Schedule != nil {
		cron.Schedule = *patch.Schedule
	}
	if patch.Deadline != nil {
		cron.Deadline = *patch.Deadline
	}
	if patch.Paused != nil {
		cron.Paused = *patch.Paused
	}
	cron.Next = []time.Time{born}
	if d.crons == nil {
		d.memoryCrons = memoryCrons{crons: map[string]map[string]controller.CronStatus{}, runs: map[string][]platform.CronRun{}}
	}
	if d.crons[id] == nil {
		d.crons[id] = map[string]controller.CronStatus{}
	}
	d.crons[id][process] = cron
	return cron, nil
}

func (d *memoryDesk) RemoveCron(_ context.Context, caller platform.Caller, id, process string) error {
	if _, err := d.of(caller, id, platform.RoleOperator); err != nil {
		return err
	}
	if _, ok := d.crons[id][process]; !ok {
		return &platform.NotFoundError{Kind: "Cron", ID: process}
	}
	delete(d.crons[id], process)
	return nil
}

func (d *memoryDesk) CronRuns(ctx context.Context, caller platform.Caller, id, process string, page platform.Page) ([]platform.CronRun, int, error) {
	if _, err := d.Cron(ctx, caller, id, process); err != nil {
		return nil, 0, err
	}
	return window(d.runs[id+"/"+process], page)
}

func (d *memoryDesk) CronRun(ctx context.Context, caller platform.Caller, id, process, uuid string) (platform.CronRun, error) {
	if _, err := d.Cron(ctx, caller, id, process); err != nil {
		return platform.CronRun{}, err
	}
	runs := d.runs[id+"/"+process]
	at := slices.IndexFunc(runs, func(r platform.CronRun) bool { return r.UUID == uuid })
	if at < 0 {
		return platform.CronRun{}, &platform.NotFoundError{Kind: "Run", ID: uuid}
	}
	return runs[at], nil
}

func (d *memoryDesk) RunCron(ctx context.Context, caller platform.Caller, id, process string) (platform.CronRun, error) {
	if _, err := d.of(caller, id, platform.RoleOperator); err != nil {
		return platform.CronRun{}, err
	}
	cron, err := d.Cron(ctx, caller, id, process)
	if err != nil {
		return platform.CronRun{}, err
	}
	run := platform.CronRun{
		UUID: "run-uuid", App: id, Process: process, Scheduled: born, Manual: true, By: caller.User,
		State: platform.CronRunFailed, Reason: "it exited with code 3", Exit: 3, Release: 2, Instance: id + "-" + process + "-1476822578-abcde", Started: born, Ended: born,
	}
	d.runs[id+"/"+process] = append([]platform.CronRun{run}, d.runs[id+"/"+process]...)
	cron.Last = &run
	d.crons[id][process] = cron
	return run, nil
}
