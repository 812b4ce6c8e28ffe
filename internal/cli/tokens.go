package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

const tokensLong = `Make credentials for programs, each with a name, and bounded: to some apps, to a role
(viewer, deployer, operator, admin), and in time. A program uses one as $SLIPWAY_TOKEN, beside
$SLIPWAY_URL, or as the password of a push over HTTP.`

func (c *cli) tokensCmd() *cobra.Command {
	cmd := group("tokens", "Make credentials for programs, and end them", c.tokensListCmd, c.tokenCreateCmd(), c.tokenRevokeCmd())
	cmd.Example = "  slipway tokens\n  slipway tokens create ci --role deployer --app blog --expires 90d\n  slipway tokens revoke ci"
	return c.common(cmd)
}

func (c *cli) tokensListCmd() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List your tokens, without their secrets", Long: tokensLong, Example: "  slipway tokens list",
		Args: takes(0, 0, ""),
		RunE: c.asks(func(ctx context.Context, s *session, _ []string) error {
			tokens, count, err := s.Tokens(ctx, limit)
			if err != nil {
				return err
			}
			return page[api.NamedToken]{
				items: tokens, total: count, none: "You have no tokens here. Make one with: slipway tokens create NAME",
				heads: []string{"TOKEN", "ROLE", "APPS", "CREATED", "EXPIRES", "LAST USED"},
				row: func(t api.NamedToken) []string {
					return []string{t.Name, orWord(t.Role, "all you may"), orWord(strings.Join(t.Apps, " "), "all"), c.when(t.Created), c.until(t.Expires), c.last(t.LastUsed)}
				},
			}.show(c)
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func orWord(text, word string) string {
	if text == "" {
		return word
	}
	return text
}

// until is when something ends.
func (c *cli) until(t *api.Time) string {
	if t == nil || t.IsZero() {
		return "never"
	}
	return day(*t)
}

// last is when something happened.
func (c *cli) last(t *api.Time) string {
	if t == nil || t.IsZero() {
		return "never"
	}
	return c.when(*t)
}

func (c *cli) tokenCreateCmd() *cobra.Command {
	var token api.CreateToken
	var expires string
	cmd := &cobra.Command{
		Use: "create NAME", Aliases: []string{"add"}, Short: "Make a token, and show it this once",
		Long: tokensLong + "\n\nThe token is printed once, alone on stdout, and cannot be shown again.",
		Example: `  slipway tokens create ci --role deployer --app blog --expires 90d
  slipway tokens create dashboard --role viewer
  slipway tokens create ci --app blog --app shop | gh secret set SLIPWAY_TOKEN`,
		Args: takes(1, 1, "one NAME"),
		RunE: c.asks(func(ctx context.Context, s *session, args []string) (err error) {
			token.Name = args[0]
			if token.ExpiresIn, err = lifetime(expires); err != nil {
				return err
			}
			if token.Role != "" && !platform.Role(token.Role).Grantable() {
				return &usageError{"slipway tokens create", "--role is viewer, deployer, operator or admin"}
			}
			created, err := s.CreateToken(ctx, token)
			if err != nil {
				return err
			}
			return c.answer(created, func() {
				c.stderr.say("The token %s, shown this once:", created.Name)
				c.stdout.say("%s", created.Token)
			})
		}),
	}
	cmd.Flags().StringVar(&token.Role, "role", "", "the most it may do: viewer, deployer, operator or admin; all you may unless told")
	cmd.Flags().StringSliceVarP(&token.Apps, "app", "a", nil, "an app it reaches, again for several; all unless told")
	cmd.Flags().StringVar(&expires, "expires", "", "how long it holds, such as 12h or 30d; for ever unless told")
	must(cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(grantable, cobra.ShellCompDirectiveNoFileComp)))
	must(cmd.RegisterFlagCompletionFunc("app", c.completeApps))
	return cmd
}

// lifetime reads how long something holds, such as 30d, in seconds; 0 for "".
func lifetime(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	d, err := parseSpan(text)
	if err != nil || d < time.Second {
		return 0, &usageError{"slipway tokens create", fmt.Sprintf("%q is no time to hold: write 12h or 30d", text)}
	}
	return int64(d / time.Second), nil
}

// parseSpan is time.ParseDuration, which knows days and weeks as well.
func parseSpan(text string) (time.Duration, error) {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if digits, ok := strings.CutSuffix(text, unit); ok {
			n, err := strconv.ParseInt(digits, 10, 32)
			if err != nil || n < 0 || n > 100*366 {
				return 0, fmt.Errorf("%q is no span of time", text)
			}
			return time.Duration(n) * length, nil
		}
	}
	return time.ParseDuration(text)
}

func (c *cli) tokenRevokeCmd() *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME", Aliases: []string{"remove", "rm"}, Short: "End a token at once",
		Long: "End a token at once. Whoever uses it is not logged in any more.", Example: "  slipway tokens revoke ci",
		Args: takes(1, 1, "one NAME"),
		ValidArgsFunction: c.completeOfMe(func(ctx context.Context, s *session) ([]string, error) {
			tokens, _, err := s.Tokens(ctx, 0)
			return names(tokens, func(t api.NamedToken) string { return t.Name }), err
		}),
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			if err := s.RevokeToken(ctx, args[0]); err != nil {
				return err
			}
			return c.answer(map[string]string{"name": args[0]}, func() { c.stdout.say("Revoked the token %s.", args[0]) })
		}),
	}
}
