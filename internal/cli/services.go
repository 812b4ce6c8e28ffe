package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

const servicesLong = `Lead paths of an app to another process type than web. A pattern is a list with commas between:
/prefix, "= /exact", "~ regular expression", or "~* regular expression" that ignores case.`

func (c *cli) servicesCmd() *cobra.Command {
	cmd := group("services", "Lead paths of an app to other process types", c.servicesListCmd, c.serviceAddCmd(), c.serviceRemoveCmd())
	cmd.Example = "  slipway services\n  slipway services add api /api,/v2\n  slipway services remove api"
	return c.ofApp(cmd)
}

func (c *cli) servicesListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show which paths lead where", Long: servicesLong, Example: "  slipway services list",
		Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			services, err := s.Services(ctx, app)
			if err != nil {
				return err
			}
			return page[api.Service]{
				items: services, none: "All paths lead to web. Lead some elsewhere with: slipway services add api /api",
				heads: []string{"TYPE", "PATHS"},
				row:   func(v api.Service) []string { return []string{v.ProcfileType, v.PathPattern} },
			}.show(c)
		}),
	}
}

func (c *cli) serviceAddCmd() *cobra.Command {
	return &cobra.Command{
		Use: "add TYPE PATTERN", Short: "Lead paths to a process type", Long: servicesLong,
		Example:           "  slipway services add api /api,/v2\n  slipway services add hooks '~ ^/users/[0-9]+/hook'",
		Args:              takes(2, 2, "a TYPE and a PATTERN"),
		ValidArgsFunction: c.completeTypes,
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			service := api.Service{ProcfileType: args[0], PathPattern: args[1]}
			if err := s.SetService(ctx, app, service); err != nil {
				return err
			}
			return c.answer(service, func() { c.stdout.say("%s of %s leads to %s.", args[1], app, args[0]) })
		}),
	}
}

func (c *cli) serviceRemoveCmd() *cobra.Command {
	return &cobra.Command{
		Use: "remove TYPE", Aliases: []string{"rm"}, Short: "Lead the paths of a process type to web again",
		Long: "Lead the paths of a process type to web again.", Example: "  slipway services remove api",
		Args: takes(1, 1, "one TYPE"),
		ValidArgsFunction: c.completeOfApp(func(ctx context.Context, s *session, app string) ([]string, error) {
			services, err := s.Services(ctx, app)
			return names(services, func(v api.Service) string { return v.ProcfileType }), err
		}),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			if err := s.RemoveService(ctx, app, args[0]); err != nil {
				return err
			}
			return c.answer(map[string]string{"procfile_type": args[0]}, func() { c.stdout.say("No path of %s leads to %s any more.", app, args[0]) })
		}),
	}
}
