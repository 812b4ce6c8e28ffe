package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

func (c *cli) settingsCmd() *cobra.Command {
	cmd := group("settings", "Show and flip the switches of an app", c.settingsListCmd, &cobra.Command{
		Use:     "set NAME=value...",
		Short:   "Flip switches: maintenance, routable, deploy_branch",
		Long:    "Flip switches: maintenance, routable, deploy_branch. It takes effect at once and makes no release.",
		Example: "  slipway settings set maintenance=on\n  slipway settings set deploy_branch=live",
		Args:    takes(1, -1, "NAME=value"),
		RunE: asksWith(c, parseSettings, func(ctx context.Context, s *session, app string, patch api.SettingsPatch) error {
			settings, err := s.set(ctx, app, patch)
			if err != nil {
				return err
			}
			return c.answer(settings, func() { c.settingsText(settings) })
		}),
	})
	cmd.Example = "  slipway settings\n  slipway settings set maintenance=on routable=off deploy_branch=live"
	return c.ofApp(cmd)
}

func (c *cli) settingsListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show the switches",
		Long:    "Show the switches of an app, which take effect at once and make no release. --json shows its labels, bounds and addresses as well.",
		Example: "  slipway settings list\n  slipway settings --json",
		Args:    takes(0, 0, ""),
		RunE:    c.verb(func(ctx context.Context, _ []string) error { return c.showSettings(ctx, c.settingsText) }),
	}
}

func (c *cli) settingsText(s api.Settings) {
	var f facts
	f.add("Maintenance", onOff(s.Maintenance))
	f.add("Routable", onOff(s.Routable))
	f.add("Deploys", branchText(s))
	f.print(c.stdout)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func branchText(s api.Settings) string {
	if s.DeployBranch == "" {
		return "a push to main or master"
	}
	return "a push to " + s.DeployBranch
}

func parseSettings(words []string) (api.SettingsPatch, error) {
	var patch api.SettingsPatch
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		on, isSwitch := parseSwitch(value)
		switch {
		case name == "maintenance" && isSwitch:
			patch.Maintenance = &on
		case name == "routable" && isSwitch:
			patch.Routable = &on
		case name == "deploy_branch" && strings.Contains(word, "="):
			patch.DeployBranch = &value
		default:
			return patch, &usageError{
				"slipway settings set",
				fmt.Sprintf("%q sets nothing: write maintenance=on, routable=off or deploy_branch=NAME", word),
			}
		}
	}
	return patch, nil
}

func parseSwitch(word string) (on, ok bool) {
	switch strings.ToLower(word) {
	case "on", "true", "yes", "1":
		return true, true
	case "off", "false", "no", "0":
		return false, true
	}
	return false, false
}

// set makes it so; what is so already is done.
func (s *session) set(ctx context.Context, app string, patch api.SettingsPatch) (api.Settings, error) {
	settings, err := s.SetSettings(ctx, app, patch)
	if unchanged(err) {
		return s.Settings(ctx, app)
	}
	return settings, err
}

func (c *cli) changeSettings(ctx context.Context, patch api.SettingsPatch, words func(api.Settings)) error {
	s, app, err := c.connectApp(ctx)
	if err != nil {
		return err
	}
	settings, err := s.set(ctx, app, patch)
	if err != nil {
		return err
	}
	return c.answer(settings, func() { words(settings) })
}

func (c *cli) showSettings(ctx context.Context, words func(api.Settings)) error {
	s, app, err := c.connectApp(ctx)
	if err != nil {
		return err
	}
	settings, err := s.Settings(ctx, app)
	if err != nil {
		return err
	}
	return c.answer(settings, func() { words(settings) })
}

// flip is a noun that is one of the switches.
type flip struct {
	noun, short, long string
	on, off           string // what the verbs do
	patch             func(on bool) api.SettingsPatch
	say               func(api.Settings)
}

func (c *cli) maintenanceCmd() *cobra.Command {
	return c.flipCmd(flip{
		noun: "maintenance", short: "Answer every request with a maintenance page, or stop that",
		long: "Answer every request with 503 and a maintenance page while you work. Instances go on running.",
		on:   "Answer every request with a maintenance page", off: "Answer requests again",
		patch: func(on bool) api.SettingsPatch { return api.SettingsPatch{Maintenance: &on} },
		say:   func(s api.Settings) { c.stdout.say("Maintenance of %s is %s.", s.App, onOff(s.Maintenance)) },
	})
}

func (c *cli) routingCmd() *cobra.Command {
	return c.flipCmd(flip{
		noun: "routing", short: "Let an app be reached, or not",
		long: "Let an app be reached, or not: without routing its domains answer 404 while its instances run.",
		on:   "Let the app be reached", off: "Keep everybody from reaching the app",
		patch: func(on bool) api.SettingsPatch { return api.SettingsPatch{Routable: &on} },
		say:   func(s api.Settings) { c.stdout.say("Routing of %s is %s.", s.App, onOff(s.Routable)) },
	})
}

func (c *cli) flipCmd(f flip) *cobra.Command {
	info := func() *cobra.Command {
		return &cobra.Command{
			Use: "info", Short: "Show whether it is on", Long: f.long, Example: "  slipway " + f.noun + " info", Args: takes(0, 0, ""),
			RunE: c.verb(func(ctx context.Context, _ []string) error { return c.showSettings(ctx, f.say) }),
		}
	}
	turn := func(name, alias, short string, on bool) *cobra.Command {
		return &cobra.Command{
			Use: name, Aliases: []string{alias}, Short: short, Long: short + ". It takes effect at once and makes no release.",
			Example: "  slipway " + f.noun + " " + name, Args: takes(0, 0, ""),
			RunE: c.verb(func(ctx context.Context, _ []string) error { return c.changeSettings(ctx, f.patch(on), f.say) }),
		}
	}
	cmd := group(f.noun, f.short, info, turn("on", "enable", f.on, true), turn("off", "disable", f.off, false))
	cmd.Example = "  slipway " + f.noun + "\n  slipway " + f.noun + " on\n  slipway " + f.noun + " off"
	return c.ofApp(cmd)
}

func (c *cli) branchCmd() *cobra.Command {
	var usual bool
	cmd := &cobra.Command{
		Use:     "branch [name]",
		Short:   "Show or set the branch whose push deploys",
		Long:    "Show or set the branch whose push deploys; pushes to others are kept and deploy nothing. Without one it is main or master.",
		Example: "  slipway branch\n  slipway branch production\n  slipway branch --default     # main or master",
		Args:    takes(0, 1, "one branch"),
		RunE: c.verb(func(ctx context.Context, args []string) error {
			say := func(s api.Settings) { c.stdout.say("%s deploys %s.", s.App, branchText(s)) }
			name := strings.TrimPrefix(first(args), "refs/heads/")
			if name == "" && !usual {
				return c.showSettings(ctx, say)
			}
			if name != "" && usual {
				return &usageError{"slipway branch", "a branch and --default exclude one another"}
			}
			return c.changeSettings(ctx, api.SettingsPatch{DeployBranch: &name}, say)
		}),
	}
	cmd.Flags().BoolVar(&usual, "default", false, "main or master again")
	return c.ofApp(cmd)
}
