// Command slipway is the platform in one binary: `slipway serve` is the
// control plane, `slipway node` the data plane of one machine, and every other
// verb a client of the REST API. This package wires the parts by hand: flags
// become options, options become parts, parts run until a signal.
//
//go:debug multipathtcp=0
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/builder/cnb/phase"
	"github.com/slipway-paas/slipway/internal/cli"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	if len(os.Args) > 1 && os.Args[1] == sandbox.BeginVerb {
		return sandbox.Begin(os.Args[2:])
	}
	if len(os.Args) > 1 && os.Args[1] == phase.Verb {
		return phase.Main(os.Args[2:])
	}
	return cli.Execute(context.Background(), rootCommand())
}

// rootCommand has every verb below it.
func rootCommand() *cobra.Command {
	root := cli.New(cli.Options{Version: version, Doctor: localDoctor})
	for _, daemon := range []*cobra.Command{serveCommand(), nodeCommand(), secretsCommand()} {
		daemon.GroupID = cli.GroupPlatform
		root.AddCommand(daemon)
	}
	root.AddCommand(waitReadyCommand(), buildkitdCommand())
	return root
}

// logger writes what the daemons have to say to stderr, where systemd and a
// terminal both find it.
func logger(verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	slog.SetDefault(log) // for the libraries that write to the standard logger
	return log
}

// inOrder closes what was opened, last first, and joins the errors.
type inOrder []func() error

func (c *inOrder) add(f func() error) { *c = append(*c, f) }

// closing is a close that cannot fail.
func closing(f func()) func() error { return func() error { f(); return nil } }

func (c inOrder) close() error {
	var errs []error
	for _, end := range slices.Backward(c) {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}

func named(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
