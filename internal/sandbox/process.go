package sandbox

import (
	"os"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Process describes one confined process. It sees the machine's /usr, /etc
// and /opt read-only, or those of its Root, its own /proc, /dev and /tmp, the
// Mounts, and nothing else: never the machine's /root, /home, /var or the
// platform's state.
type Process struct {
	// Name is unique among what runs now and names the cgroup: letters,
	// digits, dots and dashes. It is shown by ps.
	Name string
	// Argv is the command; Argv[0] is a path inside or found in the PATH of Env.
	// Where there is no mount namespace, paths below a mount's target are
	// rewritten to where they really are, in Argv, Env values and Dir.
	Argv []string
	// Env is the whole environment, as "KEY=value". Secrets belong here: it
	// never appears on a command line. No program but the command sees it as
	// its own, so LD_PRELOAD and the like reach nothing that holds a privilege.
	Env []string
	// Dir is the working directory inside. Empty: /.
	Dir string
	// UID is the user and group it runs as; not 0. Ignored when the platform
	// itself is not root.
	UID int
	// GID is the group with a Root; 0: the same number as UID.
	GID int
	// Root, when set, is the absolute path of a directory that is shown,
	// read-only, in place of the machine's files: see FurnishRoot. /dev, /proc,
	// /run, /sys and /tmp of it are not shown. The program of the platform is at
	// Self. It needs namespaces; a Terminal and Enter do not go with it.
	Root   string
	Mounts []Mount
	Limits platform.Limits
	// MaxFileBytes bounds each file it writes; zero means no bound.
	MaxFileBytes int64
	// Idle gives it the processor and the disk only when nobody else wants them.
	Idle bool
	// OwnNetwork cuts it off from every network, loopback included.
	OwnNetwork bool
	// Stdin, Stdout and Stderr are nil for /dev/null. Start duplicates them:
	// the caller closes its own.
	Stdin, Stdout, Stderr *os.File
	// Terminal makes Stdin, a terminal nobody controls, the controlling
	// terminal of the process.
	Terminal bool
	// Status is the path of a file the sandbox creates and fills with what it
	// must know to find the process again: its caller keeps it next to the
	// Handle, out of reach of the process, and removes it. Required for Start.
	Status string
}

// Mount shows Source of the machine at Target inside. Mounts are made in order.
type Mount struct {
	Source, Target string
	// Writable lets the process write into Source itself.
	Writable bool
	// Scratch, when set, lets it write at Target without touching Source:
	// changes go into this directory, which must exist, be empty and be on a
	// disk, and which the caller removes afterwards.
	Scratch string
}

// Handle is what it takes to find a process again after a restart of the
// platform. It is safe to store as JSON and holds no secret.
type Handle struct {
	Name   string `json:"name"`
	Pid    int    `json:"pid"`
	Start  uint64 `json:"start"` // clock ticks since boot, against reuse of the pid
	Boot   string `json:"boot"`  // boot id
	UID    int    `json:"uid"`
	Status string `json:"status"`
	Mode   string `json:"mode"`
	// Terminal: the process leads a session of its own below the first one.
	Terminal bool `json:"terminal,omitempty"`
	// Rooted: its programs are those of a Root, and nothing of the platform's
	// runs among them.
	Rooted      bool     `json:"rooted,omitempty"`
	Cgroups     []string `json:"cgroups,omitempty"`
	MemoryBytes int64    `json:"memory_bytes,omitempty"`
	// Mounts are where things really are, when there is no mount namespace.
	Mounts []Mount `json:"mounts,omitempty"`
}

// Exit is how a process ended.
type Exit struct {
	At time.Time
	// Code is the exit code, 128+n for signal n, or -1 when nobody saw it.
	Code int
	// OutOfMemory: the kernel killed a process of it for its memory limit.
	OutOfMemory bool
}
