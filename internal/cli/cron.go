package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

const cronLong = `Have process types of the Procfile run by themselves, each in an instance of its own of the release
that serves at that time. What they print is in the app's log under the name of the process type.`

func (c *cli) cronCmd() *cobra.Command {
	cmd := group("cron", "Have process types run by themselves", c.cronListCmd, c.cronSetCmd(), c.cronInfoCmd(),
		c.cronSwitchCmd("pause", "Start no more runs until it is resumed", true), c.cronSwitchCmd("resume", "Start runs again", false),
		c.cronRemoveCmd(), c.cronRunCmd(), c.cronHistoryCmd())
	cmd.Example = `  slipway cron set nightly "0 3 * * *" --timezone Europe/Berlin
  slipway cron
  slipway cron run nightly
  slipway cron history nightly`
	return c.ofApp(cmd)
}

func (c *cli) cronListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show what runs by itself, when, and how the last run went",
		Long: cronLong, Example: "  slipway cron list\n  slipway cron --json | jq '.[] | select(.last.state == \"failed\")'",
		Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			crons, err := s.Crons(ctx, app)
			if err != nil {
				return err
			}
			err = page[api.Cron]{
				items: crons, none: "Nothing of " + app + " runs by itself. Set a schedule with: slipway cron set TYPE \"0 3 * * *\"",
				heads: []string{"TYPE", "SCHEDULE", "ZONE", "NEXT", "LAST", "RESULT"},
				row: func(v api.Cron) []string {
					return append([]string{v.Process, v.Schedule, v.Timezone, c.nextText(v)}, c.lastText(v)...)
				},
				tones: map[int]func(string) tone{5: runTone},
			}.show(c)
			for _, cron := range crons {
				if cron.Problem != "" {
					c.stderr.say("%s will not run: %s.", cron.Process, cron.Problem)
				}
			}
			return err
		}),
	}
}

func (c *cli) nextText(v api.Cron) string {
	switch {
	case v.Paused:
		return "paused"
	case len(v.Next) == 0:
		return "never"
	}
	return c.inZone(v.Next[0], v.Timezone)
}

// inZone is a moment as a clock there shows it.
func (c *cli) inZone(t api.Time, zone string) string {
	location, err := time.LoadLocation(zone)
	if err != nil || !c.stdout.terminal {
		return t.UTC().Format(time.RFC3339)
	}
	return t.In(location).Format("Mon 2 Jan 15:04 MST")
}

func (c *cli) lastText(v api.Cron) []string {
	if v.Last == nil {
		return []string{"", ""}
	}
	return []string{c.when(v.Last.Scheduled), resultText(*v.Last)}
}

func resultText(r api.CronRun) string {
	text := r.State
	if r.Missed > 0 {
		text += fmt.Sprintf(" (and %d more)", r.Missed)
	}
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return text
}

func runTone(result string) tone {
	state, _, _ := strings.Cut(result, " ")
	switch platform.CronRunState(strings.TrimSuffix(state, ":")) {
	case platform.CronRunSucceeded:
		return good
	case platform.CronRunFailed, platform.CronRunInterrupted:
		return bad
	default:
		return wary
	}
}

func (c *cli) cronSetCmd() *cobra.Command {
	var zone, overlap, missed, deadline string
	cmd := &cobra.Command{
		Use:   "set TYPE [SCHEDULE]",
		Short: "Run a process type by a schedule, or change how",
		Long: cronLong + `

A schedule is cron's five fields, minute hour day-of-month month day-of-week, or @hourly, @daily, @weekly,
@monthly or @yearly. A schedule that names its hours means a time of day, which comes once each day also when
clocks are set; one whose hour begins with * goes by the distance.

A schedule is the app's: it stays when a release is rolled back. What a flag does not name stays as it is.`,
		Example: `  slipway cron set nightly "0 3 * * *" --timezone Europe/Berlin
  slipway cron set poll "*/5 * * * *" --overlap replace --deadline 4m
  slipway cron set report @monthly --missed once
  slipway cron set nightly --deadline 2h`,
		Args:              takes(1, 2, "a TYPE and a SCHEDULE in quotes"),
		ValidArgsFunction: c.completeTypes,
	}
	flags := cmd.Flags()
	flags.StringVar(&zone, "timezone", "", "`name` of the time zone that the schedule is in, such as Europe/Berlin; UTC unless told")
	flags.StringVar(&overlap, "overlap", "", "when the last run still runs: forbid (skip the new one), allow, or replace (end the old one); forbid unless told")
	flags.StringVar(&missed, "missed", "", "when the platform was down: skip, or once (one run for all that were missed); skip unless told")
	flags.StringVar(&deadline, "deadline", "", "end a run that takes longer, such as 30m or 2h; 1h unless told")
	cmd.RunE = c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
		patch := api.SetCron{Process: args[0], Timezone: given(zone), Overlap: given(overlap), Missed: given(missed)}
		if len(args) > 1 {
			patch.Schedule = &args[1]
		}
		if deadline != "" {
			span, err := parseSpan(deadline)
			if err != nil || span%time.Second != 0 {
				return &usageError{"slipway cron set", fmt.Sprintf("%q is no deadline: write 90s, 30m or 2h", deadline)}
			}
			seconds := int(span / time.Second)
			patch.Deadline = &seconds
		}
		return c.changeCron(ctx, s, app, patch)
	})
	return cmd
}

// given is a flag's text, or nil.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func (c *cli) changeCron(ctx context.Context, s *session, app string, patch api.SetCron) error {
	cron, err := s.SetCron(ctx, app, patch)
	if unchanged(err) {
		cron, err = s.Cron(ctx, app, patch.Process)
	}
	if err != nil {
		return err
	}
	return c.answer(cron, func() { c.cronText(cron) })
}

func (c *cli) cronText(v api.Cron) {
	var f facts
	f.add("Type", v.Process)
	f.add("Schedule", v.Schedule+" in "+v.Timezone)
	f.add("Overlap", v.Overlap)
	f.add("Missed", v.Missed)
	f.add("Deadline", (time.Duration(v.Deadline) * time.Second).String())
	if v.Paused {
		f.add("Paused", "until: slipway cron resume "+v.Process)
	}
	for i, next := range v.Next {
		f.add([]string{"Next", "then"}[min(i, 1)], c.inZone(next, v.Timezone))
	}
	if v.Last != nil {
		f.add("Last", c.when(v.Last.Scheduled)+", "+resultText(*v.Last))
	}
	f.add("Problem", v.Problem)
	f.print(c.stdout)
}

func (c *cli) cronInfoCmd() *cobra.Command {
	return &cobra.Command{
		Use: "info TYPE", Short: "Show one schedule and its next moments", Long: "Show one schedule, its next moments, and how the last run went.",
		Example: "  slipway cron info nightly",
		Args:    takes(1, 1, "one TYPE"), ValidArgsFunction: c.completeCrons(),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			cron, err := s.Cron(ctx, app, args[0])
			if err != nil {
				return err
			}
			return c.answer(cron, func() { c.cronText(cron) })
		}),
	}
}

func (c *cli) completeCrons() completion {
	return c.completeOfApp(func(ctx context.Context, s *session, app string) ([]string, error) {
		crons, err := s.Crons(ctx, app)
		return names(crons, func(v api.Cron) string { return v.Process }), err
	})
}

func (c *cli) cronSwitchCmd(verb, short string, paused bool) *cobra.Command {
	return &cobra.Command{
		Use: verb + " TYPE", Short: short, Long: short + ". What is due meanwhile does not count as missed; a run that is under way goes on.",
		Example: "  slipway cron " + verb + " nightly",
		Args:    takes(1, 1, "one TYPE"), ValidArgsFunction: c.completeCrons(),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			return c.changeCron(ctx, s, app, api.SetCron{Process: args[0], Paused: &paused})
		}),
	}
}

func (c *cli) cronRemoveCmd() *cobra.Command {
	return &cobra.Command{
		Use: "remove TYPE", Aliases: []string{"rm", "unset"}, Short: "End a schedule, and what runs by it",
		Long: "End a schedule, what runs by it, and its history.", Example: "  slipway cron remove nightly",
		Args: takes(1, 1, "one TYPE"), ValidArgsFunction: c.completeCrons(),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			if err := s.RemoveCron(ctx, app, args[0]); err != nil {
				return err
			}
			return c.answer(map[string]string{"process": args[0]}, func() { c.stdout.say("%s of %s does not run by itself any more.", args[0], app) })
		}),
	}
}

func (c *cli) cronRunCmd() *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use:   "run TYPE",
		Short: "Run it now",
		Long: `Run a process type that has a schedule now, also a paused one, and wait until it has ended. The exit
code is 1 when it failed. Interrupting this command does not end the run.`,
		Example: "  slipway cron run nightly\n  slipway cron run nightly --no-wait",
		Args:    takes(1, 1, "one TYPE"), ValidArgsFunction: c.completeCrons(),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			run, err := s.RunCron(ctx, app, args[0])
			if err != nil {
				return err
			}
			if noWait {
				return c.answer(run, func() {
					c.stdout.say("%s of %s runs. See how it goes with: slipway cron history %s", args[0], app, args[0])
				})
			}
			c.stderr.say("%s", c.stderr.paint(faint, fmt.Sprintf("Waiting until it ends; Ctrl-C leaves it running. What it prints: slipway logs -f -p %s -a %s", args[0], app)))
			err = c.during("Running "+args[0]+" of "+app, func() (string, error) {
				run, err = s.ended(ctx, app, run)
				return resultText(run), err
			})
			if err != nil {
				return err
			}
			err = c.answer(run, func() {})
			if err == nil && run.State != string(platform.CronRunSucceeded) {
				return exitError(ExitFailed)
			}
			return err
		}),
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait until it has ended")
	return cmd
}

// ended asks how a run goes until it has ended, less often the longer it takes.
func (s *session) ended(ctx context.Context, app string, run api.CronRun) (api.CronRun, error) {
	for pause := 100 * time.Millisecond; !run.Done(); pause = min(2*pause, 5*time.Second) {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return run, ctx.Err()
		}
		now, err := s.CronRun(ctx, app, run.Process, run.UUID)
		if err != nil {
			return run, err
		}
		run = now
	}
	return run, nil
}

func (c *cli) cronHistoryCmd() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "history TYPE", Aliases: []string{"runs"}, Short: "List the runs, newest first",
		Long: `List the runs of a process type by its schedule, newest first, and why one did not take place or failed.
The last 100 are kept. What they printed is in the log: slipway logs --process TYPE`,
		Example: "  slipway cron history nightly\n  slipway cron history nightly --json --limit 5",
		Args:    takes(1, 1, "one TYPE"), ValidArgsFunction: c.completeCrons(),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			runs, count, err := s.CronRuns(ctx, app, args[0], limit)
			if err != nil {
				return err
			}
			return page[api.CronRun]{
				items: runs, total: count, none: args[0] + " has not run yet. Run it now with: slipway cron run " + args[0],
				heads: []string{"DUE", "RESULT", "TOOK", "RELEASE", "EXIT", "INSTANCE", "BY"},
				row: func(r api.CronRun) []string {
					return []string{c.when(r.Scheduled), resultText(r), tookText(r), r.Release, exitText(r.ExitCode), r.Instance, r.By}
				},
				tones: map[int]func(string) tone{1: runTone},
			}.show(c)
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func tookText(r api.CronRun) string {
	if r.Started == nil || r.Ended == nil {
		return ""
	}
	return r.Ended.Sub(r.Started.Time).String()
}

func exitText(code *int) string {
	if code == nil {
		return ""
	}
	return strconv.Itoa(*code)
}
