package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (c *cli) infoCmd() *cobra.Command {
	return c.ofApp(&cobra.Command{
		Use:     "info",
		Short:   "Show an app: where it answers, what runs, its settings",
		Long:    "Show an app: where it answers, its newest release and receipt, what runs, and the switches that are not as usual.",
		Example: "  slipway info\n  slipway info -a blog --json",
		Args:    takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			about, err := s.about(ctx, app)
			if err != nil {
				return err
			}
			return c.answer(about, func() { c.infoText(ctx, s, about) })
		}),
	})
}

// about is all that info tells.
type about struct {
	App      api.App      `json:"app"`
	Release  *api.Release `json:"release"` // the newest; null never, but for a broken ledger
	Pods     []api.Pod    `json:"pods"`
	Settings api.Settings `json:"settings"`
}

func (s *session) about(ctx context.Context, id string) (a about, err error) {
	if a.App, err = s.App(ctx, id); err != nil {
		return a, err
	}
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error {
		releases, _, err := s.Releases(ctx, id, 1)
		if len(releases) > 0 {
			a.Release = &releases[0]
		}
		return err
	})
	work.Go(func() (err error) { a.Pods, err = s.Pods(ctx, id, "", ""); return err })
	work.Go(func() (err error) { a.Settings, err = s.Settings(ctx, id); return err })
	return a, work.Wait()
}

func (c *cli) infoText(ctx context.Context, s *session, a about) {
	var f facts
	f.add("App", a.App.ID)
	f.add("URL", strings.Join(a.App.URLs, " "))
	if p, err := s.where(ctx); err == nil {
		if address, err := remoteURL(p, s.URL(), a.App.ID, false); err == nil {
			f.add("Git", address)
		}
	}
	f.add("Owner", a.App.Owner)
	f.add("Created", c.when(a.App.Created))
	f.add("Processes", platform.FormationText(a.App.Structure))
	if r := a.Release; r != nil {
		f.add("Release", fmt.Sprintf("v%d %s, %s, %s", r.Version, r.Summary, r.State, c.when(r.Created)))
		f.add("Receipt", receiptText(r.Receipt))
		if build := s.buildOf(ctx, *r); build != nil {
			f.add("Digest", build.Pinned)
		}
	}
	f.add("Deploys", branchText(a.Settings))
	if a.Settings.Maintenance {
		f.add("Maintenance", "on")
	}
	if !a.Settings.Routable {
		f.add("Routing", "off")
	}
	f.print(c.stdout)
	if len(a.Pods) > 0 {
		c.stdout.say("")
		c.podTable(a.Pods)
	}
}
