package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
)

func (c *cli) tagsCmd() *cobra.Command {
	read := func(config api.Config) map[string]string { return config.Tags }
	return c.sectionCmd(section{
		noun: "tags", short: "Choose the nodes an app runs on", key: "TAG", value: "value",
		long: `Choose the nodes an app runs on: those that carry all of its tags. At least one node has to.`,
		examples: [3]string{
			"  slipway tags list",
			"  slipway tags set disk=ssd zone=north",
			"  slipway tags unset zone",
		},
		none:     "The app runs on any node. Choose some with: slipway tags set disk=ssd",
		read:     read,
		write:    func(patch *api.ConfigPatch, words map[string]*string) { patch.Tags = words },
		complete: c.completeSection(read),
	})
}

func (c *cli) timeoutsCmd() *cobra.Command {
	read := func(config api.Config) map[string]string { return config.Grace }
	return c.sectionCmd(section{
		noun: "timeouts", short: "Say how long instances may take to end", key: "TYPE", value: "seconds",
		long: `Say how long the instances of a process type may take to end after SIGTERM, in seconds. What
still runs then is killed.`,
		examples: [3]string{
			"  slipway timeouts list",
			"  slipway timeouts set web=30 worker=300",
			"  slipway timeouts unset worker",
		},
		none:     "No process type has a time of its own. Set one with: slipway timeouts set web=30",
		read:     read,
		write:    func(patch *api.ConfigPatch, words map[string]*string) { patch.Grace = words },
		about:    []string{"termination_grace_period"},
		complete: c.completeSection(read),
	})
}

func (c *cli) registryCmd() *cobra.Command {
	read := func(config api.Config) map[string]string { return config.Registry }
	return c.sectionCmd(section{
		noun: "registry", short: "Log an app in to the registry of its images", key: "KEY", value: "value",
		long: `Log an app in to the registry its images come from: username, password and hostname. The
app's config has to say PORT. The password is not shown unless --show-secrets asks for it.`,
		examples: [3]string{
			"  slipway registry list",
			"  slipway registry set username=bob password=\"$(pass show quay)\" hostname=quay.io",
			"  slipway registry unset username password",
		},
		none:     "The app pulls images as nobody. Log it in with: slipway registry set username=bob password=…",
		secret:   func(key string) bool { return key != "username" && key != "hostname" },
		read:     read,
		write:    func(patch *api.ConfigPatch, words map[string]*string) { patch.Registry = words },
		complete: c.completeSection(read),
	})
}

const lifecycleLong = `Run a command inside each instance of a process type when it has started (post-start), or
before it is told to end (pre-stop).`

func (c *cli) lifecycleCmd() *cobra.Command {
	cmd := group("lifecycle", "Run a command when an instance starts or ends", c.lifecycleListCmd,
		c.lifecycleSetCmd(), c.lifecycleUnsetCmd())
	cmd.Aliases = []string{"hooks"}
	cmd.Example = "  slipway lifecycle\n  slipway lifecycle set pre-stop worker='bin/drain'\n  slipway lifecycle unset pre-stop worker"
	return c.ofApp(cmd)
}

// lifecycle is the hooks of an app by process type.
type lifecycle struct {
	PostStart map[string]string `json:"lifecycle_post_start"`
	PreStop   map[string]string `json:"lifecycle_pre_stop"`
}

func (c *cli) lifecycleListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "Show the commands", Long: lifecycleLong, Example: "  slipway lifecycle list",
		Args: takes(0, 0, ""),
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, _ []string) error {
			config, err := s.Config(ctx, app)
			if err != nil {
				return err
			}
			return c.answer(lifecycle{config.PostStart, config.PreStop}, func() {
				t := newTable("TYPE", "WHEN", "COMMAND")
				for _, process := range sortedKeys(config.PostStart) {
					t.row(process, "post-start", config.PostStart[process])
				}
				for _, process := range sortedKeys(config.PreStop) {
					t.row(process, "pre-stop", config.PreStop[process])
				}
				if len(t.rows) == 0 {
					c.none("%s has no hooks. Set one with: slipway lifecycle set pre-stop worker='bin/drain'", app)
					return
				}
				t.print(c.stdout)
			})
		}),
	}
}

var hookNames = []string{"post-start", "pre-stop"}

// hookChange sets or removes the commands of one hook.
type hookChange struct {
	hook  string
	words map[string]*string
}

func readHook(args []string) (hookChange, error) {
	words, err := pairs("slipway lifecycle set", "command")(args[1:])
	if err == nil {
		err = validHook("slipway lifecycle set", args[0])
	}
	return hookChange{args[0], words}, err
}

func readUnhook(args []string) (hookChange, error) {
	return hookChange{args[0], unset(args[1:])}, validHook("slipway lifecycle unset", args[0])
}

func validHook(command, hook string) error {
	if !slices.Contains(hookNames, hook) {
		return &usageError{command, fmt.Sprintf("%q is no hook: write post-start or pre-stop", hook)}
	}
	return nil
}

func (c *cli) lifecycleSetCmd() *cobra.Command {
	return c.deploys(&cobra.Command{
		Use:       "set post-start|pre-stop TYPE=command...",
		Short:     "Set commands: a new release, which deploys",
		Long:      lifecycleLong + " Setting one makes a new release and deploys it.",
		Example:   "  slipway lifecycle set post-start web='bin/warm-up'\n  slipway lifecycle set pre-stop web='sleep 5' worker='bin/drain'",
		Args:      takes(2, -1, "a hook and TYPE=command"),
		ValidArgs: hookNames,
		RunE: asksWith(c, readHook, func(ctx context.Context, s *session, app string, h hookChange) error {
			return c.changeHook(ctx, s, app, "Setting", h)
		}),
	})
}

func (c *cli) lifecycleUnsetCmd() *cobra.Command {
	return c.deploys(&cobra.Command{
		Use:       "unset post-start|pre-stop TYPE...",
		Aliases:   []string{"rm", "remove"},
		Short:     "Remove commands: a new release, which deploys",
		Long:      lifecycleLong + " Removing one makes a new release and deploys it.",
		Example:   "  slipway lifecycle unset pre-stop worker",
		Args:      takes(2, -1, "a hook and a TYPE"),
		ValidArgs: hookNames,
		RunE: asksWith(c, readUnhook, func(ctx context.Context, s *session, app string, h hookChange) error {
			return c.changeHook(ctx, s, app, "Unsetting", h)
		}),
	})
}

func (c *cli) changeHook(ctx context.Context, s *session, app, doing string, h hookChange) error {
	patch := api.ConfigPatch{PostStart: h.words}
	if h.hook == "pre-stop" {
		patch = api.ConfigPatch{PreStop: h.words}
	}
	text := fmt.Sprintf("%s %s of %s", doing, h.hook, strings.Join(sortedKeys(h.words), ", "))
	return c.patchConfig(ctx, s, app, text, nil, patch)
}
