package store

import (
	"errors"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

const cronColumns = "app, process, schedule, timezone, overlap, missed, deadline, paused, handled, created, updated"

func scanCron(row scanner) (c platform.Cron, err error) {
	var deadline int64
	err = row.Scan(&c.App, &c.Process, &c.Schedule, &c.Timezone, &c.Overlap, &c.Missed, &deadline, &c.Paused, at(&c.Handled), at(&c.Created), at(&c.Updated))
	c.Deadline = time.Duration(deadline) * time.Microsecond
	return c, err
}

func noCron(process string) error { return &platform.NotFoundError{Kind: "Cron", ID: process} }

// AllCrons are those of all apps, for the start.
func (tx *Tx) AllCrons() ([]platform.Cron, error) {
	return all(tx, scanCron, "SELECT "+cronColumns+" FROM crons")
}

// Crons are the app's, by process type.
func (tx *Tx) Crons(app string) ([]platform.Cron, error) {
	return all(tx, scanCron, "SELECT "+cronColumns+" FROM crons WHERE app = ? ORDER BY process COLLATE BINARY", app)
}

// Cron is that of a process type of an app.
func (tx *Tx) Cron(app, process string) (platform.Cron, error) {
	return one(tx, noCron(process), scanCron, "SELECT "+cronColumns+" FROM crons WHERE app = ? AND process = ?", app, process)
}

// PutCron adds the cron of a process type, or replaces it; Created stays.
func (tx *Tx) PutCron(c platform.Cron) error {
	_, err := tx.exec("INSERT INTO crons ("+cronColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (app, process) DO UPDATE SET schedule = excluded.schedule, timezone = excluded.timezone, overlap = excluded.overlap,
			missed = excluded.missed, deadline = excluded.deadline, paused = excluded.paused, handled = excluded.handled, updated = excluded.updated`,
		c.App, c.Process, c.Schedule, c.Timezone, string(c.Overlap), string(c.Missed), c.Deadline.Microseconds(), c.Paused,
		micros(c.Handled), micros(c.Created), micros(c.Updated))
	return err
}

// SetCronHandled notes the last moment of the schedule that is dealt with.
func (tx *Tx) SetCronHandled(app, process string, moment time.Time) error {
	return tx.change(noCron(process), "UPDATE crons SET handled = ? WHERE app = ? AND process = ?", micros(moment), app, process)
}

// DeleteCron removes it with its history.
func (tx *Tx) DeleteCron(app, process string) error {
	return tx.change(noCron(process), "DELETE FROM crons WHERE app = ? AND process = ?", app, process)
}

const cronRunColumns = "uuid, app, process, scheduled, manual, asked_by, state, reason, exit_code, release, instance, missed, started, ended"

func scanCronRun(row scanner) (r platform.CronRun, err error) {
	err = row.Scan(&r.UUID, &r.App, &r.Process, at(&r.Scheduled), &r.Manual, &r.By, &r.State, &r.Reason, &r.Exit, &r.Release, &r.Instance, &r.Missed,
		at(&r.Started), at(&r.Ended))
	return r, err
}

func noCronRun(uuid string) error { return &platform.NotFoundError{Kind: "Run", ID: uuid} }

// InsertCronRun adds a run. One of a moment that the cron has a run of already
// is an error that matches platform.ErrConflict.
func (tx *Tx) InsertCronRun(r platform.CronRun) error {
	_, err := tx.exec("INSERT INTO cron_runs ("+cronRunColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		r.UUID, r.App, r.Process, micros(r.Scheduled), r.Manual, r.By, string(r.State), r.Reason, r.Exit, r.Release, r.Instance, r.Missed,
		micros(r.Started), micros(r.Ended))
	return err
}

// HasCronRun reports whether the cron has a run of that moment.
func (tx *Tx) HasCronRun(app, process string, scheduled time.Time) (bool, error) {
	n, err := tx.count("SELECT COUNT(*) FROM cron_runs WHERE app = ? AND process = ? AND scheduled = ?", app, process, micros(scheduled))
	return n > 0, err
}

// UpdateCronRun stores how far r has come, which is found by its uuid, unless
// it has come to its end before. The app may have another id by now.
func (tx *Tx) UpdateCronRun(r platform.CronRun) error {
	return tx.change(noCronRun(r.UUID), `UPDATE cron_runs SET state = ?, reason = ?, exit_code = ?, release = ?, instance = ?, started = ?, ended = ?
		WHERE uuid = ? AND state IN ('waiting', 'running')`,
		string(r.State), r.Reason, r.Exit, r.Release, r.Instance, micros(r.Started), micros(r.Ended), r.UUID)
}

// CronRunByUUID is a run of any app.
func (tx *Tx) CronRunByUUID(uuid string) (platform.CronRun, error) {
	return one(tx, noCronRun(uuid), scanCronRun, "SELECT "+cronRunColumns+" FROM cron_runs WHERE uuid = ?", uuid)
}

// CronRun is a run of that cron.
func (tx *Tx) CronRun(app, process, uuid string) (platform.CronRun, error) {
	run, err := tx.CronRunByUUID(uuid)
	if err == nil && (run.App != app || run.Process != process) {
		return platform.CronRun{}, noCronRun(uuid)
	}
	return run, err
}

// CronRuns lists a page of a cron's runs, newest first, and how many there are.
func (tx *Tx) CronRuns(app, process string, page platform.Page) ([]platform.CronRun, int, error) {
	return window(tx, page, scanCronRun, selection{
		columns: cronRunColumns, from: "cron_runs WHERE app = ? AND process = ?", order: "scheduled DESC", args: []any{app, process},
	})
}

// LastCronRun is the newest one that a cron has; not found when it has none.
func (tx *Tx) LastCronRun(app, process string) (platform.CronRun, error) {
	return one(tx, noCronRun(process), scanCronRun,
		"SELECT "+cronRunColumns+" FROM cron_runs WHERE app = ? AND process = ? ORDER BY scheduled DESC LIMIT 1", app, process)
}

// ActiveCronRuns are those of a cron that are under way, oldest first.
func (tx *Tx) ActiveCronRuns(app, process string) ([]platform.CronRun, error) {
	return all(tx, scanCronRun, "SELECT "+cronRunColumns+` FROM cron_runs
		WHERE app = ? AND process = ? AND state IN ('waiting', 'running') ORDER BY scheduled`, app, process)
}

// InterruptCronRuns ends all runs that are under way by the rows, of all apps,
// and returns them. It is for a start, when none can be.
func (tx *Tx) InterruptCronRuns(reason string, now time.Time) ([]platform.CronRun, error) {
	runs, err := all(tx, scanCronRun, "SELECT "+cronRunColumns+" FROM cron_runs WHERE state IN ('waiting', 'running')")
	if err != nil {
		return nil, err
	}
	for i := range runs {
		runs[i].State, runs[i].Reason, runs[i].Ended = platform.CronRunInterrupted, reason, now
		if err := tx.UpdateCronRun(runs[i]); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// PruneCronRuns removes all but the newest of a cron's runs that have ended.
func (tx *Tx) PruneCronRuns(app, process string, keep int) error {
	oldest, err := one(tx, noCronRun(process), func(row scanner) (t time.Time, err error) { return t, row.Scan(at(&t)) },
		"SELECT scheduled FROM cron_runs WHERE app = ? AND process = ? ORDER BY scheduled DESC LIMIT 1 OFFSET ?", app, process, keep)
	if errors.Is(err, platform.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = tx.exec("DELETE FROM cron_runs WHERE app = ? AND process = ? AND scheduled <= ? AND state NOT IN ('waiting', 'running')",
		app, process, micros(oldest))
	return err
}
