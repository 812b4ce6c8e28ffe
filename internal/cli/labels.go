package cli

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

const labelsLong = `Keep notes on an app, for people and programs: the platform itself does not read them.`

func (c *cli) labelsCmd() *cobra.Command {
	cmd := group("labels", "Keep notes on an app", c.labelsListCmd, c.labelsSetCmd(), c.labelsUnsetCmd())
	cmd.Example = "  slipway labels\n  slipway labels set team=search tier=gold\n  slipway labels unset tier"
	return c.ofApp(cmd)
}

func (c *cli) labelsListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show the labels", Long: labelsLong, Example: "  slipway labels list",
		Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			settings, err := s.Settings(ctx, app)
			if err != nil {
				return err
			}
			return c.labelled(app, settings)
		}),
	}
}

func (c *cli) labelled(app string, settings api.Settings) error {
	labels := settings.Label
	if labels == nil {
		labels = map[string]any{}
	}
	return c.answer(labels, func() {
		if len(labels) == 0 {
			c.none("%s has no labels. Set one with: slipway labels set team=search", app)
			return
		}
		t := newTable("LABEL", "VALUE")
		for _, key := range sortedKeys(labels) {
			t.row(key, labelText(labels[key]))
		}
		t.print(c.stdout)
	})
}

// labelText is a label of any JSON value: text as it is, all else as JSON.
func labelText(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}

func (c *cli) labelsSetCmd() *cobra.Command {
	return &cobra.Command{
		Use: "set KEY=value...", Short: "Set labels", Long: labelsLong, Example: "  slipway labels set team=search tier=gold",
		Args: takes(1, -1, "KEY=value"),
		RunE: asksWith(c, pairs("slipway labels set", "value"), c.changeLabels),
	}
}

func (c *cli) labelsUnsetCmd() *cobra.Command {
	return &cobra.Command{
		Use: "unset KEY...", Aliases: []string{"rm", "remove"}, Short: "Remove labels", Long: labelsLong, Example: "  slipway labels unset tier",
		Args: takes(1, -1, "a KEY"),
		ValidArgsFunction: c.completeOfApp(func(ctx context.Context, s *session, app string) ([]string, error) {
			settings, err := s.Settings(ctx, app)
			return sortedKeys(settings.Label), err
		}),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			return c.changeLabels(ctx, s, app, unset(args))
		}),
	}
}

func (c *cli) changeLabels(ctx context.Context, s *session, app string, words map[string]*string) error {
	labels := make(map[string]any, len(words))
	for key, value := range words {
		if labels[key] = nil; value != nil {
			labels[key] = *value
		}
	}
	settings, err := s.set(ctx, app, api.SettingsPatch{Label: labels})
	if err != nil {
		return err
	}
	return c.labelled(app, settings)
}
