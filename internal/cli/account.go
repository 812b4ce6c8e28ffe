package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

// authCmd has all that concerns a login below one noun.
func (c *cli) authCmd() *cobra.Command {
	cmd := group("auth", "Log in and out; your password and your login's token", c.whoamiCmd,
		c.registerCmd(), c.loginCmd(), c.logoutCmd(), c.passwdCmd(), c.regenerateCmd(), c.cancelCmd())
	cmd.Example = "  slipway auth login https://slipway.example.com\n  slipway auth whoami\n  slipway auth regenerate"
	return cmd
}

func (c *cli) logoutCmd() *cobra.Command {
	return c.common(&cobra.Command{
		Use:     "logout",
		Short:   "Forget the login",
		Long:    "Forget the login. Its token goes on holding elsewhere: slipway auth regenerate ends it.",
		Example: "  slipway logout\n  slipway logout -c staging",
		Args:    takes(0, 0, ""),
		RunE: c.verb(func(context.Context, []string) error {
			name := c.contextID()
			if err := c.removeProfile(name); err != nil {
				return err
			}
			return c.answer(map[string]string{"context": name}, func() { c.stdout.say("Logged out.") })
		}),
	})
}

func (c *cli) whoamiCmd() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "whoami",
		Short:   "Show who is logged in, and where",
		Long:    "Show who is logged in, and where. --all shows all the platform knows of you.",
		Example: "  slipway whoami\n  slipway whoami --all\n  slipway whoami --json",
		Args:    takes(0, 0, ""),
		RunE: c.asks(func(ctx context.Context, s *session, _ []string) error {
			user, err := s.WhoAmI(ctx)
			if err != nil {
				return err
			}
			return c.answer(user, func() {
				if all {
					c.userText(s, user)
					return
				}
				role := ""
				if user.IsSuperuser {
					role = ", an administrator"
				}
				c.stdout.say("%s at %s%s", user.Username, s.URL(), role)
			})
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "show all that is known")
	return c.common(cmd)
}

func (c *cli) userText(s *session, u api.User) {
	var f facts
	f.add("User", u.Username)
	f.add("Platform", s.URL())
	f.add("Context", c.contextID())
	f.add("Name", strings.TrimSpace(u.FirstName+" "+u.LastName))
	f.add("Email", u.Email)
	f.add("Administrator", yesNo(u.IsSuperuser))
	f.add("Active", yesNo(u.IsActive))
	f.add("Groups", strings.Join(u.Groups, " "))
	f.add("Joined", c.when(u.DateJoined))
	f.add("Last login", c.when(u.LastLogin))
	f.print(c.stdout)
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func (c *cli) regenerateCmd() *cobra.Command {
	var which api.Tokens
	var sure bool
	cmd := &cobra.Command{
		Use:   "regenerate",
		Short: "Replace the token of your login",
		Long: `Replace the token of your login. Other machines that are logged in as you are so no longer; named
tokens stay (slipway tokens). An administrator replaces another's with -u, or everybody's with
--all, which asks first.`,
		Example: "  slipway auth regenerate\n  slipway auth regenerate -u carol\n  slipway auth regenerate --all --yes",
		Args:    takes(0, 0, ""),
		RunE: c.asks(func(ctx context.Context, s *session, _ []string) error {
			if which.All {
				if err := c.sure(ctx, "slipway auth regenerate", "everybody's login ends, yours included", "all", "--yes", sure); err != nil {
					return err
				}
			}
			token, err := s.Regenerate(ctx, which)
			if err != nil {
				return err
			}
			return c.regenerated(s, which, token)
		}),
	}
	cmd.Flags().StringVarP(&which.Username, "username", "u", "", "whose, as an administrator")
	cmd.Flags().BoolVar(&which.All, "all", false, "everybody's, as an administrator")
	cmd.Flags().BoolVarP(&sure, "yes", "y", false, "do not ask")
	return c.common(cmd)
}

// regenerated keeps one's own new token where the old one was.
func (c *cli) regenerated(s *session, which api.Tokens, token string) error {
	switch {
	case which.All:
		return c.answer(which, func() { c.stdout.say("Replaced all tokens. Log in again with: slipway login") })
	case which.Username != "" && which.Username != s.profile.Username:
		return c.answer(which, func() { c.stdout.say("Replaced the token of %s, who logs in again.", which.Username) })
	case !s.saved: // it came from the environment, and can be kept by nobody but the user
		return c.answer(api.Token{Token: token}, func() {
			c.stderr.say("The new token, shown this once:")
			c.stdout.say("%s", token)
		})
	}
	s.profile.Token = token
	if err := c.saveProfile(c.contextID(), s.profile); err != nil {
		return err
	}
	return c.answer(which, func() { c.stdout.say("Replaced the token of your login, which holds on this machine.") })
}

func (c *cli) cancelCmd() *cobra.Command {
	var username, confirm string
	var yes bool
	cmd := &cobra.Command{
		Use:   "cancel",
		Short: "Forget a user: yourself, unless told otherwise",
		Long: `Forget a user, with their keys and tokens: yourself, or as an administrator another with -u. Who
owns apps cannot go before those are destroyed or transferred. It asks for the user's name.`,
		Example: "  slipway auth cancel\n  slipway auth cancel -u carol --confirm carol",
		Args:    takes(0, 0, ""),
		RunE: c.asks(func(ctx context.Context, s *session, _ []string) error {
			who := username
			if who == "" {
				user, err := s.WhoAmI(ctx)
				if err != nil {
					return err
				}
				who = user.Username
			}
			if err := c.sure(ctx, "slipway auth cancel", who+" is forgotten, with keys and tokens", who, "--confirm "+who, yes || confirm == who); err != nil {
				return err
			}
			if err := s.Cancel(ctx, username); err != nil {
				return err
			}
			if username == "" && s.saved {
				if err := c.removeProfile(c.contextID()); err != nil {
					return err
				}
			}
			return c.answer(map[string]string{"username": who}, func() { c.stdout.say("%s is no user any more.", who) })
		}),
	}
	cmd.Flags().StringVarP(&username, "username", "u", "", "who, as an administrator")
	cmd.Flags().StringVar(&confirm, "confirm", "", "the user's `name` again, instead of being asked")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c.common(cmd)
}

// sure asks on the terminal for a word before what cannot be undone. Without a
// terminal, flag has to say that somebody is.
func (c *cli) sure(ctx context.Context, command, what, word, flag string, already bool) error {
	if already {
		return nil
	}
	if _, ok := terminal(c.opts.Stdin); !ok {
		return &usageError{command, fmt.Sprintf("%s; say so: %s", what, flag)}
	}
	c.stderr.say("This cannot be undone: %s.", what)
	given, err := c.ask(ctx, fmt.Sprintf("Type %s to go on: ", word))
	if err == nil && given != word {
		err = &usageError{command, fmt.Sprintf("nothing done: %q is not %s", given, word)}
	}
	return err
}
