package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/platform"
)

const contextsLong = `Several platforms side by side. Each login has a name; the one in use is asked unless -c NAME or
$SLIPWAY_CONTEXT names another. "slipway login -c NAME URL" adds one.`

func (c *cli) contextsCmd() *cobra.Command {
	cmd := group("contexts", "List the platforms you are logged in to, and choose one", c.contextsListCmd,
		c.contextCurrentCmd(), c.contextUseCmd(), c.contextRemoveCmd())
	cmd.Aliases = []string{"context", "profiles"}
	cmd.Example = "  slipway contexts\n  slipway login -c staging https://slipway.staging.example.com\n  slipway contexts use staging\n  slipway apps -c default"
	return c.common(cmd)
}

// listedContext is a login without its token.
type listedContext struct {
	Name     string `json:"name"`
	URL      string `json:"url"`
	Username string `json:"username"`
	Current  bool   `json:"current"`
}

func (c *cli) contextsListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List your logins", Long: contextsLong, Example: "  slipway contexts list",
		Args: takes(0, 0, ""),
		RunE: c.verb(func(context.Context, []string) error {
			listed, err := c.contexts()
			if err != nil {
				return err
			}
			return page[listedContext]{
				items: listed, none: "You are not logged in anywhere. Log in with: slipway login [URL]",
				heads: []string{"CONTEXT", "USER", "PLATFORM", ""},
				row: func(l listedContext) []string {
					return []string{l.Name, l.Username, l.URL, map[bool]string{true: "current"}[l.Current]}
				},
			}.show(c)
		}),
	}
}

func (c *cli) contexts() ([]listedContext, error) {
	names, err := c.contextNames()
	if err != nil {
		return nil, err
	}
	listed := []listedContext{}
	for _, name := range names {
		p, err := c.loadProfile(name)
		if err != nil {
			return nil, err
		}
		listed = append(listed, listedContext{name, p.URL, p.Username, name == c.contextID()})
	}
	return listed, nil
}

func (c *cli) contextCurrentCmd() *cobra.Command {
	return &cobra.Command{
		Use: "current", Aliases: []string{"info"}, Short: "Show the login in use",
		Long: "Show the name of the login in use, for scripts and prompts.", Example: "  slipway contexts current",
		Args: takes(0, 0, ""),
		RunE: c.verb(func(context.Context, []string) error {
			name := c.contextID()
			p, err := c.loadProfile(name)
			if err != nil {
				return err
			}
			return c.answer(listedContext{name, p.URL, p.Username, true}, func() { c.stdout.say("%s", name) })
		}),
	}
}

func (c *cli) contextUseCmd() *cobra.Command {
	return &cobra.Command{
		Use: "use NAME", Short: "Choose the login in use", Long: contextsLong, Example: "  slipway contexts use staging",
		Args: takes(1, 1, "one NAME"), ValidArgsFunction: c.completeContexts,
		RunE: c.verb(func(_ context.Context, args []string) error {
			p, err := c.loadProfile(args[0])
			if err != nil {
				return err
			}
			if err := c.useContext(args[0]); err != nil {
				return err
			}
			return c.answer(listedContext{args[0], p.URL, p.Username, true}, func() {
				c.stdout.say("From now on it is %s at %s.", p.Username, p.URL)
				if named := c.namedContext(); named != "" && named != args[0] {
					c.stderr.say("But $SLIPWAY_CONTEXT names %s, which goes first.", named)
				}
			})
		}),
	}
}

func (c *cli) contextRemoveCmd() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "Forget a login",
		Long: "Forget a login, as slipway logout -c NAME does.", Example: "  slipway contexts remove staging",
		Args: takes(1, 1, "one NAME"), ValidArgsFunction: c.completeContexts,
		RunE: c.verb(func(_ context.Context, args []string) error {
			if _, err := c.loadProfile(args[0]); err != nil {
				return hinted(because(platform.ErrNotFound, "there is no login %s", args[0]), "List yours with: slipway contexts")
			}
			if err := c.removeProfile(args[0]); err != nil {
				return err
			}
			return c.answer(map[string]string{"context": args[0]}, func() { c.stdout.say("Forgot the login %s.", args[0]) })
		}),
	}
}
