package controller_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/logs"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

func scheduled(text string) controller.CronPatch { return controller.CronPatch{Schedule: &text} }

// cron sets one that does not come by itself while a test runs.
func (p *place) cron(caller platform.Caller, app, process string, edit ...func(*controller.CronPatch)) {
	p.t.Helper()
	patch := scheduled("@yearly")
	for _, e := range edit {
		e(&patch)
	}
	if _, err := p.SetCron(p.t.Context(), caller, app, process, patch); err != nil {
		p.t.Fatal(err)
	}
}

func overlapping(how platform.CronOverlap) func(*controller.CronPatch) {
	return func(p *controller.CronPatch) { p.Overlap = &how }
}

// ran is the newest run of a cron once it has come to its end.
func (p *place) ran(app, process string) platform.CronRun {
	p.t.Helper()
	return must(p.AwaitCronRun(p.t.Context(), app, process, func(r platform.CronRun) bool { return r.State.Done() }))(p.t)
}

// cronRuns are a cron's runs, oldest first: state and reason.
func (p *place) cronRuns(app, process string) (lines []string) {
	p.t.Helper()
	err := p.store.Read(p.t.Context(), func(tx *store.Tx) error {
		lines = nil
		runs, _, err := tx.CronRuns(app, process, platform.Page{Limit: 1000})
		for _, r := range runs {
			lines = append(lines, strings.TrimSuffix(fmt.Sprintf("%s: %s", r.State, r.Reason), ": "))
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	slices.Reverse(lines)
	return lines
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestARunIsOneOfTheCurrentReleaseWithItsOutputInTheLog(t *testing.T) {
	p := open(t, controller.Options{}).withNode()
	ann := p.deployed("blog")
	procfile := map[string]string{"worker": sleeper["worker"], "nightly": `echo "tonight $GREETING $SLIPWAY_RELEASE"; exit $CODE`}
	p.cron(ann, "blog", "nightly")
	if run := must(p.RunCron(t.Context(), ann, "blog", "nightly"))(t); run.State != platform.CronRunWaiting || !run.Manual || run.By != "ann" {
		t.Errorf("the run is %+v", run)
	}
	if run := p.ran("blog", "nightly"); run.State != platform.CronRunFailed || run.Reason != "process type nightly is not in release v2" || !run.Started.IsZero() {
		t.Errorf("without such a process type: %+v", run)
	}
	if cron := must(p.Cron(t.Context(), ann, "blog", "nightly"))(t); cron.Problem != "process type nightly is not in release v2" {
		t.Errorf("the problem is %q", cron.Problem)
	}
	if err := p.push(ann, "blog", "2234567890", procfile); err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{"0", "3", "4"} {
		_ = must(p.SetConfig(t.Context(), ann, "blog", controller.ConfigPatch{Values: texts("GREETING", "hei "+code, "CODE", code)}))(t)
		_ = must(p.RunCron(t.Context(), ann, "blog", "nightly"))(t)
		run := p.ran("blog", "nightly")
		if run.Release != 4+int(code[0]-'0')-min(1, int(code[0]-'0'))*2+min(1, int(code[0]-'0')) && fmt.Sprint(run.Exit) != code {
			t.Errorf("the run is %+v", run)
		}
	}
	wantLines(t, p.cronRuns("blog", "nightly"), "failed: process type nightly is not in release v2", "succeeded", "failed: it exited with code 3", "failed: it exited with code 4")
	last := p.ran("blog", "nightly")
	if last.Release != 6 || last.Exit != 4 || last.Started.IsZero() || last.Ended.Before(last.Started) {
		t.Errorf("the last run is %+v", last)
	}
	var said []string
	for _, line := range p.logs.Tail("blog", logs.Filter{Lines: 100, Process: "nightly"}) {
		said = append(said, line.Text)
		if line.Text == "tonight hei 4 v6" && (line.Instance != last.Instance || line.Release != 6) {
			t.Errorf("the line is %+v of %s", line, last.Instance)
		}
	}
	wantLines(t, said, "tonight hei 0 v4", "tonight hei 3 v5", "tonight hei 4 v6")
	failures := slices.DeleteFunc(p.eventsOf("blog"), func(e string) bool { return !strings.HasPrefix(e, "cron.failed") })
	if len(failures) != 2 { // the first, and the first after a success
		t.Errorf("the audit trail has %q", failures)
	}
	if all := strings.Join(p.eventsOf("blog"), "\n"); !strings.Contains(all, "cron.changed ann deadline=1h0m0s") || strings.Count(all, "cron.run ann process=nightly") != 4 {
		t.Errorf("the audit trail is\n%s", all)
	}
}

func TestARunThatIsDueWhileAnotherRuns(t *testing.T) {
	p := open(t, controller.Options{}).withNode()
	ann := p.deployed("blog")
	if err := p.push(ann, "blog", "2234567890", map[string]string{"nightly": "exec sleep 1000"}); err != nil {
		t.Fatal(err)
	}
	running := func(r platform.CronRun) bool { return r.State == platform.CronRunRunning }
	p.cron(ann, "blog", "nightly")
	first := must(p.RunCron(t.Context(), ann, "blog", "nightly"))(t)
	_ = must(p.AwaitCronRun(t.Context(), "blog", "nightly", running))(t)
	if _, err := p.RunCron(t.Context(), ann, "blog", "nightly"); !errors.Is(err, platform.ErrConflict) || !strings.Contains(err.Error(), "was still under way") {
		t.Errorf("a second run: %v", err)
	}

	p.cron(ann, "blog", "nightly", overlapping(platform.OverlapReplace))
	second := must(p.RunCron(t.Context(), ann, "blog", "nightly"))(t)
	ended := must(p.AwaitCronRun(t.Context(), "blog", "nightly", func(platform.CronRun) bool {
		run := must(p.CronRun(t.Context(), ann, "blog", "nightly", first.UUID))(t)
		return run.State.Done()
	}))(t)
	if ended.UUID != second.UUID {
		t.Errorf("the newest is %+v", ended)
	}
	_ = must(p.AwaitCronRun(t.Context(), "blog", "nightly", running))(t)
	wantLines(t, p.cronRuns("blog", "nightly"), "interrupted: the next run took its place", "running")

	p.cron(ann, "blog", "nightly", overlapping(platform.OverlapAllow))
	for range platform.MaxCronActive - 1 {
		_ = must(p.RunCron(t.Context(), ann, "blog", "nightly"))(t)
	}
	if _, err := p.RunCron(t.Context(), ann, "blog", "nightly"); !errors.Is(err, platform.ErrConflict) || !strings.Contains(err.Error(), "10 runs were under way") {
		t.Errorf("one too many: %v", err)
	}

	// Its runs are followed under another name, and end with the schedule.
	if _, err := p.Rename(t.Context(), ann, "blog", "journal"); err != nil {
		t.Fatal(err)
	}
	if runs := p.cronRuns("journal", "nightly"); len(runs) != 11 {
		t.Errorf("after a rename: %q", runs)
	}
	if err := p.RemoveCron(t.Context(), ann, "journal", "nightly"); err != nil {
		t.Fatal(err)
	}
	p.cron(ann, "journal", "nightly")
	last := must(p.RunCron(t.Context(), ann, "journal", "nightly"))(t) // there is room again
	_ = must(p.AwaitCronRun(t.Context(), "journal", "nightly", running))(t)
	if err := p.DestroyApp(t.Context(), ann, "journal"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.CronRun(t.Context(), ann, "journal", "nightly", last.UUID); !errors.Is(err, platform.ErrNotFound) {
		t.Errorf("after its app: %v", err)
	}
	p.Close() // waits for all, so none runs on
}

func TestADeadlineEndsARunAndFewRunAtATime(t *testing.T) {
	p := open(t, controller.Options{CronRuns: 1}).withNode()
	ann := p.deployed("blog")
	if err := p.push(ann, "blog", "2234567890", map[string]string{"long": "exec sleep 1000", "short": "true"}); err != nil {
		t.Fatal(err)
	}
	second := time.Second
	p.cron(ann, "blog", "long")
	p.cron(ann, "blog", "short")
	_ = must(p.RunCron(t.Context(), ann, "blog", "long"))(t)
	_ = must(p.AwaitCronRun(t.Context(), "blog", "long", func(r platform.CronRun) bool { return r.State == platform.CronRunRunning }))(t)
	_ = must(p.RunCron(t.Context(), ann, "blog", "short"))(t)
	wantLines(t, p.cronRuns("blog", "short"), "waiting")
	if err := p.RemoveCron(t.Context(), ann, "blog", "long"); err != nil {
		t.Fatal(err)
	}
	if run := p.ran("blog", "short"); run.State != platform.CronRunSucceeded {
		t.Errorf("the one that waited: %+v", run)
	}
	p.cron(ann, "blog", "long", func(patch *controller.CronPatch) { patch.Deadline = &second })
	_ = must(p.RunCron(t.Context(), ann, "blog", "long"))(t)
	if run := p.ran("blog", "long"); run.State != platform.CronRunFailed || run.Reason != "it took longer than its deadline of 1s and was ended" {
		t.Errorf("the run is %+v", run)
	}
}

// since writes a cron that was dealt with that long ago.
func (p *place) since(app, process, schedule string, ago time.Duration, edit func(*platform.Cron)) {
	p.t.Helper()
	cron := platform.Cron{
		App: app, Process: process, Schedule: schedule, Timezone: "UTC", Overlap: platform.OverlapForbid, Missed: platform.MissedSkip,
		Deadline: time.Hour, Handled: time.Now().Add(-ago), Created: time.Now(), Updated: time.Now(),
	}
	edit(&cron)
	p.write(func(tx *store.Tx) error { return tx.PutCron(cron) })
}

func TestWhatWasDueWhileThePlatformWasDown(t *testing.T) {
	p := open(t, controller.Options{})
	ann := p.user("ann")
	for _, app := range []string{"skips", "catches-up", "on-time", "pauses", "far-ahead", "twice"} {
		p.app(ann, app)
	}
	p.Close()
	tomorrow := time.Now().UTC().Add(24 * time.Hour)
	yesterday := tomorrow.Add(-49*time.Hour).Format("4 15") + " * * *" // an hour from now, each day
	p.since("skips", "nightly", yesterday, 72*time.Hour, func(*platform.Cron) {})
	p.since("catches-up", "nightly", yesterday, 72*time.Hour, func(c *platform.Cron) { c.Missed = platform.MissedOnce })
	p.since("on-time", "poll", "* * * * *", 10*time.Minute, func(*platform.Cron) {})
	p.since("pauses", "nightly", yesterday, 72*time.Hour, func(c *platform.Cron) { c.Paused = true })
	p.since("far-ahead", "nightly", yesterday, -1000*time.Hour, func(*platform.Cron) {})
	// The clock was an hour ahead when this one ran, and its moment comes again.
	minute := time.Now().UTC().Truncate(time.Minute)
	p.since("twice", "poll", "* * * * *", 30*time.Second, func(c *platform.Cron) { c.Handled = minute.Add(-time.Second) })
	p.write(func(tx *store.Tx) error {
		return tx.InsertCronRun(platform.CronRun{UUID: "before", App: "twice", Process: "poll", Scheduled: minute, State: platform.CronRunRunning})
	})
	p.start()

	skipped := p.ran("skips", "nightly")
	if skipped.State != platform.CronRunMissed || skipped.Missed != 2 || !skipped.Started.IsZero() {
		t.Errorf("skipped: %+v", skipped)
	}
	wantLines(t, p.cronRuns("skips", "nightly"), "missed: the platform did not run at that time, or its clock was set forward")
	caught := p.ran("catches-up", "nightly")
	if caught.State != platform.CronRunFailed || caught.Missed != 2 || caught.Reason != "no build is deployed yet" || len(p.cronRuns("catches-up", "nightly")) != 1 {
		t.Errorf("caught up: %+v", caught)
	}
	// A minute late is on time.
	if run := p.ran("on-time", "poll"); run.State != platform.CronRunFailed || time.Since(run.Scheduled) > 3*time.Minute {
		t.Errorf("on time: %+v", run)
	}
	if runs := p.cronRuns("on-time", "poll"); len(runs) < 2 || !strings.HasPrefix(runs[0], "missed: ") || runs[1] != "failed: no build is deployed yet" {
		t.Errorf("on time: %q", runs)
	}
	if runs := p.cronRuns("pauses", "nightly"); len(runs) > 0 {
		t.Errorf("a paused one ran: %q", runs)
	}
	if cron := must(p.Cron(t.Context(), ann, "far-ahead", "nightly"))(t); len(cron.Next) != 5 || time.Until(cron.Next[0]) > 24*time.Hour || len(p.cronRuns("far-ahead", "nightly")) > 0 {
		t.Errorf("after a clock that was weeks ahead: %+v", cron)
	}
	// It ran when the platform was killed, and does not run again.
	before := must(p.CronRun(t.Context(), ann, "twice", "poll", "before"))(t)
	if before.State != platform.CronRunInterrupted || before.Reason != "the platform stopped" || before.Ended.IsZero() {
		t.Errorf("the one that ran: %+v", before)
	}
	runs, _, err := p.CronRuns(t.Context(), ann, "twice", "poll", platform.Page{})
	if at := slices.IndexFunc(runs, func(r platform.CronRun) bool { return r.UUID != "before" && !r.Scheduled.After(minute) }); at >= 0 || err != nil {
		t.Errorf("a moment came twice: %+v, %v", runs, err)
	}

	p.Close()
	p.start()
	if again := p.ran("skips", "nightly"); again.UUID != skipped.UUID {
		t.Errorf("what was missed is told twice: %+v", again)
	}
}

func TestAScheduleThatCannotBeIsRefused(t *testing.T) {
	p := open(t, controller.Options{})
	bob := p.user("bob")
	p.app(bob, "blog")
	zone, never, longest := "Mars/Olympus", platform.CronOverlap("never"), 25*time.Hour
	fives := "a schedule has five fields, minute hour day-of-month month day-of-week, such as 0 3 * * *, or is one of @hourly, @daily, @weekly, @monthly and @yearly"
	daily := "@daily"
	for name, test := range map[string]struct {
		process string
		patch   controller.CronPatch
		words   string
	}{
		"no schedule":     {"nightly", controller.CronPatch{}, "schedule: This field is required."},
		"a word":          {"nightly", scheduled("hourly"), "schedule: " + fives},
		"seconds":         {"nightly", scheduled("0 0 3 * * *"), "schedule: " + fives},
		"no such day":     {"nightly", scheduled("0 0 31 2 *"), "schedule: there is no such day"},
		"no process type": {"Nightly", scheduled("@daily"), `process: "Nightly" is no process type that can have a schedule`},
		"release":         {"release", scheduled("@daily"), `process: "release" is no process type that can have a schedule`},
		"all at once": {
			"nightly",
			controller.CronPatch{Schedule: &daily, Timezone: &zone, Overlap: &never, Deadline: &longest},
			"timezone: a time zone is a name of the IANA list, such as Europe/Berlin or UTC\n" +
				"overlap: What becomes of a run that is due while the last one runs is forbid, allow or replace.\n" +
				"deadline: A deadline is from 1s to 24h0m0s.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.SetCron(t.Context(), bob, "blog", test.process, test.patch)
			says(t, err, platform.ErrInvalid, test.words)
		})
	}
	for i := range platform.MaxCrons {
		p.cron(bob, "blog", fmt.Sprintf("job-%d", i))
	}
	_, err := p.SetCron(t.Context(), bob, "blog", "one-more", scheduled("@daily"))
	says(t, err, platform.ErrInvalid, "schedule: An app has at most 100 crons.")
	_, err = p.SetCron(t.Context(), bob, "blog", "job-1", scheduled("@yearly"))
	says(t, err, platform.ErrConflict, "bob changed nothing")
	if _, err = p.SetCron(t.Context(), bob, "blog", "job-1", scheduled("@daily")); err != nil {
		t.Error(err)
	}
}
