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

func (c *cli) appsCmd() *cobra.Command {
	cmd := c.appsListCmd()
	cmd.Use, cmd.Aliases = "apps", []string{"app"}
	cmd.Args = noun
	cmd.AddCommand(c.appsListCmd(), c.createCmd(), c.infoCmd(), c.openCmd(), c.destroyCmd())
	return cmd
}

func (c *cli) appsListCmd() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List your apps",
		Example: "  slipway apps\n  slipway apps --json",
		Args:    takes(0, 0, ""),
		RunE: c.verb(func(ctx context.Context, _ []string) error {
			s, err := c.connect()
			if err != nil {
				return err
			}
			apps, total, err := s.Apps(ctx, limit)
			if err != nil {
				return err
			}
			return c.answer(apps, func() { c.appTable(apps, total) })
		}),
	}
	limitFlag(cmd, &limit)
	return c.common(cmd)
}

// limitFlag bounds a list; 0 lists all.
func limitFlag(cmd *cobra.Command, limit *int) {
	cmd.Flags().IntVarP(limit, "limit", "l", 0, "list at most so many; 0: all")
}

func (c *cli) appTable(apps []api.App, total int) {
	if len(apps) == 0 {
		c.none("There are no apps yet. Make one with: slipway create")
		return
	}
	t := newTable("APP", "OWNER", "CREATED", "PROCESSES")
	for _, app := range apps {
		t.row(app.ID, app.Owner, c.when(app.Created), platform.FormationText(app.Structure))
	}
	t.print(c.stdout)
	c.more(len(apps), total)
}

func (c *cli) createCmd() *cobra.Command {
	var noRemote bool
	var remote string
	cmd := &cobra.Command{
		Use:   "create [name]",
		Short: "Make an app, and the git remote that leads to it",
		Long: `Make an app. Without a name the platform finds one. In a git work tree this also adds the
remote "slipway", so that "git push slipway main" deploys.`,
		Example: "  slipway create blog\n  slipway create\n  slipway create blog --no-remote",
		Args:    takes(0, 1, "one name"),
		RunE: c.verb(func(ctx context.Context, args []string) error {
			s, err := c.connect()
			if err != nil {
				return err
			}
			if name := first(args); name != "" {
				if err := platform.ValidAppID(name); err != nil {
					return err
				}
			}
			app, err := s.CreateApp(ctx, first(args))
			if err != nil {
				return err
			}
			if err := c.answer(app, func() { c.stdout.say("Created %s.", c.stdout.paint(strong, app.ID)) }); err != nil {
				return err
			}
			if !noRemote && c.inWorkTree(ctx) {
				c.remoteAfterCreate(ctx, s, remote, app.ID)
			}
			return nil
		}),
	}
	cmd.Flags().BoolVar(&noRemote, "no-remote", false, "add no git remote")
	cmd.Flags().StringVar(&remote, "remote", remoteName, "name of the git remote")
	return c.common(cmd)
}

// remoteAfterCreate adds the remote; the app stands whether that works or not.
func (c *cli) remoteAfterCreate(ctx context.Context, s *session, name, app string) {
	p, err := c.refresh(ctx, s)
	if err == nil {
		var address string
		if address, err = remoteURL(p, s.URL(), app, false); err == nil {
			_, err = c.addRemote(ctx, name, address, false)
		}
	}
	if err != nil {
		c.stderr.say("%s %s", c.stderr.paint(wary, "No git remote added:"), wording(err))
		c.stderr.say("Add one with: slipway git remote -a %s --name NAME", app)
		return
	}
	c.stderr.say("Deploy with: git push %s HEAD:main", name)
}

func (c *cli) infoCmd() *cobra.Command {
	return c.ofApp(&cobra.Command{
		Use:     "info",
		Short:   "Show an app: where it answers, what runs, its settings",
		Example: "  slipway info\n  slipway info -a blog --json",
		Args:    takes(0, 0, ""),
		RunE: c.verb(func(ctx context.Context, _ []string) error {
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
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

func (c *cli) destroyCmd() *cobra.Command {
	var confirm string
	cmd := &cobra.Command{
		Use:     "destroy",
		Short:   "End an app and forget it, its history and its logs",
		Long:    "End an app and forget it, its history and its logs. This cannot be undone; it asks for the app's name.",
		Example: "  slipway destroy -a blog\n  slipway destroy -a blog --confirm blog",
		Args:    takes(0, 0, ""),
		RunE: c.verb(func(ctx context.Context, _ []string) error {
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
			if err := c.confirm(ctx, s, app, confirm); err != nil {
				return err
			}
			err = c.during("Destroying "+app, func() (string, error) { return "", s.DestroyApp(ctx, app) })
			if err != nil {
				return err
			}
			c.dropRemotes(ctx, s, app)
			return c.answer(map[string]string{"id": app}, func() {})
		}),
	}
	cmd.Flags().StringVar(&confirm, "confirm", "", "the app's `name` again, instead of being asked")
	return c.ofApp(cmd)
}

func (c *cli) confirm(ctx context.Context, s *session, app, given string) error {
	if given == "" {
		if _, ok := terminal(c.opts.Stdin); !ok {
			return &usageError{"slipway destroy", "to destroy " + app + " say so: --confirm " + app}
		}
		if _, err := s.App(ctx, app); err != nil { // before anybody types its name
			return err
		}
		c.stderr.say("%s ends, with its releases, config, domains and logs. This cannot be undone.", app)
		var err error
		if given, err = c.ask(ctx, "Type its name to go on: "); err != nil {
			return err
		}
	}
	if given != app {
		return &usageError{"slipway destroy", fmt.Sprintf("nothing destroyed: %q is not %s", given, app)}
	}
	return nil
}

// dropRemotes removes the git remotes that led to an app that is gone.
func (c *cli) dropRemotes(ctx context.Context, s *session, app string) {
	remotes := c.remotes(ctx)
	if len(remotes) == 0 {
		return
	}
	p, err := s.where(ctx)
	if err != nil {
		return
	}
	for _, r := range remotes {
		if at, ok := appOf(r.url, p, s.URL()); ok && at == app {
			if _, err := c.git(ctx, "remote", "remove", r.name); err == nil {
				c.stderr.say("Removed the git remote %s.", r.name)
			}
		}
	}
}
