package cli

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (c *cli) psCmd() *cobra.Command {
	cmd := group("ps", "List, scale, restart and enter what runs", c.psListCmd, c.scaleCmd(), c.restartCmd(), c.execCmd())
	cmd.Example = "  slipway ps\n  slipway ps scale web=2 worker=1\n  slipway ps restart web\n  slipway ps exec web"
	return cmd
}

func (c *cli) psListCmd() *cobra.Command {
	return c.ofApp(&cobra.Command{
		Use:               "list [TYPE | INSTANCE]",
		Aliases:           []string{"ls"},
		Short:             "List what runs, and how it is",
		Long:              "List the instances of an app's current release, newest first, and how they are.",
		Example:           "  slipway ps list\n  slipway ps list web\n  slipway ps --json",
		Args:              takes(0, 1, "one process type or instance"),
		ValidArgsFunction: c.completeProcesses,
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			process, name := target(app, first(args))
			pods, err := s.Pods(ctx, app, process, name)
			if err != nil {
				return err
			}
			return c.answer(pods, func() { c.pods(app, pods) })
		}),
	})
}

// instanceName tells an instance's name from a process type: Deis' clients go
// by the same form.
var instanceName = regexp.MustCompile(`-[a-z0-9]{8,10}-[a-z0-9]{5}$`)

// target is the process type or the instance that a word means. An instance
// may leave the app's name out.
func target(app, word string) (process, name string) {
	switch {
	case !instanceName.MatchString(word):
		return word, ""
	case strings.Count(word, "-") == 2 && !strings.HasPrefix(word, app+"-"):
		return "", app + "-" + word
	}
	return "", word
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
	return c.ofApp(c.deploys(&cobra.Command{
		Use:               "scale TYPE=N...",
		Short:             "Set how many of each process type run",
		Long:              "Set how many of each process type run; types not named stay. It makes no release.",
		Example:           "  slipway scale web=2\n  slipway scale web=5 worker=0 -a blog --no-wait",
		Args:              takes(1, -1, "TYPE=N"),
		ValidArgsFunction: c.completeScale,
		RunE:              asksWith(c, parseFormation, c.scale),
	}))
}

func (c *cli) scale(ctx context.Context, s *session, app string, formation api.Scale) error {
	err := c.apply(ctx, change{
		text: fmt.Sprintf("Scaling %s to %s", app, platform.FormationText(formation)),
		work: func(ctx context.Context) (string, error) { return "", s.Scale(ctx, app, formation) },
		taken: func(ctx context.Context) (string, error) {
			a, err := s.App(ctx, app)
			for process, n := range formation {
				if err != nil || a.Structure[process] != n {
					return "", err
				}
			}
			return "accepted", nil
		},
	})
	if err != nil {
		return err
	}
	pods, err := s.Pods(ctx, app, "", "")
	if err != nil {
		return err
	}
	return c.answer(pods, func() { c.pods(app, pods) })
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

func (c *cli) restartCmd() *cobra.Command {
	return c.ofApp(c.deploys(&cobra.Command{
		Use:               "restart [TYPE | INSTANCE]",
		Short:             "Replace what runs, without dropping a request",
		Long:              "Replace all that runs of an app, of a process type, or one instance. It makes no release and drops no request.",
		Example:           "  slipway restart\n  slipway restart web\n  slipway restart blog-web-0123456789-abcde",
		Args:              takes(0, 1, "one process type or instance"),
		ValidArgsFunction: c.completeProcesses,
		RunE: c.asksOf(func(ctx context.Context, s *session, app string, args []string) error {
			return c.restart(ctx, s, app, first(args))
		}),
	}))
}

func (c *cli) restart(ctx context.Context, s *session, app, word string) error {
	process, name := target(app, word)
	var before []api.Pod
	if !c.waits() { // to know the new ones by
		var err error
		if before, err = s.Pods(ctx, app, "", ""); err != nil {
			return err
		}
	}
	what := app
	if word != "" {
		what = word + " of " + app
	}
	var made, seen []api.Pod
	err := c.apply(ctx, change{
		text: "Restarting " + what,
		work: func(ctx context.Context) (string, error) {
			pods, err := s.Restart(ctx, app, process, name)
			if made = pods; err == nil && len(pods) == 0 {
				return "nothing of it runs", nil
			}
			return "", err
		},
		taken: func(ctx context.Context) (string, error) {
			now, err := s.Pods(ctx, app, process, "")
			if seen = fresh(before, now); err != nil || len(seen) == 0 {
				return "", err
			}
			return "accepted", nil
		},
	})
	if err != nil {
		return err
	}
	if made == nil {
		made = append([]api.Pod{}, seen...)
	}
	return c.answer(made, func() {
		if len(made) > 0 {
			c.podTable(made)
		}
	})
}

// fresh are the instances that were not there before.
func fresh(before, now []api.Pod) []api.Pod {
	known := map[string]bool{}
	for _, pod := range before {
		known[pod.Name] = true
	}
	return slices.DeleteFunc(now, func(pod api.Pod) bool { return known[pod.Name] })
}
