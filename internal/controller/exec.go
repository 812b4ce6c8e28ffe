package controller

import (
	"context"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// shell runs its first argument as a one-off command does: with bash where the
// image has it.
const shell = `command -v bash >/dev/null 2>&1 && exec bash -c "$1"; exec sh -c "$1"`

// Exec runs a command line inside a running instance, attached to stream, and
// blocks until it ends. instance may be short: web-1499930585-14lrg. It sees
// the instance's own files and environment.
func (c *Controller) Exec(ctx context.Context, caller platform.Caller, app, instance, command string, stream platform.IO) (exit int, err error) {
	if strings.TrimSpace(command) == "" {
		return 0, platform.Invalid("", "command is a required field")
	}
	if len(command) > maxCommand-1024 {
		return 0, platform.Invalid("", "command is longer than %d bytes", maxCommand-1024)
	}
	if err := c.allow(ctx, caller, app, platform.RoleOperator); err != nil {
		return 0, err
	}
	instances, err := c.scheduler.Instances(ctx, app)
	if err != nil {
		return 0, err
	}
	at := slices.IndexFunc(instances, func(i platform.Instance) bool { return i.ID == instance || i.ID == app+"-"+instance })
	if at < 0 {
		return 0, &platform.NotFoundError{Kind: "Instance", ID: instance}
	}
	id := instances[at].ID
	err = c.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := may(tx, caller, app, platform.RoleOperator); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "command.executed", app, map[string]string{"instance": id, "command": program(command)}))
	})
	if err != nil {
		return 0, err
	}
	c.note(app, "INFO %s on %s runs '%s'", caller.User, id, command)
	return c.scheduler.Exec(ctx, app, id, []string{"/bin/sh", "-c", shell, "sh", command}, stream)
}

// program is the first word of a command line, which holds none of its
// arguments; of an assignment before it, which may be a secret, the name.
func program(command string) string {
	word := ""
	if words := strings.Fields(command); len(words) > 0 {
		word, _, _ = strings.Cut(words[0], "=")
	}
	return word[:min(len(word), 64)]
}
