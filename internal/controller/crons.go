package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/schedule"
	"github.com/slipway-paas/slipway/internal/store"
)

// CronStatus is a cron with what a look at it tells.
type CronStatus struct {
	platform.Cron
	// Next are the next moments of the schedule in its zone; none while paused.
	Next []time.Time
	// Last is the newest run, nil before the first.
	Last *platform.CronRun
	// Problem says why the next run would fail, as far as can be seen.
	Problem string
}

// CronPatch changes a cron; nil fields stay, or have their defaults in a new one.
type CronPatch struct {
	Schedule, Timezone *string
	Overlap            *platform.CronOverlap
	Missed             *platform.CronMissed
	Deadline           *time.Duration
	Paused             *bool
}

// Crons lists the crons of an app by process type.
func (c *Controller) Crons(ctx context.Context, caller platform.Caller, app string) ([]CronStatus, error) {
	return read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, _ platform.App) ([]CronStatus, error) {
		crons, err := tx.Crons(app)
		if err != nil {
			return nil, err
		}
		all := make([]CronStatus, 0, len(crons))
		for _, cron := range crons {
			status, err := c.cronStatus(tx, cron)
			if err != nil {
				return nil, err
			}
			all = append(all, status)
		}
		return all, nil
	})
}

// Cron is that of a process type.
func (c *Controller) Cron(ctx context.Context, caller platform.Caller, app, process string) (CronStatus, error) {
	return read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, _ platform.App) (CronStatus, error) {
		cron, err := tx.Cron(app, process)
		if err != nil {
			return CronStatus{}, err
		}
		return c.cronStatus(tx, cron)
	})
}

func (c *Controller) cronStatus(tx *store.Tx, cron platform.Cron) (CronStatus, error) {
	status := CronStatus{Cron: cron}
	when, err := schedule.Parse(cron.Schedule, cron.Timezone)
	switch {
	case err != nil:
		status.Problem = err.Error() // of a zone that is no more
	case !cron.Paused:
		for next := range when.After(later(c.crontab.now(), cron.Handled)) {
			if status.Next = append(status.Next, next); len(status.Next) == platform.CronNextShown {
				break
			}
		}
	}
	last, err := tx.LastCronRun(cron.App, cron.Process)
	if err == nil {
		status.Last = &last
	} else if !errors.Is(err, platform.ErrNotFound) {
		return status, err
	}
	if status.Problem == "" {
		status.Problem, err = cannotRun(tx, cron)
		err = unless(err, platform.ErrNotFound)
	}
	return status, unless(err, platform.ErrNotFound)
}

// later is the later of two times, unless the second is so far ahead of the
// first that the clock must have been wrong when it was noted.
func later(now, noted time.Time) time.Time {
	if noted.After(now) && noted.Sub(now) <= platform.CronClockDrift {
		return noted
	}
	return now
}

// cannotRun says why the current release has no such process type to run;
// empty when it has.
func cannotRun(tx *store.Tx, cron platform.Cron) (string, error) {
	release, err := tx.CurrentRelease(cron.App)
	if err != nil {
		return "", err
	}
	if release.Build == "" {
		return "no build is deployed yet", nil
	}
	build, err := tx.Build(cron.App, release.Build)
	if err != nil || slices.Contains(processesOf(build), cron.Process) {
		return "", err
	}
	return notInRelease(cron.Process, release), nil
}

func notInRelease(process string, release platform.Release) string {
	return fmt.Sprintf("process type %s is not in release %s", process, release.Tag())
}

// SetCron has a process type run by itself, or changes when it does. Moments
// that have passed by now do not count as missed. ErrConflict when nothing
// changes.
func (c *Controller) SetCron(ctx context.Context, caller platform.Caller, app, process string, patch CronPatch) (CronStatus, error) {
	if !platform.ValidProcessType(process) || process == "run" || process == platform.ProcessRelease {
		return CronStatus{}, platform.Invalid("process", "%q is no process type that can have a schedule", process)
	}
	var status CronStatus
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := may(tx, caller, app, platform.RoleOperator); err != nil {
			return err
		}
		before, after, err := c.patchedCron(tx, app, process, patch)
		if err != nil {
			return err
		}
		attrs := cronChanges(before, after)
		if len(attrs) == 0 {
			return unchanged(caller)
		}
		attrs["process"] = process
		if err := tx.PutCron(after); err != nil {
			return err
		}
		if status, err = c.cronStatus(tx, after); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "cron.changed", app, attrs))
	})
	if err != nil {
		return CronStatus{}, err
	}
	c.note(app, "INFO cron %s updated: %s %s", process, status.Schedule, status.Timezone)
	return status, c.recron(ctx, app)
}

// patchedCron is a cron before and after a patch; before is zero when it is new.
func (c *Controller) patchedCron(tx *store.Tx, app, process string, patch CronPatch) (before, after platform.Cron, err error) {
	now := c.crontab.now().Truncate(time.Second).UTC()
	before, err = tx.Cron(app, process)
	switch {
	case errors.Is(err, platform.ErrNotFound):
		if err := roomForCron(tx, app, patch); err != nil {
			return before, after, err
		}
		after = platform.Cron{
			App: app, Process: process, Timezone: platform.CronTimezone, Overlap: platform.OverlapForbid, Missed: platform.MissedSkip,
			Deadline: platform.CronDeadline, Handled: now, Created: now,
		}
	case err != nil:
		return before, after, err
	default:
		after = before
	}
	setIf(&after.Schedule, patch.Schedule)
	setIf(&after.Timezone, patch.Timezone)
	setIf(&after.Overlap, patch.Overlap)
	setIf(&after.Missed, patch.Missed)
	setIf(&after.Deadline, patch.Deadline)
	setIf(&after.Paused, patch.Paused)
	after.Updated = now
	if before.Schedule != after.Schedule || before.Timezone != after.Timezone || before.Paused {
		after.Handled = now
	}
	return before, after, validCron(after)
}

func roomForCron(tx *store.Tx, app string, patch CronPatch) error {
	if patch.Schedule == nil {
		return platform.Invalid("schedule", "This field is required.")
	}
	crons, err := tx.Crons(app)
	if err == nil && len(crons) >= platform.MaxCrons {
		return platform.Invalid("schedule", "An app has at most %d crons.", platform.MaxCrons)
	}
	return err
}

func validCron(cron platform.Cron) error {
	var errs []error
	if _, err := schedule.Parse(cron.Schedule, cron.Timezone); errors.Is(err, schedule.ErrZone) {
		errs = append(errs, platform.Invalid("timezone", "%s", err))
	} else if err != nil {
		errs = append(errs, platform.Invalid("schedule", "%s", err))
	}
	if !slices.Contains([]platform.CronOverlap{platform.OverlapForbid, platform.OverlapAllow, platform.OverlapReplace}, cron.Overlap) {
		errs = append(errs, platform.Invalid("overlap", "What becomes of a run that is due while the last one runs is forbid, allow or replace."))
	}
	if cron.Missed != platform.MissedSkip && cron.Missed != platform.MissedOnce {
		errs = append(errs, platform.Invalid("missed", "What becomes of missed runs is skip or once."))
	}
	if cron.Deadline < platform.MinDeadline || cron.Deadline > platform.MaxDeadline {
		errs = append(errs, platform.Invalid("deadline", "A deadline is from %s to %s.", platform.MinDeadline, platform.MaxDeadline))
	}
	return errors.Join(errs...)
}

// cronChanges says for the audit trail what differs; empty when nothing does.
func cronChanges(before, after platform.Cron) map[string]string {
	words := func(c platform.Cron) map[string]string {
		return map[string]string{
			"schedule": c.Schedule, "timezone": c.Timezone, "overlap": string(c.Overlap), "missed": string(c.Missed),
			"deadline": c.Deadline.String(), "paused": strconv.FormatBool(c.Paused),
		}
	}
	had, has := words(before), words(after)
	maps.DeleteFunc(has, func(name, value string) bool { return had[name] == value })
	return has
}

// RemoveCron ends a schedule, and what runs by it; its history goes, too.
func (c *Controller) RemoveCron(ctx context.Context, caller platform.Caller, app, process string) error {
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := may(tx, caller, app, platform.RoleOperator); err != nil {
			return err
		}
		if err := tx.DeleteCron(app, process); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "cron.removed", app, map[string]string{"process": process}))
	})
	if err != nil {
		return err
	}
	c.note(app, "INFO cron %s removed", process)
	return c.recron(ctx, app)
}

// CronRuns lists a page of a cron's history, newest first, and how many there are.
func (c *Controller) CronRuns(ctx context.Context, caller platform.Caller, app, process string, page platform.Page) ([]platform.CronRun, int, error) {
	return list(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx) ([]platform.CronRun, int, error) {
		if _, err := tx.Cron(app, process); err != nil {
			return nil, 0, err
		}
		return tx.CronRuns(app, process, page)
	})
}

// CronRun is one run of a cron.
func (c *Controller) CronRun(ctx context.Context, caller platform.Caller, app, process, uuid string) (platform.CronRun, error) {
	return read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, _ platform.App) (platform.CronRun, error) {
		return tx.CronRun(app, process, uuid)
	})
}

// recron looks at the crons of some apps anew, and ends the runs whose cron is
// no more. It is called after every change of the rows.
func (c *Controller) recron(ctx context.Context, apps ...string) error {
	c.crontab.reading.Lock()
	defer c.crontab.reading.Unlock()
	for _, app := range apps {
		var crons []platform.Cron
		err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
			crons, err = tx.Crons(app)
			return err
		})
		if err != nil {
			return err
		}
		c.crontab.set(app, c.moments(crons))
	}
	return c.endOrphans(ctx)
}

// moments are when crons are due next, by process type.
func (c *Controller) moments(crons []platform.Cron) map[string]time.Time {
	moments := make(map[string]time.Time, len(crons))
	for _, cron := range crons {
		if next, ok := c.nextMoment(cron); ok {
			moments[cron.Process] = next
		}
	}
	return moments
}

// nextMoment is when a cron is due next, which may have passed.
func (c *Controller) nextMoment(cron platform.Cron) (time.Time, bool) {
	if cron.Paused {
		return time.Time{}, false
	}
	when, err := schedule.Parse(cron.Schedule, cron.Timezone)
	if err != nil { // was valid when it was set
		c.log.Error("a cron cannot be read", "app", cron.App, "process", cron.Process, "err", err)
		return time.Time{}, false
	}
	next := when.Next(handled(cron, c.crontab.now()))
	return next, !next.IsZero()
}

// handled is the moment after which a cron's next one is.
func handled(cron platform.Cron, now time.Time) time.Time {
	if cron.Handled.Sub(now) > platform.CronClockDrift {
		return now
	}
	return cron.Handled
}
