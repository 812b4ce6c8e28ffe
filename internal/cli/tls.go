package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

func (c *cli) tlsCmd() *cobra.Command {
	cmd := group("tls", "Send plain HTTP to HTTPS, or answer both", c.tlsInfoCmd, c.tlsSetCmd("enable", "on", true), c.tlsSetCmd("disable", "off", false))
	cmd.Example = "  slipway tls\n  slipway tls enable\n  slipway tls disable"
	return c.ofApp(cmd)
}

func (c *cli) tlsInfoCmd() *cobra.Command {
	return &cobra.Command{
		Use: "info", Short: "Show whether HTTPS is enforced", Long: "Show whether the app sends plain HTTP to HTTPS.", Example: "  slipway tls info",
		Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			tls, err := s.TLS(ctx, app)
			if err != nil {
				return err
			}
			return c.tlsText(app, tls)
		}),
	}
}

func (c *cli) tlsText(app string, tls api.TLS) error {
	return c.answer(tls, func() {
		switch {
		case tls.HTTPSEnforced == nil:
			c.stdout.say("HTTPS of %s is not enforced: nobody chose.", app)
		case *tls.HTTPSEnforced:
			c.stdout.say("HTTPS of %s is enforced: plain HTTP is sent there.", app)
		default:
			c.stdout.say("HTTPS of %s is not enforced.", app)
		}
	})
}

func (c *cli) tlsSetCmd(name, alias string, enforced bool) *cobra.Command {
	short := map[bool]string{true: "Send plain HTTP to HTTPS", false: "Answer plain HTTP as well"}[enforced]
	return &cobra.Command{
		Use: name, Aliases: []string{alias}, Short: short, Long: short + ". It takes effect at once and makes no release.", Example: "  slipway tls " + name,
		Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			tls, err := s.SetTLS(ctx, app, enforced)
			if unchanged(err) {
				tls, err = s.TLS(ctx, app)
			}
			if err != nil {
				return err
			}
			return c.tlsText(app, tls)
		}),
	}
}
