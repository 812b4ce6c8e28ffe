package cli

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (c *cli) psCmd() *cobra.Command {
	cmd := c.psListCmd()
	cmd.Use, cmd.Aliases, cmd.Args = "ps", nil, noun
	cmd.Example = "  slipway ps\n  slipway ps scale web=2 worker=1\n  slipway ps restart web"
	cmd.AddCommand(c.psListCmd(), c.scaleCmd(), c.restartCmd())
	return cmd
}

func (c *cli) psListCmd() *cobra.Command {
	return c.ofApp(&cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List what runs, and how it is",
		Example: "  slipway ps list\n  slipway ps --json",
		Args:    takes(0, 0, ""),
		RunE: c.verb(func(ctx context.Context, _ []string) error {
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
			pods, err := s.Pods(ctx, app, "", "")
			if err != nil {
				return err
			}
			return c.answer(pods, func() { c.pods(app, pods) })
		}),
	})
}

func (c *cli) pods(app string, pods []api.Pod) {
	if len(pods) == 0 {
		c.none("Nothing of %s runs. Start something with: slipway scale web=1", app)
		return
	}
	c.podTable(pods)
}

func (c *cli) podTable(pods []api.Pod) {
	t := newTable("TYPE", "INSTANCE", "STATE", "RELEASE", "STARTED", "RESTARTS", "NOTE")
	t.tone(2, stateTone)
	for _, pod := range pods {
		restarts := ""
		if pod.Restarts > 0 {
			restarts = strconv.Itoa(pod.Restarts)
		}
		t.row(pod.Type, pod.Name, pod.State, pod.Release, c.when(pod.Started), restarts, podNote(pod))
	}
	t.print(c.stdout)
}

func podNote(pod api.Pod) string {
	var notes []string
	if pod.CrashLoop {
		notes = append(notes, "crashes again and again")
	}
	if pod.Message != "" && pod.State != string(platform.InstanceUp) {
		notes = append(notes, pod.Message)
	}
	if pod.Isolation == string(platform.IsolationNone) {
		notes = append(notes, "not isolated: see slipway doctor")
	}
	return strings.Join(notes, "; ")
}

func stateTone(state string) tone {
	switch platform.InstanceState(state) {
	case platform.InstanceUp:
		return good
	case platform.InstanceCrashed, platform.InstanceError:
		return bad
	case platform.InstanceDown:
		return faint
	default:
		return wary
	}
}

func (c *cli) scaleCmd() *cobra.Command {
	return c.ofApp(&cobra.Command{
		Use:               "scale TYPE=N...",
		Short:             "Set how many of each process type run",
		Example:           "  slipway scale web=2\n  slipway scale web=5 worker=0 -a blog",
		Args:              takes(1, -1, "TYPE=N"),
		ValidArgsFunction: c.completeScale,
		RunE: c.verb(func(ctx context.Context, args []string) error {
			formation, err := parseFormation(args)
			if err != nil {
				return err
			}
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
			err = c.during(fmt.Sprintf("Scaling %s to %s", app, platform.FormationText(formation)), func() (string, error) {
				return "", s.Scale(ctx, app, formation)
			})
			if err != nil {
				return err
			}
			pods, err := s.Pods(ctx, app, "", "")
			if err != nil {
				return err
			}
			return c.answer(pods, func() { c.pods(app, pods) })
		}),
	})
}

func parseFormation(words []string) (api.Scale, error) {
	formation := api.Scale{}
	for _, word := range words {
		process, count, ok := strings.Cut(word, "=")
		n, err := strconv.Atoi(count)
		switch {
		case !ok || err != nil || n < 0:
			return nil, &usageError{"slipway scale", fmt.Sprintf("%q scales nothing: write web=2", word)}
		case !platform.ValidProcessType(process):
			return nil, &usageError{"slipway scale", fmt.Sprintf("%q is no process type: a-z, 0-9 and hyphens", process)}
		case n > platform.MaxInstances:
			return nil, &usageError{"slipway scale", fmt.Sprintf("%d instances are too many: at most %d", n, platform.MaxInstances)}
		}
		formation[process] = n
	}
	return formation, nil
}

// instanceName tells an instance's name from a process type.
var instanceName = regexp.MustCompile(`-[a-z0-9]{8,10}-[a-z0-9]{5}$`)

func (c *cli) restartCmd() *cobra.Command {
	return c.ofApp(&cobra.Command{
		Use:               "restart [TYPE | INSTANCE]",
		Short:             "Replace what runs, without dropping a request",
		Example:           "  slipway restart\n  slipway restart web\n  slipway restart blog-web-0123456789-abcde",
		Args:              takes(0, 1, "one process type or instance"),
		ValidArgsFunction: c.completeProcesses,
		RunE: c.verb(func(ctx context.Context, args []string) error {
			s, app, err := c.connectApp(ctx)
			if err != nil {
				return err
			}
			what, process, name := app, first(args), ""
			if instanceName.MatchString(process) {
				process, name = "", process
			}
			if first(args) != "" {
				what = first(args) + " of " + app
			}
			pods := []api.Pod{}
			err = c.during("Restarting "+what, func() (string, error) {
				pods, err = s.Restart(ctx, app, process, name)
				if err == nil && len(pods) == 0 {
					return "nothing of it runs", nil
				}
				return "", err
			})
			if err != nil {
				return err
			}
			return c.answer(pods, func() {
				if len(pods) > 0 {
					c.podTable(pods)
				}
			})
		}),
	})
}
