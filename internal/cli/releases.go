package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (c *cli) releasesCmd() *cobra.Command {
	cmd := c.releasesListCmd()
	cmd.Use, cmd.Aliases, cmd.Args = "releases", nil, noun
	cmd.Example = "  slipway releases\n  slipway releases info v3\n  slipway releases rollback v2"
	cmd.AddCommand(c.releasesListCmd(), c.releaseInfoCmd(), c.rollbackCmd())
	return cmd
}

func (c *cli) releasesListCmd() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List what was released, newest first",
		Example: "  slipway releases list --limit 5\n  slipway releases --json",
		Args:    takes(0, 0, ""),
		RunE: c.verb(func(ctx context.Context, _ []string) error {
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
			releases, total, err := s.Releases(ctx, app, limit)
			if err != nil {
				return err
			}
			return c.answer(releases, func() {
				t := newTable("RELEASE", "STATE", "WHEN", "BY", "WHAT")
				t.tone(1, releaseTone)
				for _, r := range releases {
					t.row(fmt.Sprintf("v%d", r.Version), releaseState(r), c.when(r.Created), r.Owner, r.Summary)
				}
				t.print(c.stdout)
				c.more(len(releases), total)
			})
		}),
	}
	limitFlag(cmd, &limit)
	return c.ofApp(cmd)
}

// releaseState is the state, also of a platform that only knows failed.
func releaseState(r api.Release) string {
	switch {
	case r.State != "":
		return r.State
	case r.Failed:
		return string(platform.ReleaseFailed)
	}
	return string(platform.ReleaseSucceeded)
}

func releaseTone(state string) tone {
	switch platform.ReleaseState(state) {
	case platform.ReleaseSucceeded:
		return good
	case platform.ReleaseFailed:
		return bad
	default:
		return wary
	}
}

func (c *cli) releaseInfoCmd() *cobra.Command {
	return c.ofApp(&cobra.Command{
		Use:               "info vN",
		Short:             "Show one release and its receipt",
		Example:           "  slipway releases info v3",
		Args:              takes(1, 1, "one release such as v3"),
		ValidArgsFunction: c.completeReleases,
		RunE: c.verb(func(ctx context.Context, args []string) error {
			version, err := platform.ParseReleaseTag(args[0])
			if err != nil {
				return err
			}
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
			release, err := s.Release(ctx, app, version)
			if err != nil {
				return err
			}
			return c.answer(release, func() { c.releaseText(release) })
		}),
	})
}

func (c *cli) releaseText(r api.Release) {
	var f facts
	f.add("Release", fmt.Sprintf("v%d of %s", r.Version, r.App))
	f.add("What", r.Summary)
	f.add("State", releaseState(r))
	f.add("Why", r.Exception)
	f.add("By", r.Owner)
	f.add("When", c.when(r.Created))
	f.add("Receipt", receiptText(r.Receipt))
	if r.Build != nil {
		f.add("Build", *r.Build)
	}
	f.add("Config", r.Config)
	f.print(c.stdout)
}

// receiptText words what a cutover cost; nothing for a release without one.
func receiptText(r *api.Receipt) string {
	if r == nil {
		return ""
	}
	return platform.Receipt{
		From: r.From, To: r.To, Requests: r.Requests, Failed: r.Failed,
		P99Before: milliseconds(r.P99BeforeMS), P99After: milliseconds(r.P99AfterMS),
		Took: time.Duration(r.TookMS) * time.Millisecond, Undone: r.Undone, Reason: r.Reason,
	}.String()
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

func (c *cli) rollbackCmd() *cobra.Command {
	return c.ofApp(&cobra.Command{
		Use:   "rollback [vN]",
		Short: "Deploy an old release's code and config as a new release",
		Long: `Deploy an old release's code and config as a new release. Without a version it is the
release before the current one.`,
		Example:           "  slipway rollback\n  slipway rollback v3",
		Args:              takes(0, 1, "one release such as v3"),
		ValidArgsFunction: c.completeReleases,
		RunE: c.verb(func(ctx context.Context, args []string) error {
			version, text := 0, "one release"
			if len(args) > 0 {
				var err error
				if version, err = platform.ParseReleaseTag(args[0]); err != nil {
					return err
				}
				text = fmt.Sprintf("to v%d", version)
			}
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
			var made int
			err = c.during(fmt.Sprintf("Rolling back %s %s", app, text), func() (string, error) {
				made, err = s.Rollback(ctx, app, version)
				return fmt.Sprintf("done, v%d", made), err
			})
			if err != nil {
				return err
			}
			return c.answer(api.RolledBack{Version: made}, func() {})
		}),
	})
}

func (c *cli) buildsCmd() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:     "builds",
		Short:   "List what was built, newest first",
		Example: "  slipway builds\n  slipway builds --limit 5 --json",
		Args:    noun,
		RunE: c.verb(func(ctx context.Context, _ []string) error {
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
			builds, total, err := s.Builds(ctx, app, limit)
			if err != nil {
				return err
			}
			return c.answer(builds, func() { c.buildTable(app, builds, total) })
		}),
	}
	limitFlag(cmd, &limit)
	return c.ofApp(cmd)
}

func (c *cli) buildTable(app string, builds []api.Build, total int) {
	if len(builds) == 0 {
		c.none("%s was never built. Deploy with: git push slipway HEAD:main", app)
		return
	}
	t := newTable("BUILD", "COMMIT", "WHEN", "BY", "PROCESSES")
	for _, b := range builds {
		t.row(b.UUID, b.SHA, c.when(b.Created), b.Owner, strings.Join(sortedKeys(b.Procfile), " "))
	}
	t.print(c.stdout)
	c.more(len(builds), total)
}
