package controller

import (
	"context"
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
	if err := c.noteRun(ctx, caller, app, command); err != nil {
		return 0, err
	}
	spec := c.spec(current, "run")
	spec.Args = []string{command}
	return c.scheduler.Run(ctx, app, current.release.Version, spec, stream)
}

// noteRun writes down that a command was asked for. The log, which goes with
// the app, has all of it, as the contract has it; the audit trail, which stays,
// the program's name, for arguments may be secrets.
func (c *Controller) noteRun(ctx context.Context, caller platform.Caller, app, command string) error {
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		return tx.InsertEvent(event(caller, "command.run", app, map[string]string{"program": programOf(command)}))
	})
	if err == nil {
		c.note(app, "INFO %s runs '%s'", caller.User, command)
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
