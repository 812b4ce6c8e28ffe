package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (c *cli) appsCmd() *cobra.Command {
	cmd := group("apps", "List your apps", c.appsListCmd, c.createCmd(), c.infoCmd(), c.openCmd(), c.logsCmd(), c.runCmd(),
		c.transferCmd(), c.renameCmd(), c.destroyCmd())
	cmd.Aliases = []string{"app"}
	cmd.Long = "List the apps you own or share. The verbs below it make, show, give away and end one."
	cmd.Example = "  slipway apps\n  slipway apps create blog\n  slipway apps rename shop -a blog"
	return cmd
}

func (c *cli) appsListCmd() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List your apps",
		Long:    "List the apps you own or share; administrators see all.",
		Example: "  slipway apps list --limit 20\n  slipway apps --json",
		Args:    takes(0, 0, ""),
		RunE: c.asks(func(ctx context.Context, s *session, _ []string) error {
			apps, count, err := s.Apps(ctx, limit)
			if err != nil {
				return err
			}
			return page[api.App]{
				items: apps, total: count, none: "There are no apps yet. Make one with: slipway create",
				heads: []string{"APP", "OWNER", "CREATED", "PROCESSES"},
				row: func(a api.App) []string {
					return []string{a.ID, a.Owner, c.when(a.Created), platform.FormationText(a.Structure)}
				},
			}.show(c)
		}),
	}
	limitFlag(cmd, &limit)
	return c.common(cmd)
}

// limitFlag bounds a list; 0 lists all.
func limitFlag(cmd *cobra.Command, limit *int) {
	cmd.Flags().IntVarP(limit, "limit", "l", 0, "list at most so many; 0: all")
}

// wanted is what create is asked for.
type wanted struct {
	noRemote  bool
	remote    string
	buildpack string
}

func (c *cli) createCmd() *cobra.Command {
	var w wanted
	cmd := &cobra.Command{
		Use:   "create [name]",
		Short: "Make an app, and the git remote that leads to it",
		Long: `Make an app. Without a name the platform finds one. In a git work tree this also adds the
remote "slipway", so that "git push slipway main" deploys.`,
		Example: "  slipway create blog\n  slipway create\n  slipway create blog --buildpack https://github.com/heroku/heroku-buildpack-php\n  slipway create blog --no-remote",
		Args:    takes(0, 1, "one name"),
		RunE:    c.asks(func(ctx context.Context, s *session, args []string) error { return c.create(ctx, s, first(args), w) }),
	}
	cmd.Flags().BoolVar(&w.noRemote, "no-remote", false, "add no git remote")
	cmd.Flags().StringVarP(&w.remote, "remote", "r", remoteName, "name of the git remote")
	cmd.Flags().StringVarP(&w.buildpack, "buildpack", "b", "", "build with the buildpack at this `URL`, which may end in #branch")
	return c.common(cmd)
}

func (c *cli) create(ctx context.Context, s *session, name string, w wanted) error {
	if name != "" {
		if err := platform.ValidAppID(name); err != nil {
			return err
		}
	}
	var app api.App
	err := c.unlessQuick("Waiting… an app that has just gone from this name leaves it when its last instance has ended.", func() (err error) {
		app, err = s.CreateApp(ctx, name)
		return err
	})
	if err != nil {
		return err
	}
	if w.buildpack != "" {
		values := map[string]*string{"BUILDPACK_URL": &w.buildpack}
		if _, err := s.SetConfig(ctx, app.ID, api.ConfigPatch{Values: values}); err != nil {
			return hinted(fmt.Errorf("%s is made, but not its buildpack: %w", app.ID, err),
				"Set it with: slipway config set BUILDPACK_URL=%s -a %s", quote(w.buildpack), app.ID)
		}
	}
	if err := c.answer(app, func() { c.stdout.say("Created %s.", c.stdout.paint(strong, app.ID)) }); err != nil {
		return err
	}
	if !w.noRemote && c.inWorkTree(ctx) {
		c.remoteAfterCreate(ctx, s, w.remote, app.ID)
	}
	return nil
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
		c.stderr.say("Add one with: slipway git remote add -a %s --name NAME", app)
		return
	}
	c.stderr.say("Deploy with: git push %s HEAD:main", name)
}
