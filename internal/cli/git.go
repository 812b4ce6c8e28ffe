package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/platform"
)

func (c *cli) gitCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "git",
		Short:   "Connect a work tree with an app",
		Long:    "Connect a git work tree with an app, or part them.",
		Example: "  slipway git remote add -a blog\n  slipway git remote add -a blog --http\n  slipway git remote remove -a blog",
		Args:    noun,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.gitRemoteCmd(), c.gitCredentialCmd())
	return c.ofApp(cmd)
}

// remoteWish is what git remote add is asked for.
type remoteWish struct {
	name     string
	overHTTP bool
	force    bool
}

func (c *cli) gitRemoteCmd() *cobra.Command {
	cmd := group("remote", "Add or remove the git remote that deploys an app", c.gitRemoteAddCmd, c.gitRemoteRemoveCmd())
	cmd.Example = "  slipway git remote add -a blog\n  slipway git remote remove -a blog"
	return cmd
}

func (c *cli) gitRemoteAddCmd() *cobra.Command {
	var wish remoteWish
	cmd := &cobra.Command{
		Use:   "add",
		Short: "Add the git remote that deploys an app",
		Long: `Add the git remote that deploys an app, so that "git push slipway main" does. Over SSH your key
says who you are (slipway keys add); with --http your login does, through git's credentials.`,
		Example: "  slipway git remote add -a blog\n  slipway git remote add -a blog --name staging\n  slipway git remote add -a blog --http --force",
		Args:    takes(0, 0, ""),
		RunE:    c.verb(func(ctx context.Context, _ []string) error { return c.gitRemote(ctx, wish) }),
	}
	cmd.Flags().StringVar(&wish.name, "name", remoteName, "what to call it")
	cmd.Flags().StringVarP(&wish.name, "remote", "r", remoteName, "the same as --name")
	cmd.Flags().BoolVar(&wish.overHTTP, "http", false, "over HTTP instead of SSH")
	cmd.Flags().BoolVarP(&wish.force, "force", "f", false, "replace one of that name")
	must(cmd.Flags().MarkHidden("remote"))
	return cmd
}

func (c *cli) gitRemoteRemoveCmd() *cobra.Command {
	return &cobra.Command{
		Use: "remove", Aliases: []string{"rm"}, Short: "Remove the git remotes that lead to an app",
		Long: "Remove the git remotes that lead to an app. The app stays.", Example: "  slipway git remote remove -a blog",
		Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			removed := []string{}
			for _, r := range c.remotesOf(ctx, s, app) {
				if _, err := c.git(ctx, "remote", "remove", r.name); err != nil {
					return err
				}
				removed = append(removed, r.name)
			}
			return c.answer(removed, func() {
				if len(removed) == 0 {
					c.none("No git remote here leads to %s.", app)
					return
				}
				c.stdout.say("Removed %s.", strings.Join(removed, ", "))
			})
		}),
	}
}

func (c *cli) gitRemote(ctx context.Context, wish remoteWish) error {
	if !c.inWorkTree(ctx) {
		return hinted(because(platform.ErrNotFound, "this is no git work tree"), "Make it one with: git init")
	}
	s, app, err := c.connectApp(ctx)
	if err != nil {
		return err
	}
	if _, err := s.App(ctx, app); err != nil {
		return err
	}
	p, err := c.refresh(ctx, s)
	if err != nil {
		return err
	}
	address, err := remoteURL(p, s.URL(), app, wish.overHTTP)
	if err != nil {
		return err
	}
	if wish.overHTTP {
		key := "credential." + strings.TrimRight(p.GitHTTP, "/") + ".helper"
		if _, err := c.git(ctx, "config", key, c.helper()); err != nil {
			return err
		}
	}
	added, err := c.addRemote(ctx, wish.name, address, wish.force)
	if err != nil {
		return err
	}
	said := map[string]string{"name": wish.name, "url": address}
	return c.answer(said, func() {
		word := "leads"
		if !added {
			word = "leads already"
		}
		c.stdout.say("The git remote %s %s to %s.", wish.name, word, address)
	})
}

// helper is the credential helper as git's configuration has it: a command of
// the shell.
func (c *cli) helper() string {
	program := "slipway"
	if lookPath(c.opts.env("PATH"), program) == "" {
		if self, err := os.Executable(); err == nil {
			program = quote(self)
		}
	}
	helper := "!" + program + " git credential"
	if name := c.contextID(); name != defaultContext {
		helper += " -c " + name
	}
	return helper
}

// gitCredentialCmd answers git's question for a password: see git-credential(1).
func (c *cli) gitCredentialCmd() *cobra.Command {
	return &cobra.Command{
		Use:    "credential get|store|erase",
		Short:  "Tell git the login, as a credential helper",
		Hidden: true,
		Args:   takes(1, 1, "get, store or erase"),
		RunE: c.verb(func(ctx context.Context, args []string) error {
			if args[0] != "get" {
				return nil // the login is slipway's to keep
			}
			asked, err := c.readCredential()
			if err != nil {
				return err
			}
			s, err := c.connect()
			if err != nil {
				return err
			}
			p, err := s.where(ctx)
			if err != nil {
				return err
			}
			if door, err := url.Parse(p.GitHTTP); err != nil || asked["protocol"] != door.Scheme || asked["host"] != door.Host {
				return nil // somebody else's to answer
			}
			username := s.profile.Username
			if username == "" {
				username = "token"
			}
			fmt.Fprintf(c.stdout, "username=%s\npassword=%s\n", username, s.profile.Token)
			return nil
		}),
	}
}

// readCredential reads git's key=value lines up to an empty one.
func (c *cli) readCredential() (map[string]string, error) {
	asked := map[string]string{}
	for range 64 {
		line, err := readLine(c.opts.Stdin)
		if line == "" || err != nil {
			break
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, errors.New("this is for git to run, as a credential helper")
		}
		asked[key] = value
	}
	return asked, nil
}
