package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

const autoscaleLong = `Let a process type scale itself: between --min and --max instances, so that they use about
--cpu-percent of their CPU limit.`

func (c *cli) autoscaleCmd() *cobra.Command {
	cmd := group("autoscale", "Let a process type scale itself", c.autoscaleListCmd, c.autoscaleSetCmd(), c.autoscaleUnsetCmd())
	cmd.Example = "  slipway autoscale\n  slipway autoscale set web --min 2 --max 8 --cpu-percent 60\n  slipway autoscale unset web"
	return c.ofApp(cmd)
}

func (c *cli) autoscaleListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show what scales itself", Long: autoscaleLong, Example: "  slipway autoscale list",
		Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			settings, err := s.Settings(ctx, app)
			if err != nil {
				return err
			}
			return c.autoscaled(app, settings)
		}),
	}
}

func (c *cli) autoscaled(app string, settings api.Settings) error {
	bounds := settings.Autoscale
	if bounds == nil {
		bounds = map[string]api.Autoscale{}
	}
	return c.answer(bounds, func() {
		if len(bounds) == 0 {
			c.none("Nothing of %s scales itself. Let it: slipway autoscale set web --min 2 --max 8 --cpu-percent 60", app)
			return
		}
		t := newTable("TYPE", "MIN", "MAX", "CPU")
		for _, process := range sortedKeys(bounds) {
			b := bounds[process]
			t.row(process, strconv.Itoa(b.Min), strconv.Itoa(b.Max), strconv.Itoa(b.CPUPercent)+"%")
		}
		t.print(c.stdout)
	})
}

func (c *cli) autoscaleSetCmd() *cobra.Command {
	var bounds api.Autoscale
	cmd := &cobra.Command{
		Use:               "set TYPE --min N --max N --cpu-percent N",
		Short:             "Let a process type scale itself",
		Long:              autoscaleLong,
		Example:           "  slipway autoscale set web --min 2 --max 8 --cpu-percent 60",
		Args:              takes(1, 1, "one TYPE"),
		ValidArgsFunction: c.completeTypes,
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			if bounds.Min < 1 || bounds.Max < bounds.Min || bounds.CPUPercent < 1 || bounds.CPUPercent > 100 {
				return &usageError{"slipway autoscale set", "say --min of 1 or more, --max of that or more, and --cpu-percent of 1 to 100"}
			}
			return c.changeAutoscale(ctx, s, app, map[string]*api.Autoscale{args[0]: &bounds})
		}),
	}
	cmd.Flags().IntVar(&bounds.Min, "min", 0, "instances at least")
	cmd.Flags().IntVar(&bounds.Max, "max", 0, "instances at most")
	cmd.Flags().IntVar(&bounds.CPUPercent, "cpu-percent", 0, "how much of their CPU they should use")
	return cmd
}

func (c *cli) autoscaleUnsetCmd() *cobra.Command {
	return &cobra.Command{
		Use:               "unset TYPE...",
		Aliases:           []string{"rm", "remove"},
		Short:             "Keep as many instances as there are",
		Long:              "Stop a process type from scaling itself. As many instances as there are stay.",
		Example:           "  slipway autoscale unset web",
		Args:              takes(1, -1, "a TYPE"),
		ValidArgsFunction: c.completeTypes,
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			none := map[string]*api.Autoscale{}
			for _, process := range args {
				none[process] = nil
			}
			return c.changeAutoscale(ctx, s, app, none)
		}),
	}
}

func (c *cli) changeAutoscale(ctx context.Context, s *session, app string, bounds map[string]*api.Autoscale) error {
	settings, err := s.set(ctx, app, api.SettingsPatch{Autoscale: bounds})
	if err != nil {
		return err
	}
	return c.autoscaled(app, settings)
}
