package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (c *cli) destroyCmd() *cobra.Command {
	var confirm string
	cmd := &cobra.Command{
		Use:     "destroy",
		Short:   "End an app and forget it, its history and its logs",
		Long:    "End an app and forget it, its history and its logs. This cannot be undone; it asks for the app's name.",
		Example: "  slipway destroy -a blog\n  slipway destroy -a blog --confirm blog",
		Args:    takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			if err := c.confirm(ctx, s, app, confirm); err != nil {
				return err
			}
			err := c.during("Destroying "+app, func() (string, error) { return "", s.DestroyApp(ctx, app) })
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
	for _, r := range c.remotesOf(ctx, s, app) {
		if _, err := c.git(ctx, "remote", "remove", r.name); err == nil {
			c.stderr.say("Removed the git remote %s.", r.name)
		}
	}
}

func (c *cli) transferCmd() *cobra.Command {
	return c.ofApp(&cobra.Command{
		Use:   "transfer USER",
		Short: "Give an app to another user",
		Long: `Give an app to another user, who owns it from then on. You keep no access unless they share it
with you (slipway perms add).`,
		Example: "  slipway apps transfer carol -a blog",
		Args:    takes(1, 1, "one USER"),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			if err := s.Transfer(ctx, app, args[0]); err != nil {
				return err
			}
			said := map[string]string{"id": app, "owner": args[0]}
			return c.answer(said, func() { c.stdout.say("%s belongs to %s now.", app, args[0]) })
		}),
	})
}

func (c *cli) renameCmd() *cobra.Command {
	return c.ofApp(&cobra.Command{
		Use:   "rename NAME",
		Short: "Give an app another name",
		Long: `Give an app another name, without dropping a request. Its URL changes with it; domains of your
own stay. Git remotes in this work tree follow.`,
		Example: "  slipway apps rename shop -a blog",
		Args:    takes(1, 1, "one NAME"),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			if err := platform.ValidAppID(args[0]); err != nil {
				return err
			}
			var renamed api.App
			err := c.during(fmt.Sprintf("Renaming %s to %s", app, args[0]), func() (done string, err error) {
				renamed, err = s.Rename(ctx, app, args[0])
				return "", err
			})
			if err != nil {
				return err
			}
			c.moveRemotes(ctx, s, app, args[0])
			return c.answer(renamed, func() {})
		}),
	})
}

// moveRemotes leads the git remotes of an app to its new name.
func (c *cli) moveRemotes(ctx context.Context, s *session, app, to string) {
	for _, r := range c.remotesOf(ctx, s, app) {
		bare := strings.TrimSuffix(strings.TrimSuffix(r.url, "/"), ".git")
		address := strings.TrimSuffix(bare, app) + to + ".git"
		if _, err := c.git(ctx, "remote", "set-url", "--", r.name, address); err == nil {
			c.stderr.say("The git remote %s leads to %s.", r.name, address)
		}
	}
}
