package controller

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/slipway-paas/slipway/internal/logs"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// maxCommand bounds a one-off command line, in bytes.
const maxCommand = 128 << 10

// Run runs one command line in a fresh instance of the current release,
// attached to stream, and returns its exit code.
func (c *Controller) Run(ctx context.Context, caller platform.Caller, app, command string, stream platform.IO) (int, error) {
	if command == "" {
		return 0, platform.Invalid("", "command is a required field")
	}
	if len(command) > maxCommand {
		return 0, platform.Invalid("", "command is longer than %d bytes", maxCommand)
	}
	current, err := read(ctx, c, caller, app, platform.RoleOperator, func(tx *store.Tx, _ platform.App) (*deployable, error) {
		return currentDeployable(tx, app)
	})
	if err != nil {
		return 0, err
	}
	if !current.hasBuild() {
		return 0, platform.Invalid("", "No build associated with this release to run this command")
	}
	run := oneOff(current, c.spec(current, "run"))
	run.Spec.Entrypoint, run.Spec.Args = startLine(current.build, command)
	if err := c.noteRun(ctx, caller, run, command); err != nil {
		return 0, err
	}
	exit, err := c.scheduler.Run(ctx, run, stream)
	if err != nil && ctx.Err() == nil {
		err = &platform.UserError{Kind: platform.ErrUnavailable, Message: fmt.Sprintf("%s (run): %v", run.ID, err)}
	}
	return exit, err
}

// oneOff is a copy of the release that runs once, under a name of its own:
// <app>-run-<5 letters or digits>.
func oneOff(d *deployable, spec platform.Spec) platform.InstanceSpec {
	app := d.release.App
	return platform.InstanceSpec{
		ID: app + "-run-" + strings.ToLower(rand.Text()[:5]), App: app, Process: "run", Release: d.release.Version, Spec: spec,
	}
}

// noteRun writes down that a command was asked for. The log, which goes with
// the app, has all of it, as the contract has it; the audit trail, which stays,
// the program's name, for arguments may be secrets.
func (c *Controller) noteRun(ctx context.Context, caller platform.Caller, run platform.InstanceSpec, command string) error {
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		return tx.InsertEvent(event(caller, "command.run", run.App, map[string]string{"program": programOf(command)}))
	})
	if err == nil {
		c.note(run.App, "INFO %s on %s runs '%s'", caller.User, run.ID, command)
	}
	return err
}

// programOf is the first word of a command line that sets no variable.
func programOf(command string) string {
	for word := range strings.FieldsSeq(command) {
		if !strings.Contains(word, "=") {
			return word[:min(len(word), 100)]
		}
	}
	return ""
}

// LogQuery narrows an app's log stream.
type LogQuery struct {
	Lines   int    // last so many; 0 means 100
	Process string // only app lines of this process type, when not empty
	Source  string // platform.LogApp, LogBuild or LogController, when not empty
	Follow  bool   // keep yielding lines as they come
}

// Logs yields the last lines of an app's stream, oldest first, and what comes
// after them when the query follows. It blocks until ctx ends or yield returns
// false.
func (c *Controller) Logs(ctx context.Context, caller platform.Caller, app string, q LogQuery, yield func(platform.LogLine) bool) error {
	if err := c.allow(ctx, caller, app, platform.RoleViewer); err != nil {
		return err
	}
	filter := logs.Filter{Lines: q.Lines, Process: q.Process, Source: q.Source}
	if filter.Lines <= 0 {
		filter.Lines = 100
	}
	if q.Follow {
		for line := range c.logs.Follow(ctx, app, filter) {
			if !yield(line) {
				return nil
			}
		}
		return nil
	}
	for _, line := range c.logs.Tail(app, filter) {
		if !yield(line) {
			return nil
		}
	}
	return nil
}
