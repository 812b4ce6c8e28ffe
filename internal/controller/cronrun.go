package controller

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/schedule"
	"github.com/slipway-paas/slipway/internal/store"
)

const (
	// onTime is how late a run may begin and still be that of its moment, so
	// that a control plane that restarts misses none.
	onTime = time.Minute
	// roomWait is how long a run waits for others to make room.
	roomWait = 10 * time.Minute
	// mostMissed bounds how many missed moments are counted.
	mostMissed = 100_000
)

// Why runs are ended by others.
var (
	errReplaced = errors.New("the next run took its place")
	errUnwished = errors.New("its schedule or its app was removed")
)

// cronRuns are the runs that are under way, by uuid.
type cronRuns struct {
	mu  sync.Mutex
	end map[string]context.CancelCauseFunc
}

// startCrons ends what the rows say is under way, for at a start nothing can
// be, and sets the clock going. What was due meanwhile is told at once.
func (c *Controller) startCrons(ctx context.Context) error {
	var ended []platform.CronRun
	err := c.store.Write(ctx, func(tx *store.Tx) (err error) {
		ended, err = tx.InterruptCronRuns("the platform stopped", c.crontab.now())
		return err
	})
	if err != nil {
		return err
	}
	for _, run := range ended {
		c.noteCron(run)
	}
	if err := c.loadCrons(ctx); err != nil {
		return err
	}
	c.goRun(func() {
		c.crontab.run(c.work, c.cronDue, func() {
			if err := c.loadCrons(c.work); err != nil {
				c.log.Error("crons were not read", "err", err)
			}
		})
	})
	return nil
}

// loadCrons reads all crons anew.
func (c *Controller) loadCrons(ctx context.Context) error {
	c.crontab.reading.Lock()
	defer c.crontab.reading.Unlock()
	var crons []platform.Cron
	err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
		crons, err = tx.AllCrons()
		return err
	})
	if err != nil {
		return err
	}
	c.crontab.reset()
	for _, cron := range crons {
		if next, ok := c.nextMoment(cron); ok {
			c.crontab.put(cron.App, cron.Process, next)
		}
	}
	return nil
}

// cronDue deals with a cron whose next moment has come, and puts it back.
func (c *Controller) cronDue(app, process string) {
	id := uuid.NewString()
	begin := c.readyRun(id)
	var t turn
	var next time.Time
	err := c.store.Write(c.work, func(tx *store.Tx) error {
		cron, err := tx.Cron(app, process)
		if err != nil {
			return err
		}
		t, next = c.turnOf(cron, id)
		return t.write(tx, cron)
	})
	switch {
	case errors.Is(err, platform.ErrNotFound):
		begin(nil)
		return // removed, or of another name
	case err != nil:
		begin(nil)
		if c.work.Err() == nil {
			c.log.Error("a cron was not started and will be tried again", "app", app, "process", process, "err", err)
			c.crontab.put(app, process, c.crontab.now().Add(retryPause))
		}
		return
	}
	for _, run := range t.written {
		c.noteCron(run)
	}
	c.notices.publish(app)
	c.endRuns(t.replaced, errReplaced)
	begin(t.run)
	if !next.IsZero() {
		c.crontab.put(app, process, next)
	}
}

// turn is what a cron's moments that have passed come to.
type turn struct {
	id string
	// due is the moment that is run, missed the last one that is not; zero: none.
	due, missed time.Time
	count       int // of missed ones
	asked       platform.Caller
	now         time.Time

	written  []platform.CronRun // rows of runs that do not take place
	run      *platform.CronRun  // the one that does
	replaced []platform.CronRun // those that end for it
}

// turnOf decides on all moments of a cron until now. next is the first one
// after; zero when there is none, or the cron is paused.
func (c *Controller) turnOf(cron platform.Cron, id string) (t turn, next time.Time) {
	now := c.crontab.now()
	t = turn{id: id, now: now}
	when, err := schedule.Parse(cron.Schedule, cron.Timezone)
	if err != nil || cron.Paused {
		return t, time.Time{}
	}
	for moment := range when.After(handled(cron, now)) {
		if next = moment; moment.After(now) || t.count == mostMissed {
			break
		}
		if !t.due.IsZero() {
			t.missed = t.due
			t.count++
		}
		t.due = moment
	}
	if !t.due.IsZero() && now.Sub(t.due) > onTime {
		t.missed, t.due = t.due, time.Time{}
		t.count++
	}
	if cron.Missed == platform.MissedOnce && t.due.IsZero() && t.count > 0 {
		t.due = t.missed
		t.count--
	}
	if t.count == mostMissed { // the rest of them is not worth counting
		t.missed, next = now, when.Next(now)
	}
	return t, next
}

// write writes what the turn comes to, which is set anew.
func (t *turn) write(tx *store.Tx, cron platform.Cron) error {
	t.written, t.run, t.replaced = nil, nil, nil
	last := t.missed
	if t.due.After(last) {
		last = t.due
	}
	if last.IsZero() {
		return nil
	}
	if t.count > 0 && cron.Missed == platform.MissedSkip {
		err := t.insert(tx, cron, platform.CronRun{
			UUID: uuid.NewString(), Scheduled: t.missed, State: platform.CronRunMissed, Missed: t.count - 1, Ended: t.now,
			Reason: "the platform did not run at that time, or its clock was set forward",
		})
		if err != nil {
			return err
		}
	}
	if !t.due.IsZero() {
		if err := t.begin(tx, cron); err != nil {
			return err
		}
	}
	return tx.SetCronHandled(cron.App, cron.Process, last)
}

// begin writes the run of the due moment, or why it does not take place.
func (t *turn) begin(tx *store.Tx, cron platform.Cron) error {
	run := platform.CronRun{UUID: t.id, Scheduled: t.due, State: platform.CronRunWaiting, By: t.asked.User, Manual: t.asked.User != ""}
	if late := t.now.Sub(t.due); late > onTime {
		run.Reason = "it began late, for the platform did not run at that time, or its clock was set forward"
	}
	if cron.Missed == platform.MissedOnce {
		run.Missed = t.count
	}
	active, err := tx.ActiveCronRuns(cron.App, cron.Process)
	if err != nil {
		return err
	}
	switch {
	case cron.Overlap == platform.OverlapReplace:
		t.replaced = active
	case cron.Overlap == platform.OverlapForbid && len(active) > 0:
		run.State, run.Ended = platform.CronRunSkipped, t.now
		run.Reason = "the run of " + active[0].Scheduled.UTC().Format(time.RFC3339) + " was still under way"
	case len(active) >= platform.MaxCronActive:
		run.State, run.Ended = platform.CronRunSkipped, t.now
		run.Reason = fmt.Sprintf("%d runs were under way", len(active))
	}
	return t.insert(tx, cron, run)
}

// insert writes a run, unless its moment had one before the clock was set back.
func (t *turn) insert(tx *store.Tx, cron platform.Cron, run platform.CronRun) error {
	run.App, run.Process = cron.App, cron.Process
	before, err := tx.HasCronRun(cron.App, cron.Process, run.Scheduled)
	if err != nil {
		return err
	}
	if before {
		t.replaced = nil
		return nil
	}
	if err := tx.InsertCronRun(run); err != nil {
		return err
	}
	if run.State == platform.CronRunWaiting {
		t.run = &run
	} else {
		t.written = append(t.written, run)
	}
	return tx.PruneCronRuns(cron.App, cron.Process, platform.MaxCronRuns)
}

// RunCron runs a cron's process type now, also when it is paused, and returns
// at once. ErrConflict while another one runs and may not be joined.
func (c *Controller) RunCron(ctx context.Context, caller platform.Caller, app, process string) (platform.CronRun, error) {
	id := uuid.NewString()
	begin := c.readyRun(id)
	var t turn
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := may(tx, caller, app, platform.RoleOperator); err != nil {
			return err
		}
		cron, err := tx.Cron(app, process)
		if err != nil {
			return err
		}
		now := c.crontab.now().UTC().Truncate(time.Microsecond)
		if now.Nanosecond() == 0 {
			now = now.Add(time.Microsecond) // no moment of a schedule
		}
		t = turn{id: id, due: now, now: now, asked: caller}
		if err := t.begin(tx, cron); err != nil {
			return err
		}
		if t.run == nil {
			return t.refused()
		}
		return tx.InsertEvent(event(caller, "cron.run", app, map[string]string{"process": process}))
	})
	if err != nil {
		begin(nil)
		return platform.CronRun{}, err
	}
	c.endRuns(t.replaced, errReplaced)
	run := *t.run
	begin(&run)
	return run, nil
}

func (t *turn) refused() error {
	reason := "a run of this very moment is there"
	if len(t.written) > 0 {
		reason = t.written[0].Reason
	}
	return &platform.UserError{Kind: platform.ErrConflict, Message: "It does not run now: " + reason + "."}
}

// readyRun makes a run that others can end from before its row is written. The
// returned function begins it, or, given nil, forgets it; call it once.
func (c *Controller) readyRun(id string) (begin func(*platform.CronRun)) {
	ctx, end := context.WithCancelCause(c.work)
	c.cronRuns.mu.Lock()
	c.cronRuns.end[id] = end
	c.cronRuns.mu.Unlock()
	forget := func() {
		end(nil)
		c.cronRuns.mu.Lock()
		delete(c.cronRuns.end, id)
		c.cronRuns.mu.Unlock()
	}
	return func(run *platform.CronRun) {
		if run == nil || !c.goRun(func() { defer forget(); c.carryRun(ctx, *run) }) {
			forget()
		}
	}
}

// endRuns ends those of runs that are under way.
func (c *Controller) endRuns(runs []platform.CronRun, cause error) {
	c.cronRuns.mu.Lock()
	defer c.cronRuns.mu.Unlock()
	for _, run := range runs {
		if end := c.cronRuns.end[run.UUID]; end != nil {
			end(cause)
		}
	}
}

// endOrphans ends the runs that have no row any more.
func (c *Controller) endOrphans(ctx context.Context) error {
	c.cronRuns.mu.Lock()
	var ids []string
	for id := range c.cronRuns.end {
		ids = append(ids, id)
	}
	c.cronRuns.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	var orphans []platform.CronRun
	err := c.store.Read(ctx, func(tx *store.Tx) error {
		orphans = nil
		for _, id := range ids {
			_, err := tx.CronRunByUUID(id)
			if errors.Is(err, platform.ErrNotFound) {
				orphans = append(orphans, platform.CronRun{UUID: id})
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	c.endRuns(orphans, errUnwished)
	return err
}

// carryRun takes a run from its row to its end.
func (c *Controller) carryRun(ctx context.Context, run platform.CronRun) {
	leave, err := c.enterRoom(ctx)
	if err != nil {
		run.State, run.Reason = platform.CronRunSkipped, err.Error()
	} else {
		defer leave()
		run.State, run.Reason = c.doRun(ctx, &run)
	}
	if ctx.Err() != nil && run.State != platform.CronRunSucceeded {
		run.State, run.Reason = platform.CronRunInterrupted, causeOf(ctx)
	}
	c.finishRun(run)
}

// enterRoom waits until fewer than all runs that there may be are under way.
func (c *Controller) enterRoom(ctx context.Context) (leave func(), err error) {
	timer := time.NewTimer(roomWait)
	defer timer.Stop()
	select {
	case c.cronning <- struct{}{}:
		return func() { <-c.cronning }, nil
	case <-timer.C:
		return nil, fmt.Errorf("for %s there was no room: %d crons ran", roomWait, cap(c.cronning))
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// doRun does what a run is for and says how that ended.
func (c *Controller) doRun(ctx context.Context, run *platform.CronRun) (state platform.CronRunState, reason string) {
	spec, deadline, err := c.beginRun(ctx, run)
	if err != nil {
		return platform.CronRunFailed, err.Error()
	}
	c.notices.publish(run.App)
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	out := c.cronOutput(spec)
	run.Exit, err = c.scheduler.Run(ctx, spec, platform.IO{Stdout: out, Merged: true})
	_ = out.Close()
	switch {
	case ctx.Err() != nil:
		return platform.CronRunFailed, fmt.Sprintf("it took longer than its deadline of %s and was ended", deadline)
	case err != nil:
		return platform.CronRunFailed, err.Error()
	case run.Exit != 0:
		return platform.CronRunFailed, fmt.Sprintf("it exited with code %d", run.Exit)
	}
	return platform.CronRunSucceeded, run.Reason
}

// causeOf says why a run was ended.
func causeOf(ctx context.Context) string {
	cause := context.Cause(ctx)
	if errors.Is(cause, errReplaced) || errors.Is(cause, errUnwished) {
		return cause.Error()
	}
	return "the platform stopped"
}

// beginRun finds out what a run runs by now, and writes that it does.
func (c *Controller) beginRun(ctx context.Context, run *platform.CronRun) (spec platform.InstanceSpec, deadline time.Duration, err error) {
	err = c.store.Write(ctx, func(tx *store.Tx) error {
		now, err := tx.CronRunByUUID(run.UUID)
		if err != nil {
			return err
		}
		run.App = now.App // which may have another name by now
		cron, err := tx.Cron(run.App, run.Process)
		if err != nil {
			return err
		}
		deadline = cron.Deadline
		current, err := currentDeployable(tx, run.App)
		switch {
		case err != nil:
			return err
		case !current.hasBuild():
			return errors.New("no build is deployed yet")
		case !slices.Contains(processesOf(current.build), run.Process):
			run.Release = current.release.Version
			return errors.New(notInRelease(run.Process, current.release))
		}
		spec = c.cronInstance(current, *run)
		run.State, run.Release, run.Instance, run.Started = platform.CronRunRunning, spec.Release, spec.ID, c.crontab.now()
		return tx.UpdateCronRun(*run)
	})
	return spec, deadline, err
}

// cronInstance is a copy of a process type that runs once. It has no volumes:
// each has one writer, and that is what the app keeps running.
func (c *Controller) cronInstance(d *deployable, run platform.CronRun) platform.InstanceSpec {
	spec := c.spec(d, run.Process)
	spec.Mounts = nil
	return platform.InstanceSpec{
		ID:  fmt.Sprintf("%s-%s-%010d-%s", run.App, run.Process, run.Scheduled.Unix(), strings.ToLower(rand.Text()[:5])),
		App: run.App, Process: run.Process, Release: d.release.Version, Spec: spec,
	}
}

// cronOutput puts what a run prints into the app's log.
func (c *Controller) cronOutput(spec platform.InstanceSpec) *lineWriter {
	return newLineWriter(func(line string) {
		c.logs.Append(spec.App, platform.LogLine{
			At: time.Now(), App: spec.App, Source: platform.LogApp, Process: spec.Process, Release: spec.Release, Instance: spec.ID, Text: line,
		})
	})
}

// finishRun writes how a run ended. The audit trail, which only grows, has the
// first failure after a success, not each.
func (c *Controller) finishRun(run platform.CronRun) {
	run.Ended = c.crontab.now()
	if len(run.Reason) > platform.MaxCronReason {
		run.Reason = strings.ToValidUTF8(run.Reason[:platform.MaxCronReason], "") + "…"
	}
	err := c.store.Write(context.WithoutCancel(c.work), func(tx *store.Tx) error {
		now, err := tx.CronRunByUUID(run.UUID)
		if err != nil {
			return err
		}
		run.App = now.App
		before, err := lastEnd(tx, run)
		if err != nil {
			return err
		}
		if err := tx.UpdateCronRun(run); err != nil {
			return err
		}
		if run.State != platform.CronRunFailed || before == platform.CronRunFailed {
			return nil
		}
		attrs := map[string]string{"process": run.Process, "instance": run.Instance, "cause": run.Reason}
		return tx.InsertEvent(event(platform.System, "cron.failed", run.App, attrs))
	})
	switch {
	case errors.Is(err, platform.ErrNotFound):
		return // the cron is no more
	case err != nil:
		c.log.Error("the end of a cron's run was not written", "app", run.App, "process", run.Process, "instance", run.Instance, "err", err)
	}
	c.noteCron(run)
	c.notices.publish(run.App)
}

// lastEnd is how the newest of a cron's runs ended that succeeded or failed.
func lastEnd(tx *store.Tx, run platform.CronRun) (platform.CronRunState, error) {
	runs, _, err := tx.CronRuns(run.App, run.Process, platform.Page{Limit: platform.MaxCronRuns})
	for _, r := range runs {
		if r.State == platform.CronRunSucceeded || r.State == platform.CronRunFailed {
			return r.State, err
		}
	}
	return "", err
}

// noteCron says in the app's log what came of a run that did not succeed.
func (c *Controller) noteCron(run platform.CronRun) {
	if run.State != platform.CronRunSucceeded {
		c.note(run.App, "ERROR (cron): %s of %s %s: %s", run.Process, run.Scheduled.UTC().Format(time.RFC3339), run.State, run.Reason)
	}
}
