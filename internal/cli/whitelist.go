package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

const whitelistLong = `Serve an app to some addresses only; all others get 403. Without any, everybody is served. Write
addresses and networks such as 10.0.0.0/8 or 2001:db8::/32, with spaces or commas between them.`

func (c *cli) whitelistCmd() *cobra.Command {
	cmd := group("whitelist", "Serve an app to some addresses only", c.whitelistListCmd, c.whitelistAddCmd(), c.whitelistRemoveCmd())
	cmd.Example = "  slipway whitelist\n  slipway whitelist add 10.0.0.0/8 192.0.2.7\n  slipway whitelist remove 192.0.2.7"
	return c.ofApp(cmd)
}

func (c *cli) whitelistListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show who is served", Long: whitelistLong, Example: "  slipway whitelist list",
		Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			addresses, err := s.Whitelist(ctx, app)
			if err != nil {
				return err
			}
			return c.whitelisted(app, addresses)
		}),
	}
}

func (c *cli) whitelisted(app string, addresses []string) error {
	return c.answer(addresses, func() {
		if len(addresses) == 0 {
			c.none("%s is served to everybody. Serve it to some with: slipway whitelist add 10.0.0.0/8", app)
			return
		}
		t := newTable("ADDRESS")
		for _, address := range addresses {
			t.row(address)
		}
		t.print(c.stdout)
	})
}

func (c *cli) whitelistAddCmd() *cobra.Command {
	return &cobra.Command{
		Use: "add ADDRESS...", Short: "Serve addresses or networks too", Long: whitelistLong, Example: "  slipway whitelist add 10.0.0.0/8 192.0.2.7",
		Args: takes(1, -1, "an ADDRESS"),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			addresses, err := s.AddWhitelist(ctx, app, commas(args))
			if unchanged(err) {
				addresses, err = s.Whitelist(ctx, app)
			}
			if err != nil {
				return err
			}
			return c.whitelisted(app, addresses)
		}),
	}
}

// commas are words that may also stand between commas.
func commas(words []string) []string {
	return strings.FieldsFunc(strings.Join(words, ","), func(r rune) bool { return r == ',' || r == ' ' })
}

func (c *cli) whitelistRemoveCmd() *cobra.Command {
	return &cobra.Command{
		Use: "remove ADDRESS...", Aliases: []string{"rm"}, Short: "Stop serving addresses or networks",
		Long:    whitelistLong + " Removing the last one serves everybody again.",
		Example: "  slipway whitelist remove 192.0.2.7",
		Args:    takes(1, -1, "an ADDRESS"),
		ValidArgsFunction: c.completeOfApp(func(ctx context.Context, s *session, app string) ([]string, error) {
			return s.Whitelist(ctx, app)
		}),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			if err := s.RemoveWhitelist(ctx, app, commas(args)); err != nil {
				return err
			}
			addresses, err := s.Whitelist(ctx, app)
			if err != nil {
				return err
			}
			return c.whitelisted(app, addresses)
		}),
	}
}
