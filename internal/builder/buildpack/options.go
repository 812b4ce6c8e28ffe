package buildpack

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/slipway-paas/slipway/internal/builder"
)

// Options of a Builder. Zero values mean what is said in brackets.
type Options struct {
	// Dir keeps bundled buildpacks, the apps' caches, and builds while they
	// run. It belongs to one process at a time.
	Dir string
	// Registry is host:port of the registry images are pushed to, by HTTP.
	RegistryAddr, RegistryUser, RegistryPassword string
	// UID is the user and group builds run as; needed when the platform is root.
	UID int
	// Stack tells the stack that slugs are laid on, repository@digest in the
	// registry, asked once a build; nil, or an empty answer: none, and the image
	// runs only where the machine is the stack.
	Stack func(context.Context) (string, error)
	// Env is added to the environment of builds: proxies, certificates and
	// package indexes of this machine. Never a secret: apps can read it.
	Env map[string]string
	// Timeout ends a build [15 min].
	Timeout time.Duration
	// Silence ends a build that prints nothing for so long [10 min].
	Silence time.Duration
	// Heartbeat is how often a silent build shows the user that it lives [10 s].
	Heartbeat time.Duration
	// MemoryBytes and Processes bound all of a build together [2 GiB, 1024].
	MemoryBytes, Processes int64
	// DiskBytes bounds what one build has on disk, its cache included [4 GiB].
	DiskBytes int64
	// MinFreeBytes is what a build must leave free on the disk [512 MiB].
	MinFreeBytes int64
}

func (o Options) validate(root bool) (Options, error) {
	switch {
	case !filepath.IsAbs(o.Dir):
		return o, fmt.Errorf("buildpack directory %q: must be an absolute path", o.Dir)
	case o.RegistryAddr == "":
		return o, errors.New("buildpack registry: no address")
	case root && o.UID <= 0:
		return o, errors.New("buildpack uid: builds must not run as root")
	}
	l := o.limits().WithDefaults()
	o.Timeout, o.Silence, o.Heartbeat = l.Timeout, l.Silence, l.Heartbeat
	o.MemoryBytes, o.Processes, o.DiskBytes, o.MinFreeBytes = l.MemoryBytes, l.Processes, l.DiskBytes, l.MinFreeBytes
	return o, nil
}

func (o Options) limits() builder.Limits {
	return builder.Limits{
		Timeout: o.Timeout, Silence: o.Silence, Heartbeat: o.Heartbeat,
		MemoryBytes: o.MemoryBytes, Processes: o.Processes, DiskBytes: o.DiskBytes, MinFreeBytes: o.MinFreeBytes,
	}
}
