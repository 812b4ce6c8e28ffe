package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/platform"
)

func (c *cli) runCmd() *cobra.Command {
	var with, without bool
	cmd := &cobra.Command{
		Use:   "run [flags] [--] COMMAND [ARG...]",
		Short: "Run a command in a fresh instance of an app",
		Long: `Run a command in a fresh instance of the app's current release, with its config, and end
with the command's exit code. Input is passed on, and so are signals.

A single COMMAND is a line for a shell, in the instance: quote it to use variables and
pipes there. Several words reach the command as they are. Flags of slipway come first.

On a terminal the command gets one too; -t forces that, -T prevents it.`,
		Example: `  slipway run bash
  slipway run -- python manage.py migrate
  slipway run 'echo $PORT | tee port'
  slipway run -T -- pg_dump > dump.sql
  slipway run -- psql < query.sql`,
		Args: takes(1, -1, "a COMMAND"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if with && without {
				return usage(cmd, "-t and -T exclude one another")
			}
			return c.run(cmd.Context(), commandLine(args), c.wantsTerminal(with, without))
		},
	}
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().BoolVarP(&with, "tty", "t", false, "give the command a terminal")
	cmd.Flags().BoolVarP(&without, "no-tty", "T", false, "give the command no terminal")
	return c.ofApp(cmd)
}

// commandLine is one word as it is, for the shell at the other end, or several
// quoted so that they stay what they are.
func commandLine(args []string) string {
	if len(args) == 1 {
		return args[0]
	}
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = quote(arg)
	}
	return strings.Join(words, " ")
}

func (c *cli) wantsTerminal(with, without bool) bool {
	_, in := terminal(c.opts.Stdin)
	return with || !without && !c.json && in && c.stdout.terminal
}

// run ends with an exitError unless the command's exit code is 0.
func (c *cli) run(ctx context.Context, command string, tty bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, app, err := c.connectApp(ctx)
	if err != nil {
		return err
	}
	if c.json {
		result, err := s.Run(ctx, app, command)
		if err != nil {
			return err
		}
		return c.collected(result)
	}
	return c.attach(ctx, cancel, tty, command, app, func(stream platform.IO) (int, error) {
		return s.Attach(ctx, app, command, stream)
	})
}

// attach joins this process's streams, signals and terminal to a command that
// join runs, and ends with an exitError unless its exit code is 0. With --json
// the output is collected.
func (c *cli) attach(ctx context.Context, cancel func(), tty bool, command, where string, join func(platform.IO) (int, error)) error {
	if c.stderr.terminal {
		c.stderr.say("%s", c.stderr.paint(faint, fmt.Sprintf("Running %s on %s…", printable(command), where)))
	}
	stream := platform.IO{Stdin: c.opts.Stdin, Stdout: c.stdout.Writer, Stderr: c.stderr.Writer}
	var output bytes.Buffer
	if c.json {
		both := &oneWriter{to: &output}
		stream.Stdout, stream.Stderr = both, both
	}
	passed, stop := passSignals(tty, cancel)
	defer stop()
	stream.Signals = passed
	if tty {
		t, restore, err := c.rawTerminal(ctx)
		if err != nil {
			return err
		}
		defer restore()
		stream.Terminal = t
	}
	exit, err := join(stream)
	switch {
	case err != nil:
		return err
	case c.json:
		return c.collected(api.RunResult{ExitCode: exit, Output: output.String()})
	case exit != 0:
		return exitError(exit)
	}
	return nil
}

// oneWriter lets two streams write to one place, whole writes at a time.
type oneWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *oneWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

// patience is how many interrupts a command may leave unheard.
const patience = 3

// passSignals hands the signals this process gets to the command. In a
// terminal Ctrl-C is a key like others, and a signal from elsewhere gives up;
// so does the third interrupt without one.
func passSignals(tty bool, giveUp func()) (<-chan string, func()) {
	names := map[os.Signal]string{
		syscall.SIGINT: "INT", syscall.SIGTERM: "TERM", syscall.SIGHUP: "HUP",
		syscall.SIGQUIT: "QUIT", syscall.SIGUSR1: "USR1", syscall.SIGUSR2: "USR2",
	}
	got := make(chan os.Signal, 8)
	for sig := range names {
		signal.Notify(got, sig)
	}
	passed := make(chan string, 8)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		interrupts := 0
		for {
			select {
			case <-end:
				return
			case sig := <-got:
				if sig == syscall.SIGINT {
					interrupts++
				}
				if tty && sig != syscall.SIGUSR1 && sig != syscall.SIGUSR2 || interrupts > patience {
					giveUp()
				}
				select {
				case passed <- names[sig]:
				default:
				}
			}
		}
	}()
	return passed, func() {
		signal.Stop(got)
		close(end)
		<-ended
	}
}

// rawTerminal hands every key to the command and tells it of the window, until
// restored. Without a terminal of our own the command gets one of 24 by 80.
func (c *cli) rawTerminal(ctx context.Context) (*platform.Terminal, func(), error) {
	t := &platform.Terminal{Term: c.opts.env("TERM"), Size: platform.WindowSize{Rows: 24, Cols: 80}}
	if t.Term == "" {
		t.Term = "xterm-256color"
	}
	restore := func() {}
	if fd, ok := terminal(c.opts.Stdin); ok {
		before, err := term.MakeRaw(fd)
		if err != nil {
			return nil, nil, fmt.Errorf("terminal: %w", err)
		}
		restore = func() { _ = term.Restore(fd, before) }
	}
	for _, stream := range []any{c.opts.Stdout, c.opts.Stdin} {
		if fd, ok := terminal(stream); ok {
			sizes, stop := watchWindow(ctx, fd, &t.Size)
			t.Resize = sizes
			raw := restore
			return t, func() { stop(); raw() }, nil
		}
	}
	return t, restore, nil
}

// watchWindow sets size to the window's, and yields the newest after each change.
func watchWindow(ctx context.Context, fd int, size *platform.WindowSize) (<-chan platform.WindowSize, func()) {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	measure := func() (platform.WindowSize, bool) {
		cols, rows, err := term.GetSize(fd)
		return platform.WindowSize{Rows: uint16(rows), Cols: uint16(cols)}, err == nil && cols > 0 && rows > 0
	}
	if now, ok := measure(); ok {
		*size = now
	}
	ctx, cancel := context.WithCancel(ctx)
	sizes, ended := make(chan platform.WindowSize), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			now, ok := measure()
			if !ok {
				continue
			}
			select {
			case <-ctx.Done():
				return
			case sizes <- now:
			}
		}
	}()
	return sizes, func() {
		signal.Stop(changed)
		cancel()
		<-ended
	}
}
