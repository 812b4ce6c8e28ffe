// Package runtime says how one instance runs on this machine: it is handed an
// instance's spec, starts it under the machine's isolation, and hands on what
// it prints and how it ends. Restarts, health and routing are the node's.
package runtime

import (
	"context"
	"iter"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Runtime runs instances on this machine. All methods are safe for concurrent
// use. Instances outlive the process that holds the Runtime: their output goes
// to files, and what is needed to find them again is on disk before Start
// returns. Every implementation passes runtimetest.Run.
type Runtime interface {
	// Start begins a fresh copy of the instance and returns once it was
	// started, not once it is well. Starting an id that runs is an error that
	// matches platform.ErrConflict. A second Start of an id after its end is a
	// restart: same id, same output file, a clean file system. Start pulls the
	// image when it is not there yet; ctx bounds that. It makes the directories
	// of the spec's volumes (see volume.Dir) and shows each at its path, to be
	// written to by the instance alone: while another instance has one, Start is
	// an error that matches platform.ErrBusy and names the other.
	Start(ctx context.Context, spec platform.InstanceSpec) (Running, error)

	// Stop sends SIGTERM, waits for grace, then kills all of the instance, and
	// returns when nothing of it runs and its files are gone. Its remaining
	// output stays readable until Forget. Unknown ids are no error. A ctx that
	// ends early turns the wait into an immediate kill.
	Stop(ctx context.Context, id string, grace time.Duration) error

	// Adopt finds what an earlier process started and still runs, and forgets
	// what has ended since, reporting each of the latter through Watch. It is
	// called once, before any other method.
	Adopt(ctx context.Context) ([]Running, error)

	// Run starts a one-off copy of spec attached to stream and blocks until it
	// ends. The exit code of a process ended by signal n is 128+n. When ctx
	// ends, all of it is killed and ctx's error returned.
	Run(ctx context.Context, spec platform.InstanceSpec, stream platform.IO) (exit int, err error)

	// Exec runs argv inside the running instance id, as its user, with its
	// environment, attached to stream, and blocks until it ends: by itself,
	// killed when ctx ends, or with the instance. An id that does not run
	// matches platform.ErrNotFound.
	Exec(ctx context.Context, id string, argv []string, stream platform.IO) (exit int, err error)

	// Shell is Exec of a command line, which is run as the instance's own is:
	// by the image's entrypoint, in its working directory. It may be called as
	// soon as Start has returned.
	Shell(ctx context.Context, id, line string, stream platform.IO) (exit int, err error)

	// Watch yields each end of an instance that Start or Adopt returned, once,
	// in order, until ctx ends. One watcher at a time.
	Watch(ctx context.Context) iter.Seq[Exit]
}

// Running is an instance that was started.
type Running struct {
	Spec    platform.InstanceSpec
	Address string // host:port; empty when the spec asks for no port
	// Addresses are where Spec.Ports are reached, by the number the app knows
	// them by. Nil where a runtime has none.
	Addresses map[int]string
	Started   time.Time
	// Output is the file its stdout and stderr are appended to, merged. The
	// file outlives the instance until Forget; readers may punch holes into
	// what they have consumed.
	Output    string
	Isolation platform.Isolation
	// Shut says why Spec lacks its environment: the key it is sealed under is
	// gone. The instance runs on with it; a Start with this Spec would be
	// without. Nil: Spec is whole.
	Shut error
}

// Exit is how an instance ended.
type Exit struct {
	ID string
	At time.Time
	// Code is the exit code, 128+n for signal n, or -1 when nobody was there to see it.
	Code int
	// Reason is in words: "exited with code 1", "killed for more than 64 MiB
	// of memory", "ended while no node was watching".
	Reason string
}

// Outputs is what a runtime offers besides, for whoever ships log lines.
type Outputs interface {
	// Forget removes an ended instance's output and record. Unknown ids are no error.
	Forget(id string) error
}

// PortChecker is implemented by runtimes whose instances share the machine's ports.
type PortChecker interface {
	// CheckPort returns nil when the instance itself listens at its address;
	// else an error in words that names who does, if anybody.
	CheckPort(id string) error
}

// PortExplainer is implemented by runtimes whose instances have a network of
// their own.
type PortExplainer interface {
	// ExplainPort says in words why nothing answers at a port of the instance,
	// as far as can be seen; 0 is the one in PORT. Nil: nothing is known.
	ExplainPort(id string, port int) error
}

// Retirer is implemented by runtimes that keep more running than instances.
type Retirer interface {
	// Retire takes away what the runtime keeps on the machine: services,
	// devices, rules. It comes after the last instance was stopped; a new
	// Runtime on the same state makes it all again.
	Retire(ctx context.Context) error
}

// Preparer is implemented by runtimes that can do a part of a start before it.
type Preparer interface {
	// Prepare brings here what a Start of spec that follows soon needs, its
	// image foremost, and starts nothing. It may be called again, and while
	// another instance has the volumes of spec. It returns the error a Start
	// would end in as far as it can tell.
	Prepare(ctx context.Context, spec platform.InstanceSpec) error
}

// Describer tells how the runtime keeps instances apart here, for doctor.
type Describer interface {
	Describe() platform.RuntimeInfo
}
