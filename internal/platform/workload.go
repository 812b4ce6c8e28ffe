package platform

import (
	"io"
	"time"
)

// Workload is what a scheduler is asked for: everything of one app that shall
// run. During a rollout it holds the groups of two releases side by side.
type Workload struct {
	App    string
	Groups []Group
}

// Group is one process type of one release, so many times.
type Group struct {
	Release  int
	Process  string
	Quantity int
	// Revision tells groups of the same release and process apart after a
	// restart of all: a group with another revision is other instances.
	Revision int
	Spec     Spec
}

// Spec is how one instance runs, on any engine.
type Spec struct {
	Image string // repository@digest in the platform's registry
	// Bare: the image holds a slug and nothing below it, so that only a runtime
	// whose machine is the stack can run it.
	Bare bool `json:",omitempty"`
	// Entrypoint replaces the image's; nil: the image's own.
	Entrypoint []string `json:",omitempty"`
	// Args go to the entrypoint; nil: the image's own, if Entrypoint is. For a
	// slug, the command line of the process type as one shell string:
	// {"python app.py"}.
	Args []string
	// Env is complete but for PORT and PORT_<n>, which the runtime adds.
	Env map[string]string
	// Port asks for an address: the instance is told PORT and must listen on it.
	Port bool
	// Listen is the PORT of an instance that has a network of its own; 0: 5000.
	// Where instances share the machine's ports the runtime chooses another.
	Listen int `json:",omitempty"`
	// Ports are further TCP ports it is to be reached at, by the number the
	// app knows them by. PORT_<n> tells which it has to listen at: n, where it
	// has a network of its own.
	Ports []int `json:",omitempty"`
	// Mounts are the volumes it has. The same volume is never in two instances.
	Mounts []Mount `json:",omitempty"`
	// ReadOnly makes its root file system read-only, but for /tmp and Mounts.
	ReadOnly  bool   `json:",omitempty"`
	Readiness *Probe // nil: connect to PORT if Port, else having started
	Liveness  *Probe // nil: none
	Limits    Limits
	Grace     time.Duration // between SIGTERM and SIGKILL
	// Drain is how long a removed instance may finish its requests before SIGTERM.
	Drain time.Duration
	// PostStart and PreStop are command lines run beside the instance: after
	// its start, and before SIGTERM, within Grace. Empty: none.
	PostStart, PreStop string
}

// Limits are upper bounds; zero means none.
type Limits struct {
	MemoryBytes int64
	MilliCPU    int64 // thousandths of a core
	Processes   int64
}

// InstanceState is the state of an instance in the contract's words.
type InstanceState string

// The states of an instance. Crashed ones come back after a pause that grows.
const (
	InstanceStarting    InstanceState = "starting"
	InstanceUp          InstanceState = "up"
	InstanceTerminating InstanceState = "terminating"
	InstanceDown        InstanceState = "down"
	// InstanceCrashed: exited by itself and waits for its restart.
	InstanceCrashed InstanceState = "crashed"
	// InstanceError: cannot be started; Message says why.
	InstanceError InstanceState = "error"
)

// Instance is one running copy, as seen.
type Instance struct {
	ID       string // <app>-<process>-<10 digits>-<5 letters or digits>
	App      string
	Process  string
	Release  int
	Revision int
	Node     string
	State    InstanceState
	// Address is host:port where it listens; empty when it has no port.
	Address  string
	Started  time.Time
	Restarts int
	// CrashLoop: it exited again and again before it was well.
	CrashLoop bool
	// Message says in words why it is not up: the last exit, the last probe.
	Message string
	// Isolation names what keeps the instance from others: see Isolation.
	Isolation Isolation
	// InFlight counts requests and tunnels the router has open to it.
	InFlight int
}

// Isolation is how well a machine keeps instances apart.
type Isolation string

// From strongest to weakest.
const (
	IsolationContainer Isolation = "container"
	// IsolationSandbox: own uid where root, own mount, pid and ipc namespaces.
	IsolationSandbox Isolation = "sandbox"
	// IsolationUser: own uid only.
	IsolationUser Isolation = "user"
	// IsolationNone: instances can read one another and the platform's state.
	IsolationNone Isolation = "none"
)

// IO connects a one-off run or an exec with whoever asked for it.
type IO struct {
	Stdin          io.Reader     // nil: empty
	Stdout, Stderr io.Writer     // Stderr unused with a Terminal
	Merged         bool          // Stderr goes to Stdout, in order
	Terminal       *Terminal     // nil: no terminal
	Signals        <-chan string // names such as "INT"; nil: none
}

// Terminal is a pseudo-terminal's first size and the changes of it.
type Terminal struct {
	Term   string // TERM
	Size   WindowSize
	Resize <-chan WindowSize
}

// WindowSize is in characters.
type WindowSize struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
}

// LogLine is one line of an app's stream.
type LogLine struct {
	At  time.Time
	App string
	// Source is "app", "build" or "controller".
	Source string
	// Process, Release and Instance are set for Source "app" only.
	Process  string
	Release  int
	Instance string
	Text     string // no line end
}

// The sources of log lines.
const (
	LogApp        = "app"
	LogBuild      = "build"
	LogController = "controller"
)
