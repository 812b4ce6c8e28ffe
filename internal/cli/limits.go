package cli

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

const limitsLong = `Bound the memory and the CPU of each instance of a process type. Memory is in B, K, M or G, such
as 512M; CPU is in cores, such as 0.5 or 500m. REQUEST/LIMIT keeps the first free for an instance
and stops it at the second. A process type without a limit has none.`

func (c *cli) limitsCmd() *cobra.Command {
	cmd := group("limits", "Bound the memory and CPU of instances", c.limitsListCmd, c.limitsSetCmd(), c.limitsUnsetCmd())
	cmd.Example = "  slipway limits\n  slipway limits set web=512M worker=1G\n  slipway limits set --cpu web=500m"
	return c.ofApp(cmd)
}

// limits are those of an app by process type.
type limits struct {
	Memory map[string]string `json:"memory"`
	CPU    map[string]string `json:"cpu"`
}

func (c *cli) limitsListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show the limits", Long: limitsLong, Example: "  slipway limits list\n  slipway limits --json",
		Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			config, err := s.Config(ctx, app)
			if err != nil {
				return err
			}
			return c.answer(limits{config.Memory, config.CPU}, func() { c.limitsTable(app, config) })
		}),
	}
}

func (c *cli) limitsTable(app string, config api.Config) {
	processes := maps.Clone(config.Memory)
	if processes == nil {
		processes = map[string]string{}
	}
	maps.Copy(processes, config.CPU)
	if len(processes) == 0 {
		c.none("%s has no limits. Set one with: slipway limits set web=512M", app)
		return
	}
	t := newTable("TYPE", "MEMORY", "CPU")
	for _, process := range sortedKeys(processes) {
		t.row(process, unlimited(config.Memory[process]), unlimited(config.CPU[process]))
	}
	t.print(c.stdout)
}

func unlimited(limit string) string {
	if limit == "" {
		return "unlimited"
	}
	return limit
}

// limitKind is what limits set and unset are about.
type limitKind struct{ memory, cpu bool }

func (k *limitKind) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&k.memory, "memory", "m", false, "memory, which it is unless told otherwise")
	cmd.Flags().BoolVar(&k.cpu, "cpu", false, "CPU")
}

func (k *limitKind) check(verb string) error {
	if k.memory && k.cpu {
		return &usageError{"slipway limits " + verb, "--memory and --cpu exclude one another: limit one after the other"}
	}
	return nil
}

func (k *limitKind) name() string {
	if k.cpu {
		return "cpu"
	}
	return "memory"
}

func (k *limitKind) patch(words map[string]*string) api.ConfigPatch {
	if k.cpu {
		return api.ConfigPatch{CPU: words}
	}
	return api.ConfigPatch{Memory: words}
}

func (k *limitKind) read(args []string) (map[string]*string, error) {
	words, err := pairs("slipway limits set", "LIMIT")(args)
	if err == nil {
		err = k.check("set")
	}
	if err == nil {
		err = k.valid(words)
	}
	return words, err
}

// valid checks what a user means to set.
func (k *limitKind) valid(words map[string]*string) error {
	for _, process := range sortedKeys(words) {
		var err error
		switch {
		case !platform.ValidProcessType(process):
			err = platform.Invalid(k.name(), "Process types can only contain lowercase alphanumeric characters")
		case k.cpu:
			_, err = platform.ParseCPU(*words[process])
		default:
			_, err = platform.ParseMemory(*words[process])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *cli) limitsSetCmd() *cobra.Command {
	var kind limitKind
	cmd := &cobra.Command{
		Use:               "set [--memory | --cpu] TYPE=LIMIT...",
		Short:             "Set limits: a new release, which deploys",
		Long:              limitsLong + "\n\nSetting some makes a new release and deploys it.",
		Example:           "  slipway limits set web=512M worker=256M/1G\n  slipway limits set --cpu web=500m worker=0.5/2",
		Args:              takes(1, -1, "TYPE=LIMIT"),
		ValidArgsFunction: c.completeScale,
		RunE: asksWith(c, kind.read, func(ctx context.Context, s *session, app string, words map[string]*string) error {
			return c.changeLimits(ctx, s, app, "Limiting", kind, words)
		}),
	}
	kind.flags(cmd)
	return c.deploys(cmd)
}

func (c *cli) limitsUnsetCmd() *cobra.Command {
	var kind limitKind
	cmd := &cobra.Command{
		Use:               "unset [--memory | --cpu] TYPE...",
		Aliases:           []string{"rm", "remove"},
		Short:             "Remove limits: a new release, which deploys",
		Long:              limitsLong + "\n\nRemoving some makes a new release and deploys it.",
		Example:           "  slipway limits unset web\n  slipway limits unset --cpu web worker",
		Args:              takes(1, -1, "a TYPE"),
		ValidArgsFunction: c.completeTypes,
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			if err := kind.check("unset"); err != nil {
				return err
			}
			return c.changeLimits(ctx, s, app, "No longer limiting", kind, unset(args))
		}),
	}
	kind.flags(cmd)
	return c.deploys(cmd)
}

func (c *cli) changeLimits(ctx context.Context, s *session, app, doing string, kind limitKind, words map[string]*string) error {
	text := fmt.Sprintf("%s the %s of %s", doing, kind.name(), strings.Join(sortedKeys(words), ", "))
	return c.patchConfig(ctx, s, app, text, []string{kind.name()}, kind.patch(words))
}
