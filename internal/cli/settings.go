package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

func (c *cli) settingsCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "settings",
		Short:   "Show the switches of an app",
		Example: "  slipway settings\n  slipway settings set maintenance=on routable=off deploy_branch=live",
		Args:    noun,
		RunE: c.verb(func(ctx context.Context, _ []string) error {
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
			settings, err := s.Settings(ctx, app)
			if err != nil {
				return err
			}
			return c.answer(settings, func() { c.settingsText(settings) })
		}),
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "set NAME=value...",
		Short:   "Flip switches: maintenance, routable, deploy_branch",
		Example: "  slipway settings set maintenance=on\n  slipway settings set deploy_branch=live",
		Args:    takes(1, -1, "NAME=value"),
		RunE: c.verb(func(ctx context.Context, args []string) error {
			patch, err := parseSettings(args)
			if err != nil {
				return err
			}
			return c.changeSettings(ctx, patch, c.settingsText)
		}),
	})
	return c.ofApp(cmd)
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

// changeSettings makes it so; what is so already is done.
func (c *cli) changeSettings(ctx context.Context, patch api.SettingsPatch, words func(api.Settings)) error {
	s, app, err := c.connectApp(ctx)
	if err != nil {
		return err
	}
	settings, err := s.SetSettings(ctx, app, patch)
	if unchanged(err) {
		settings, err = s.Settings(ctx, app)
	}
	if err != nil {
		return err
	}
	return c.answer(settings, func() { words(settings) })
}

func (c *cli) maintenanceCmd() *cobra.Command {
	return c.ofApp(&cobra.Command{
		Use:       "maintenance [on|off]",
		Short:     "Answer every request with a maintenance page, or stop that",
		Example:   "  slipway maintenance on\n  slipway maintenance off",
		Args:      takes(0, 1, "on or off"),
		ValidArgs: []string{"on", "off"},
		RunE: c.verb(func(ctx context.Context, args []string) error {
			say := func(s api.Settings) { c.stdout.say("Maintenance of %s is %s.", s.App, onOff(s.Maintenance)) }
			if len(args) == 0 {
				return c.showSettings(ctx, say)
			}
			on, ok := parseSwitch(args[0])
			if !ok {
				return &usageError{"slipway maintenance", fmt.Sprintf("%q is neither on nor off", args[0])}
			}
			return c.changeSettings(ctx, api.SettingsPatch{Maintenance: &on}, say)
		}),
	})
}

func (c *cli) branchCmd() *cobra.Command {
	var usual bool
	cmd := &cobra.Command{
		Use:     "branch [name]",
		Short:   "Show or set the branch whose push deploys",
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
