package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

const groupsLong = `Share variables among apps. A group is yours: you change it, and whatever apps it is attached to get a
new release with the new values, one after the other. An app's own variables count above those of its
groups, and those of a group that was attached later above those of earlier ones.`

func (c *cli) groupsCmd() *cobra.Command {
	cmd := group("groups", "Share variables among apps", c.groupsListCmd, c.groupCreateCmd(), c.groupShowCmd(), c.groupSetCmd(), c.groupUnsetCmd(),
		c.groupAttachCmd(), c.groupDetachCmd(), c.groupDestroyCmd())
	cmd.Example = `  slipway groups create shared
  slipway groups set shared SMTP_URL=smtp://mail.example.com
  slipway groups attach shared -a blog
  slipway groups list -a blog`
	return c.ofApp(cmd)
}

func (c *cli) groupsListCmd() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List your groups, or with -a those of an app",
		Long: groupsLong + `

With -a, it says how the app's current release stands to each group: current, behind (it was rolled back,
or did not take a change over), or missing. Attach the group again to take over its present values.`,
		Example: "  slipway groups\n  slipway groups list -a blog",
		Args:    takes(0, 0, ""),
		RunE: c.asks(func(ctx context.Context, s *session, _ []string) error {
			if c.app != "" {
				return c.groupsOfApp(ctx, s, c.app)
			}
			groups, count, err := s.Groups(ctx, limit)
			if err != nil {
				return err
			}
			return page[api.Group]{
				items: groups, total: count, none: "You have no groups. Make one with: slipway groups create NAME",
				heads: []string{"GROUP", "VERSION", "OWNER", "CHANGED"},
				row: func(g api.Group) []string {
					return []string{g.Name, strconv.Itoa(g.Version), g.Owner, c.when(g.Updated)}
				},
			}.show(c)
		}),
	}
	limitFlag(cmd, &limit)
	return cmd
}

func (c *cli) groupsOfApp(ctx context.Context, s *session, app string) error {
	groups, err := s.AppGroups(ctx, app)
	if err != nil {
		return err
	}
	return page[api.AppGroup]{
		items: groups, none: app + " has no groups. Attach one with: slipway groups attach NAME -a " + app,
		heads: []string{"GROUP", "VERSION", "STATE"},
		row:   func(g api.AppGroup) []string { return []string{g.Group, strconv.Itoa(g.Version), stateText(g)} },
		tones: map[int]func(string) tone{2: groupTone},
	}.show(c)
}

func stateText(g api.AppGroup) string {
	if g.State == "behind" {
		return fmt.Sprintf("behind: has version %d", g.Has)
	}
	return g.State
}

func groupTone(state string) tone {
	if state == "current" {
		return good
	}
	return wary
}

func (c *cli) completeGroups() completion {
	return c.completeOfMe(func(ctx context.Context, s *session) ([]string, error) {
		groups, _, err := s.Groups(ctx, 0)
		return names(groups, func(g api.Group) string { return g.Name }), err
	})
}

func (c *cli) groupCreateCmd() *cobra.Command {
	return &cobra.Command{
		Use: "create NAME", Aliases: []string{"add"}, Short: "Make a group", Long: groupsLong, Example: "  slipway groups create shared",
		Args: takes(1, 1, "one NAME"),
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			group, err := s.CreateGroup(ctx, args[0])
			if err != nil {
				return err
			}
			return c.answer(group, func() {
				c.stdout.say("Made the group %s. Give it values with: slipway groups set %s KEY=value", group.Name, group.Name)
			})
		}),
	}
}

func (c *cli) groupShowCmd() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Aliases: []string{"info"}, Short: "Show the values of a group and its apps",
		Long: "Show the values of a group of yours, which may be secrets, and how each of its apps stands to it.", Example: "  slipway groups show shared",
		Args: takes(1, 1, "one NAME"), ValidArgsFunction: c.completeGroups(),
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			group, err := s.Group(ctx, args[0])
			if err != nil {
				return err
			}
			return c.answer(group, func() {
				fmt.Fprint(c.stdout, dotenv(group.Values))
				for _, app := range group.Apps {
					c.stderr.say("%s: %s", app.App, stateText(app))
				}
			})
		}),
	}
}

func (c *cli) groupSetCmd() *cobra.Command {
	return &cobra.Command{
		Use: "set NAME KEY=value...", Short: "Set values: a new release of each of its apps",
		Long:    groupsLong + "\n\nAn app that fails to deploy keeps its old values, and does not keep the others from the new ones.",
		Example: "  slipway groups set shared SMTP_URL=smtp://mail.example.com LOG=json",
		Args:    takes(2, -1, "a NAME and KEY=value"), ValidArgsFunction: c.completeGroups(),
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			values, err := c.assignments(args[1:])
			if err != nil {
				return err
			}
			return c.changeGroup(ctx, s, args[0], "Setting", values)
		}),
	}
}

func (c *cli) groupUnsetCmd() *cobra.Command {
	return &cobra.Command{
		Use: "unset NAME KEY...", Short: "Remove values: a new release of each of its apps",
		Long: "Remove values of a group. Each of its apps gets a new release.", Example: "  slipway groups unset shared LOG",
		Args: takes(2, -1, "a NAME and a KEY"), ValidArgsFunction: c.completeGroups(),
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			return c.changeGroup(ctx, s, args[0], "Unsetting", unset(args[1:]))
		}),
	}
}

func (c *cli) changeGroup(ctx context.Context, s *session, name, doing string, values map[string]*string) error {
	var changed api.GroupChanged
	failed := 0
	err := c.during(doing+" "+strings.Join(sortedKeys(values), ", ")+" of group "+name, func() (_ string, err error) {
		changed, err = s.SetGroup(ctx, name, values)
		if unchanged(err) {
			return "so already", nil
		}
		return "", err
	})
	if err != nil {
		return err
	}
	for _, d := range changed.Deploy {
		if d.Error != "" {
			failed++
		}
	}
	err = c.answer(changed, func() {
		for _, d := range changed.Deploy {
			if d.Error != "" {
				c.stdout.say("%s: %s", d.App, c.stdout.paint(bad, printable(strings.ReplaceAll(d.Error, "\n", " "))))
				continue
			}
			c.stdout.say("%s: %s", d.App, d.Release)
		}
	})
	if err == nil && failed > 0 {
		return fmt.Errorf("%s did not take the change over", plural(failed, "app"))
	}
	return err
}

func (c *cli) groupAttachCmd() *cobra.Command {
	return &cobra.Command{
		Use: "attach NAME", Short: "Give an app a group's values: a new release",
		Long: `Give an app the values of a group, as a new release. The group has to be yours, and you have to operate the
app; from then on all who operate the app see the values. Where the group is attached already the app takes
over its present values, which all who operate it may ask for.`,
		Example: "  slipway groups attach shared -a blog",
		Args:    takes(1, 1, "one NAME"), ValidArgsFunction: c.completeGroups(),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			group := api.AppGroup{App: app, Group: args[0], State: "current"}
			err := c.during("Attaching group "+args[0]+" to "+app, func() (done string, err error) {
				attached, err := s.AttachGroup(ctx, app, args[0])
				if unchanged(err) {
					return "so already", nil
				}
				group = attached
				return "", err
			})
			if err != nil {
				return err
			}
			return c.answer(group, func() {})
		}),
	}
}

func (c *cli) groupDetachCmd() *cobra.Command {
	return &cobra.Command{
		Use: "detach NAME", Short: "Take a group's values from an app: a new release", Long: "Take a group's values from an app, as a new release. Whoever operates the app may.",
		Example: "  slipway groups detach shared -a blog",
		Args:    takes(1, 1, "one NAME"),
		ValidArgsFunction: c.completeOfApp(func(ctx context.Context, s *session, app string) ([]string, error) {
			groups, err := s.AppGroups(ctx, app)
			return names(groups, func(g api.AppGroup) string { return g.Group }), err
		}),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			err := c.during("Detaching group "+args[0]+" from "+app, func() (string, error) { return "", s.DetachGroup(ctx, app, args[0]) })
			if err != nil {
				return err
			}
			return c.answer(map[string]string{"app": app, "group": args[0]}, func() {})
		}),
	}
}

func (c *cli) groupDestroyCmd() *cobra.Command {
	return &cobra.Command{
		Use: "destroy NAME", Aliases: []string{"remove", "rm"}, Short: "Destroy a group that no app has",
		Long: "Destroy a group that is attached to no app. Detach it first.", Example: "  slipway groups destroy shared",
		Args: takes(1, 1, "one NAME"), ValidArgsFunction: c.completeGroups(),
		RunE: c.asks(func(ctx context.Context, s *session, args []string) error {
			if err := s.DestroyGroup(ctx, args[0]); err != nil {
				return err
			}
			return c.answer(map[string]string{"name": args[0]}, func() { c.stdout.say("Destroyed the group %s.", args[0]) })
		}),
	}
}
