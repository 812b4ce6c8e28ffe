package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

// aShell is what exec runs when nothing is said.
const aShell = "command -v bash >/dev/null 2>&1 && exec bash; exec sh"

func (c *cli) execCmd() *cobra.Command {
	var with, without bool
	cmd := &cobra.Command{
		Use:   "exec [flags] TYPE|INSTANCE [--] [COMMAND [ARG...]]",
		Short: "Run a command inside an instance that runs",
		Long: `Run a command inside an instance that runs, beside its process, and end with the command's exit
code. A process type means its newest instance that is up. Without a COMMAND it is a shell.

To run something in a fresh instance, use slipway run. Terminals are given as there.`,
		Example: `  slipway ps exec web
  slipway ps exec web -- cat /proc/1/status
  slipway ps exec blog-web-0123456789-abcde 'ls -l $HOME'`,
		Args:              takes(1, -1, "a process type or an instance"),
		ValidArgsFunction: c.completeProcesses,
		RunE: func(cmd *cobra.Command, args []string) error {
			if with && without {
				return usage(cmd, "-t and -T exclude one another")
			}
			command := aShell
			if words := afterDash(args[1:]); len(words) > 0 {
				command = commandLine(words)
			}
			return c.exec(cmd.Context(), args[0], command, c.wantsTerminal(with, without))
		},
	}
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().BoolVarP(&with, "tty", "t", false, "give the command a terminal")
	cmd.Flags().BoolVarP(&without, "no-tty", "T", false, "give the command no terminal")
	return c.ofApp(cmd)
}

// afterDash is words without the -- that stands between an instance and a command.
func afterDash(words []string) []string {
	if len(words) > 0 && words[0] == "--" {
		return words[1:]
	}
	return words
}

func (c *cli) exec(ctx context.Context, word, command string, tty bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, app, err := c.connectApp(ctx)
	if err != nil {
		return err
	}
	process, name, err := s.instance(ctx, app, word)
	if err != nil {
		return err
	}
	return c.attach(ctx, cancel, tty, command, name, func(stream platform.IO) (int, error) {
		return s.Exec(ctx, app, process, name, command, stream)
	})
}

// instance is the one that a word means: its process type, and its name.
func (s *session) instance(ctx context.Context, app, word string) (process, name string, err error) {
	process, name = target(app, word)
	pods, err := s.Pods(ctx, app, process, name)
	if err != nil {
		return "", "", err
	}
	for _, pod := range pods { // newest first
		if name != "" || pod.State == string(platform.InstanceUp) {
			return pod.Type, pod.Name, nil
		}
	}
	return "", "", hinted(because(platform.ErrNotFound, "nothing of %s is up that is called %s", app, word), "See what runs with: slipway ps -a %s", app)
}

// collected is the output of a command as JSON.
func (c *cli) collected(result api.RunResult) error {
	if err := c.answer(result, func() {}); err != nil {
		return err
	}
	if result.ExitCode != 0 {
		return exitError(result.ExitCode)
	}
	return nil
}
