package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/client"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (c *cli) releasesCmd() *cobra.Command {
	cmd := group("releases", "List what was released, look at it, go back to it", c.releasesListCmd, c.releaseInfoCmd(), c.rollbackCmd())
	cmd.Example = "  slipway releases\n  slipway releases info v3\n  slipway releases rollback v2"
	return cmd
}

func (c *cli) releasesListCmd() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List what was released, newest first",
		Long:    "List what was released, newest first, failed releases included. Every deploy, config change and rollback is one.",
		Example: "  slipway releases list --limit 5\n  slipway releases --json",
		Args:    takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			releases, count, err := s.Releases(ctx, app, limit)
			if err != nil {
				return err
			}
			return page[api.Release]{
				items: releases, total: count, none: app + " has no releases.",
				heads: []string{"RELEASE", "STATE", "WHEN", "BY", "WHAT"},
				row: func(r api.Release) []string {
					return []string{fmt.Sprintf("v%d", r.Version), releaseState(r), c.when(r.Created), r.Owner, r.Summary}
				},
				tones: map[int]func(string) tone{1: releaseTone},
			}.show(c)
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
		Use:   "info [vN]",
		Short: "Show one release and its receipt",
		Long: `Show one release, the newest unless told: who made it and how it went, why it failed if it did,
and its receipt: what the cutover cost in requests.`,
		Example:           "  slipway releases info\n  slipway releases info v3 --json | jq .receipt",
		Args:              takes(0, 1, "one release such as v3"),
		ValidArgsFunction: c.completeReleases,
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			release, err := s.releaseOf(ctx, app, first(args))
			if err != nil {
				return err
			}
			return c.answer(release, func() { c.releaseText(release, s.buildOf(ctx, release)) })
		}),
	})
}

// releaseOf is the release of a tag, or the newest.
func (s *session) releaseOf(ctx context.Context, app, tag string) (api.Release, error) {
	if tag == "" {
		releases, _, err := s.Releases(ctx, app, 1)
		if err == nil && len(releases) == 0 {
			err = because(platform.ErrNotFound, "%s has no releases", app)
		}
		if err != nil {
			return api.Release{}, err
		}
		return releases[0], nil
	}
	version, err := platform.ParseReleaseTag(tag)
	if err != nil {
		return api.Release{}, err
	}
	return s.Release(ctx, app, version)
}

// buildOf is what a release runs; nil where that cannot be told.
func (s *session) buildOf(ctx context.Context, r api.Release) *api.Build {
	if r.Build == nil {
		return nil
	}
	build, err := s.Build(ctx, r.App, *r.Build)
	if err != nil {
		return nil
	}
	return &build
}

func (c *cli) releaseText(r api.Release, build *api.Build) {
	var f facts
	f.add("Release", fmt.Sprintf("v%d of %s", r.Version, r.App))
	f.add("What", r.Summary)
	f.add("State", releaseState(r))
	f.add("Why", r.Exception)
	f.add("By", r.Owner)
	f.add("When", c.when(r.Created))
	f.add("Receipt", receiptText(r.Receipt))
	if r.Receipt != nil {
		for i, step := range r.Receipt.Steps {
			f.add(fmt.Sprintf("Step %d", i+1), stepText(step, r.Receipt.From, r.Receipt.To))
		}
	}
	if r.Build != nil {
		f.add("Build", *r.Build)
	}
	if build != nil {
		f.add("Source", sourceOf(*build))
		f.add("Digest", build.Pinned)
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
		Held: r.Held, HeldLongest: milliseconds(r.HeldLongestMS),
		Led: milliseconds(r.LedMS), Took: time.Duration(r.TookMS) * time.Millisecond, Undone: r.Undone, Reason: r.Reason, Unjudged: r.Unjudged,
		Strategy: platform.StrategyKind(r.Strategy), Steps: make([]platform.CutoverStep, len(r.Steps)),
	}.String()
}

func milliseconds(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

func (c *cli) rollbackCmd() *cobra.Command {
	return c.ofApp(c.deploys(&cobra.Command{
		Use:   "rollback [vN]",
		Short: "Deploy an old release's code and config as a new release",
		Long: `Deploy an old release's code and config as a new release. Without a version it is the
release before the current one.`,
		Example:           "  slipway rollback\n  slipway rollback v3",
		Args:              takes(0, 1, "one release such as v3"),
		ValidArgsFunction: c.completeReleases,
		RunE: asksWith(c, readVersion, func(ctx context.Context, s *session, app string, version int) error {
			text := "one release"
			if version > 0 {
				text = fmt.Sprintf("to v%d", version)
			}
			return c.release(ctx, s, app, newRelease{
				doing: fmt.Sprintf("Rolling back %s %s", app, text), about: []string{"rolled back"},
				work: func(ctx context.Context) (func(api.Release) bool, error) {
					made, err := s.Rollback(ctx, app, version)
					return func(r api.Release) bool { return r.Version == made }, noRelease(err, app, version)
				},
			})
		}),
	}))
}

// noRelease words that the release to go back to is not there, which the
// platform says as Deis does: without its name, as of a field that is wrong.
func noRelease(err error, app string, version int) error {
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Answer.Detail == "Release matching query does not exist." {
		return hinted(because(platform.ErrNotFound, "there is no release v%d", version), "%s", listStep("releases", app))
	}
	return err
}

// readVersion is the version of a tag; 0 without one.
func readVersion(args []string) (int, error) {
	if len(args) == 0 {
		return 0, nil
	}
	return platform.ParseReleaseTag(args[0])
}
