package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// other is what root does with words that are no command of it: Deis' own form
// of a command, a plugin, or a mistake.
func (c *cli) other(root *cobra.Command, args []string) error {
	if flags, rest := leading(args); len(flags) > 0 && len(rest) > 0 {
		root.SetArgs(slices.Concat(rest[:1], flags, rest[1:]))
		return root.ExecuteContext(root.Context())
	}
	switch {
	case len(args) == 0 || args[0] == "-h" || args[0] == "--help":
		return root.Help()
	case args[0] == "-v" || args[0] == "--version":
		root.SetArgs(append([]string{"version"}, args[1:]...))
		return root.ExecuteContext(root.Context())
	case strings.HasPrefix(args[0], "-"):
		return usage(root, "unknown flag: %s", args[0])
	}
	if words := modern(root, args); words != nil {
		root.SetArgs(words)
		return root.ExecuteContext(root.Context())
	}
	if path := lookPath(c.opts.env("PATH"), "slipway-"+args[0]); path != "" {
		return c.plugin(root.Context(), path, args[1:])
	}
	return unknownCommand(root, args[0])
}

// plugin runs a program in place of this one.
func (c *cli) plugin(ctx context.Context, path string, args []string) error {
	plugin := exec.CommandContext(ctx, path, args...)
	plugin.Stdin, plugin.Stdout, plugin.Stderr = c.opts.Stdin, c.opts.Stdout, c.opts.Stderr
	plugin.Env, plugin.Dir = c.opts.Env, c.opts.Dir
	// Ctrl-C reaches the plugin by itself, and is its to answer.
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, os.Interrupt, syscall.SIGQUIT)
	defer signal.Stop(ignored)
	err := plugin.Run()
	var ended *exec.ExitError
	if !errors.As(err, &ended) {
		return err
	}
	if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitError(128 + int(status.Signal()))
	}
	return exitError(ended.ExitCode())
}

// lookPath finds a program in a list of folders, or returns "". Folders that
// are not absolute are passed over: a work tree must not bring commands.
func lookPath(folders, program string) string {
	for _, folder := range filepath.SplitList(folders) {
		path := filepath.Join(folder, program)
		info, err := os.Stat(path)
		if err == nil && filepath.IsAbs(path) && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}
