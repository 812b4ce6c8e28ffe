package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

const permsLong = `Share an app. Its owner does everything with it; others have a role, each of which includes
those before it:

  viewer    sees releases, processes, domains and the log, not the config
  deployer  pushes, rolls back and restarts
  operator  changes config, scale, domains and settings; runs commands
  admin     destroys and shares

With --admin it is about the administrators of the whole platform instead.`

func (c *cli) permsCmd() *cobra.Command {
	cmd := group("perms", "Share an app, and say how much others may do", c.permsListCmd, c.permAddCmd(), c.permRemoveCmd())
	cmd.Aliases = []string{"sharing"}
	cmd.Example = "  slipway perms\n  slipway perms add carol --role deployer\n  slipway perms remove carol\n  slipway perms add dave --admin"
	return c.ofApp(cmd)
}

func (c *cli) permsListCmd() *cobra.Command {
	var admins bool
	var limit int
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show who may do what", Long: permsLong,
		Example: "  slipway perms list\n  slipway perms list --admin",
		Args:    takes(0, 0, ""),
		RunE: c.asks(func(ctx context.Context, s *session, _ []string) error {
			if admins {
				return c.adminTable(ctx, s, limit)
			}
			id, err := c.appID(ctx, s)
			if err != nil {
				return err
			}
			perms, err := s.Perms(ctx, id)
			if err != nil {
				return err
			}
			app, err := s.App(ctx, id)
			if err != nil {
				return err
			}
			return c.answer(perms, func() { c.permTable(app.Owner, perms) })
		}),
	}
	adminFlag(cmd, &admins)
	limitFlag(cmd, &limit)
	return cmd
}

func (c *cli) permTable(owner string, perms api.Perms) {
	t := newTable("USER", "ROLE")
	t.row(owner, string(platform.RoleOwner))
	for _, user := range perms.Users {
		t.row(user, perms.Roles[user])
	}
	t.print(c.stdout)
}

func (c *cli) adminTable(ctx context.Context, s *session, limit int) error {
	admins, count, err := s.Admins(ctx, limit)
	if err != nil {
		return err
	}
	return page[api.Admin]{
		items: admins, total: count, none: "Nobody administers this platform.",
		heads: []string{"ADMINISTRATOR"}, row: func(a api.Admin) []string { return []string{a.Username} },
	}.show(c)
}

func adminFlag(cmd *cobra.Command, admin *bool) {
	cmd.Flags().BoolVar(admin, "admin", false, "the administrators of the platform, not of an app")
}

var grantable = []string{
	string(platform.RoleViewer), string(platform.RoleDeployer),
	string(platform.RoleOperator), string(platform.RoleAdmin),
}

func (c *cli) permAddCmd() *cobra.Command {
	var admin bool
	var role string
	cmd := &cobra.Command{
		Use: "add USER", Aliases: []string{"create"}, Short: "Share an app with somebody, or change their role", Long: permsLong,
		Example: "  slipway perms add carol\n  slipway perms add carol --role viewer\n  slipway perms add dave --admin",
		Args:    takes(1, 1, "one USER"),
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			if role != "" && (admin || !platform.Role(role).Grantable()) {
				return &usageError{"slipway perms add", "--role is viewer, deployer, operator or admin, and of an app"}
			}
			if admin {
				return c.changeAdmin(args[0], s.MakeAdmin(ctx, args[0]), "administers this platform now")
			}
			app, err := c.appID(ctx, s)
			if err != nil {
				return err
			}
			grant := api.Grant{Username: args[0], Role: role}
			if err := s.Grant(ctx, app, grant); err != nil {
				return err
			}
			if grant.Role == "" {
				grant.Role = string(platform.RoleOperator)
			}
			return c.answer(grant, func() { c.stdout.say("%s is %s of %s now.", args[0], grant.Role, app) })
		}),
	}
	adminFlag(cmd, &admin)
	cmd.Flags().StringVar(&role, "role", "", "viewer, deployer, operator or admin; operator unless told")
	must(cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(grantable, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func (c *cli) changeAdmin(username string, err error, done string) error {
	if err != nil {
		return err
	}
	return c.answer(map[string]string{"username": username}, func() { c.stdout.say("%s %s.", username, done) })
}

func (c *cli) permRemoveCmd() *cobra.Command {
	var admin bool
	cmd := &cobra.Command{
		Use: "remove USER", Aliases: []string{"rm", "delete"}, Short: "Stop sharing an app with somebody",
		Long:    "Stop sharing an app with somebody. Everybody may leave an app they share.",
		Example: "  slipway perms remove carol\n  slipway perms remove dave --admin",
		Args:    takes(1, 1, "one USER"),
		ValidArgsFunction: c.completeOfApp(func(ctx context.Context, s *session, app string) ([]string, error) {
			perms, err := s.Perms(ctx, app)
			return perms.Users, err
		}),
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			if admin {
				return c.changeAdmin(args[0], s.UnmakeAdmin(ctx, args[0]), "administers this platform no longer")
			}
			app, err := c.appID(ctx, s)
			if err != nil {
				return err
			}
			if err := s.Revoke(ctx, app, args[0]); err != nil {
				return err
			}
			return c.answer(map[string]string{"username": args[0]}, func() { c.stdout.say("%s is not shared with %s any more.", app, args[0]) })
		}),
	}
	adminFlag(cmd, &admin)
	return cmd
}
