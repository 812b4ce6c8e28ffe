package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

func aCron(process string) platform.Cron {
	return platform.Cron{
		App: "blog", Process: process, Schedule: "0 3 * * *", Timezone: "Europe/Berlin", Overlap: platform.OverlapForbid, Missed: platform.MissedOnce,
		Deadline: 90 * time.Second, Paused: true, Handled: moment, Created: moment, Updated: moment,
	}
}

func aRun(uuid string, minutes int) platform.CronRun {
	return platform.CronRun{
		UUID: uuid, App: "blog", Process: "nightly", Scheduled: moment.Add(time.Duration(minutes) * time.Minute), State: platform.CronRunWaiting, By: "ann", Manual: true, Missed: 2,
	}
}

// lastCron is the newest run's uuid and state.
func lastCron(t *testing.T, s *store.Store, app string) string {
	t.Helper()
	run := read(t, s, func(tx *store.Tx) (platform.CronRun, error) { return tx.LastCronRun(app, "nightly") })
	return run.UUID + " " + string(run.State)
}

func TestACronAndItsRunsComeBackFollowTheAppAndGoWithIt(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		want, run := aCron("nightly"), aRun("1", 0)
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.PutCron(aCron("weekly")), tx.PutCron(want), tx.InsertCronRun(run))
		})
		same(t, read(t, s, func(tx *store.Tx) (platform.Cron, error) { return tx.Cron("blog", "nightly") }), want)
		same(t, read(t, s, func(tx *store.Tx) (platform.CronRun, error) { return tx.CronRun("blog", "nightly", "1") }), run)
		changed := want
		changed.Schedule, changed.Paused, changed.Created = "@daily", false, time.Time{}
		write(t, s, func(tx *store.Tx) error { return tx.PutCron(changed) })
		changed.Created = moment
		same(t, read(t, s, func(tx *store.Tx) ([]platform.Cron, error) { return tx.Crons("blog") }), []platform.Cron{changed, aCron("weekly")})

		write(t, s, func(tx *store.Tx) error { return tx.RenameApp("blog", "journal") })
		run.State, run.Reason, run.Exit, run.Release, run.Instance, run.Started, run.Ended = platform.CronRunFailed, "why", 3, 7, "i", moment, moment
		write(t, s, func(tx *store.Tx) error { return tx.UpdateCronRun(run) })
		run.App = "journal"
		same(t, read(t, s, func(tx *store.Tx) (platform.CronRun, error) { return tx.CronRun("journal", "nightly", "1") }), run)
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.UpdateCronRun(run) }), "Run") // it has ended
		wantNotFound(t, s.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.CronRun("journal", "weekly", "1"); return err }), "Run")
		write(t, s, func(tx *store.Tx) error { return tx.DeleteApp("journal") })
		wantNotFound(t, s.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.CronRunByUUID("1"); return err }), "Run")
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.DeleteCron("journal", "nightly") }), "Cron")
	})
}

func TestAMomentHasOneRunAndOldOnesGo(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.PutCron(aCron("nightly")), tx.InsertCronRun(aRun("1", 1)))
		})
		if err := failed(t, s, func(tx *store.Tx) error { return tx.InsertCronRun(aRun("2", 1)) }); !errors.Is(err, platform.ErrConflict) {
			t.Errorf("a second run of a moment: %v", err)
		}
		write(t, s, func(tx *store.Tx) error {
			for i, uuid := range []string{"2", "3", "4", "5"} {
				run := aRun(uuid, 2+i)
				run.State = platform.CronRunSucceeded
				if err := tx.InsertCronRun(run); err != nil {
					return err
				}
			}
			return tx.PruneCronRuns("blog", "nightly", 2)
		})
		var left []string
		runs := read(t, s, func(tx *store.Tx) ([]platform.CronRun, error) {
			runs, _, err := tx.CronRuns("blog", "nightly", platform.Page{})
			return runs, err
		})
		for _, run := range runs {
			left = append(left, run.UUID)
		}
		same(t, left, []string{"5", "4", "1"}) // the one that is under way stays
		same(t, lastCron(t, s, "blog"), "5 succeeded")
		write(t, s, func(tx *store.Tx) error {
			ended, err := tx.InterruptCronRuns("the end", moment)
			if len(ended) != 1 || ended[0].UUID != "1" {
				t.Errorf("ended %+v", ended)
			}
			return err
		})
		same(t, read(t, s, func(tx *store.Tx) ([]platform.CronRun, error) { return tx.ActiveCronRuns("blog", "nightly") }), []platform.CronRun{})
	})
}
