package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

const stackHelp = `A stack is the image that slugs, which buildpacks make of what is pushed, are laid on: a system with a
shell, certificates and the languages' runtimes. With one in force a pushed app runs as a container. With
none, slugs are bare, and run only where the platform's own machine is their system.`

func (c *cli) stackCmd() *cobra.Command {
	cmd := group("stack", "Make and choose what slugs are laid on", c.stackListCmd,
		c.stackInfoCmd(), c.stackBuildCmd(), c.stackUseCmd(), c.stackRebaseCmd(), c.stackRemoveCmd())
	cmd.Aliases = []string{"stacks"}
	cmd.Long = stackHelp
	cmd.Example = "  slipway stack build\n  slipway stack list\n  slipway stack rebase --all"
	return c.common(cmd)
}

func (c *cli) stackListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the stacks",
		Long: stackHelp, Example: "  slipway stack list --json",
		Args: takes(0, 0, ""),
		RunE: c.asks(func(ctx context.Context, s *session, _ []string) error {
			stacks, err := s.Stacks(ctx)
			if err != nil {
				return err
			}
			return page[api.Stack]{
				items: stacks, none: "There is no stack: slugs are bare. Make one with: slipway stack build",
				heads: []string{"STACK", "SYSTEM", "FROM", "SIZE", "UPDATED", "NOTE"},
				row: func(k api.Stack) []string {
					return []string{k.Name, k.System, k.Source, megabytes(k.Size), c.when(k.Updated), stackNote(k)}
				},
			}.show(c)
		}),
	}
}

func stackNote(k api.Stack) string {
	if k.InForce {
		return "in force"
	}
	return ""
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

func (c *cli) stackInfoCmd() *cobra.Command {
	return &cobra.Command{
		Use: "info [NAME]", Short: "Show one stack, the one in force unless told",
		Long: stackHelp, Example: "  slipway stack info\n  slipway stack info bookworm --json",
		Args: takes(0, 1, "the name of one stack"), ValidArgsFunction: c.completeStacks,
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			stacks, err := s.Stacks(ctx)
			if err != nil {
				return err
			}
			for _, k := range stacks {
				if k.Name == first(args) || len(args) == 0 && k.InForce {
					return c.answer(k, func() { c.stackText(k) })
				}
			}
			if len(args) == 0 {
				return hinted(because(platform.ErrNotFound, "no stack is in force: slugs are bare"), "Make one with: slipway stack build")
			}
			return because(platform.ErrNotFound, "there is no stack %s", args[0])
		}),
	}
}

func (c *cli) stackText(k api.Stack) {
	var f facts
	f.add("Stack", k.Name)
	f.add("System", k.System)
	f.add("Image", k.Image)
	f.add("From", k.Source)
	f.add("Size", megabytes(k.Size))
	f.add("By", k.Owner)
	f.add("Made", c.when(k.Updated))
	f.add("Note", stackNote(k))
	f.print(c.stdout)
}

func (c *cli) stackBuildCmd() *cobra.Command {
	var recipe api.BuildStack
	use := true
	cmd := &cobra.Command{
		Use: "build", Short: "Make a stack of Debian's packages, as an administrator",
		Long: `Make a stack of Debian's packages, at the platform's machine, and put it in force. It holds what slugs
that are built on that machine need to run: the same release of Debian, with the language runtimes and
libraries that the machine has. What the machine has from elsewhere than an archive, such as a newer
Node.js, is copied from it, and told. The platform must run as root and have debootstrap. Takes a few
minutes; Ctrl-C ends it, and nothing is left.

Slugs that there are stay on what they lie on: put them on the new one with "slipway stack rebase --all".
Making it anew with the same name is how it gets Debian's security updates.`,
		Example: `  slipway stack build
  slipway stack build --packages runtimes,imagemagick,libvips42
  slipway stack build --name small --packages python3 --use=false
  slipway stack build --mirror http://mirror.example.com/debian`,
		Args: takes(0, 0, ""),
		RunE: c.asks(func(ctx context.Context, s *session, _ []string) error {
			recipe.Use = &use
			stack, err := s.BuildStack(ctx, recipe, func(line string) { c.stderr.say("%s", printable(line)) })
			if err != nil {
				return err
			}
			return c.answer(stack, func() { c.stackText(stack) })
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&recipe.Name, "name", "", "its `name`; the suite unless told")
	flags.StringVar(&recipe.Suite, "suite", "", "a `release` of Debian; that of the platform's machine unless told")
	flags.StringSliceVar(&recipe.Packages, "packages", nil, "what it holds beside the base system; runtimes stands for what the machine runs languages with, and is the default")
	flags.StringVar(&recipe.Mirror, "mirror", "", "`URL` the packages come from; where the machine's apt gets them unless told")
	flags.BoolVar(&use, "use", true, "put it in force")
	return cmd
}

func (c *cli) stackUseCmd() *cobra.Command {
	var name string
	var rebase bool
	cmd := &cobra.Command{
		Use: "use NAME|IMAGE|none", Short: "Choose the stack, as an administrator",
		Long: `Put a stack in force: one of "slipway stack list" by its name, an image, or none. Slugs are laid on it from
then on. An image must have bash and the GNU C library, and be for the platform's machine; it is kept as
a stack of the name --name gives it.

Slugs that there are stay on what they lie on, unless --rebase puts all on the new one.`,
		Example: "  slipway stack use bookworm --rebase\n  slipway stack use debian:12 --name debian\n  slipway stack use none",
		Args:    takes(1, 1, "the name of a stack, an image, or none"), ValidArgsFunction: c.completeStacks,
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			stack, err := s.UseStack(ctx, args[0], name)
			if err != nil {
				return err
			}
			if stack.Name == "" {
				c.stderr.say("No stack is in force: slugs are bare.")
			} else {
				c.stderr.say("Slugs are laid on stack %s.", printable(stack.Name))
			}
			if rebase {
				return c.rebaseAll(ctx, s)
			}
			return c.answer(stack, func() {})
		}),
	}
	cmd.Flags().StringVar(&name, "name", "", "the `name` an image is kept under")
	cmd.Flags().BoolVar(&rebase, "rebase", false, "put every slug on it, a release each")
	return cmd
}

func (c *cli) stackRebaseCmd() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "rebase", Short: "Put slugs on the stack in force without building them again",
		Long: `Put the slug that an app runs on the stack in force, bare ones too, without building it again: a new release
with the same code and config, deployed as any other. If it fails, what ran runs on. With --all every app
that you may deploy is, one after the other; those that run no slug, or are there already, are left alone.`,
		Example: "  slipway stack rebase -a blog\n  slipway stack rebase --all",
		Args:    takes(0, 0, ""),
		RunE: c.verb(func(ctx context.Context, _ []string) error {
			if all {
				s, err := c.connect()
				if err != nil {
					return err
				}
				return c.rebaseAll(ctx, s)
			}
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
			return c.rebaseOne(ctx, s, app)
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "every app")
	return c.ofApp(c.deploys(cmd))
}

func (c *cli) rebaseOne(ctx context.Context, s *session, app string) error {
	return c.release(ctx, s, app, newRelease{
		doing: "Rebasing " + app, about: []string{"rebased"},
		work: func(ctx context.Context) (func(api.Release) bool, error) {
			made, err := s.Rebase(ctx, app)
			return func(r api.Release) bool { return r.Version == made }, err
		},
	})
}

// rebasedApp is what became of one app of many.
type rebasedApp struct {
	App     string `json:"app"`
	Version int    `json:"version,omitempty"`
	Skipped bool   `json:"skipped,omitempty"`
	Why     string `json:"why,omitempty"`
}

// rebaseAll goes on after an app that fails, and fails in the end.
func (c *cli) rebaseAll(ctx context.Context, s *session) error {
	apps, _, err := s.Apps(ctx, 0)
	if err != nil {
		return err
	}
	results := make([]rebasedApp, 0, len(apps))
	failed := 0
	for _, app := range apps {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		result := rebasedApp{App: app.ID}
		err := c.during("Rebasing "+app.ID, func() (done string, err error) {
			result.Version, err = s.Rebase(ctx, app.ID)
			switch {
			case unchanged(err), errors.Is(err, platform.ErrInvalid), errors.Is(err, platform.ErrForbidden):
				result.Skipped, result.Why = true, wording(err)
				return "left as it is: " + printable(result.Why), nil
			case err != nil:
				return "", err
			}
			return fmt.Sprintf("done, v%d", result.Version), nil
		})
		if err != nil {
			failed++
			result.Why = wording(err)
			c.stderr.say("  %s", printable(result.Why))
		}
		results = append(results, result)
	}
	if err := c.answer(results, func() {}); err != nil {
		return err
	}
	if failed > 0 {
		return exitError(ExitFailed)
	}
	return nil
}

func (c *cli) stackRemoveCmd() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "Forget a stack that is not in force, as an administrator",
		Long:    "Forget a stack that is not in force. Slugs that lie on it stay as they are and run on.",
		Example: "  slipway stack remove small",
		Args:    takes(1, 1, "the name of one stack"), ValidArgsFunction: c.completeStacks,
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			if err := s.RemoveStack(ctx, args[0]); err != nil {
				return err
			}
			return c.answer(map[string]string{"name": args[0]}, func() { c.stdout.say("Forgot the stack %s.", printable(args[0])) })
		}),
	}
}

func (c *cli) completeStacks(cmd *cobra.Command, typed []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(typed) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.completeOfMe(func(ctx context.Context, s *session) ([]string, error) {
		stacks, err := s.Stacks(ctx)
		return names(stacks, func(k api.Stack) string { return k.Name }), err
	})(cmd, typed, "")
}
