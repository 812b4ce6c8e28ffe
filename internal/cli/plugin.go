package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// other is what root does with words that are no command of it: Deis' own form
// of a command, a plugin, or a mistake.
func (c *cli) other(root *cobra.Command, args []string) error {
	switch {
	case len(args) == 0 || args[0] == "-h" || args[0] == "--help":
		return root.Help()
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

// modern turns the noun:verb of Deis' command line into noun verb; nil when it
// is none.
func modern(root *cobra.Command, args []string) []string {
	noun, verb, _ := strings.Cut(args[0], ":")
	words := []string{noun, verb}
	if noun == "auth" {
		words = words[1:]
	}
	if cmd, rest, err := root.Find(words); err != nil || cmd == root || verb == "" || len(rest) > 0 {
		return nil
	}
	return append(words, args[1:]...)
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
