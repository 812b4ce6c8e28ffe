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

// runPlugin runs slipway-NAME from $PATH when args begin with a NAME that is
// no command of root, and says whether it did.
func runPlugin(ctx context.Context, o Options, root *cobra.Command, args []string) (exit int, ran bool) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") || strings.ContainsAny(args[0], "/\\") {
		return 0, false
	}
	switch args[0] { // cobra adds these when it runs
	case "help", "completion", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd:
		return 0, false
	}
	if cmd, _, err := root.Find(args[:1]); err == nil && cmd != root {
		return 0, false
	}
	path := lookPath(o.env("PATH"), "slipway-"+args[0])
	if path == "" {
		return report(newScreen(o.Stderr, o.env), unknownCommand(root, args[0])), true
	}
	plugin := exec.CommandContext(ctx, path, args[1:]...)
	plugin.Stdin, plugin.Stdout, plugin.Stderr = o.Stdin, o.Stdout, o.Stderr
	plugin.Env, plugin.Dir = o.Env, o.Dir
	// Ctrl-C reaches the plugin by itself, and is its to answer.
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, os.Interrupt, syscall.SIGQUIT)
	defer signal.Stop(ignored)
	err := plugin.Run()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended) && ended.ExitCode() >= 0:
		return ended.ExitCode(), true
	case errors.As(err, &ended):
		if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal()), true
		}
	}
	return report(newScreen(o.Stderr, o.env), err), true
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
