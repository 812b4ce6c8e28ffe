// Package scheduler says where instances of an app run: it is handed an app's
// workload, makes it so on machines or in a cluster, and hands on what it sees.
package scheduler

import (
	"context"
	"iter"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Scheduler runs workloads. Safe for concurrent use. Every implementation
// passes schedulertest.Run.
type Scheduler interface {
	// Apply makes w what runs of w.App. It is level-triggered and idempotent:
	// groups that are not in w go, kept groups keep their instances. Of two that
	// mount one volume never do instances run at a time: the one asked for later
	// is prepared, and begins when the other has gone. It may
	// return before it is so; Watch and Instances tell.
	Apply(ctx context.Context, w platform.Workload) error

	// Remove ends everything of the app. An unknown app is no error.
	Remove(ctx context.Context, app string) error

	// Instances lists what runs of the app as seen, not as wished, one-off
	// runs excluded, newest first.
	Instances(ctx context.Context, app string) ([]platform.Instance, error)

	// Replace starts another instance for each named one and takes the named
	// ones away once the others are up; one with a volume ends first, and is
	// prepared for before. Unknown names are no error. It may
	// return before it is so.
	Replace(ctx context.Context, app string, instances []string) error

	// Run runs spec once under its ID, which is in no list, attached to stream,
	// and blocks until it ends. The exit code of a process ended by signal n is
	// 128+n; err is for what kept it from running.
	Run(ctx context.Context, spec platform.InstanceSpec, stream platform.IO) (exit int, err error)

	// Exec runs argv inside a running instance of the app, as its user, with
	// its files and its environment, attached to stream, and blocks until it
	// ends: by itself, killed when ctx ends, or with the instance. The exit code
	// of a process ended by signal n is 128+n; 127 is a program that is not
	// there. An unknown instance is a *platform.NotFoundError of the kind
	// "Instance", one that is not running matches platform.ErrConflict in words
	// for the user.
	Exec(ctx context.Context, app, instance string, argv []string, stream platform.IO) (exit int, err error)

	// Watch yields an app's id whenever its instances may have changed, until
	// ctx ends. Changes may be merged, never lost.
	Watch(ctx context.Context) iter.Seq[string]
}
