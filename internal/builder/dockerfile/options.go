package dockerfile

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/slipway-paas/slipway/internal/images"
)

// Options of a Builder. Zero values mean what is said in brackets.
type Options struct {
	// Dir keeps the apps' caches, one folder each. It belongs to one process at
	// a time.
	Dir string
	// Command starts the child that calls buildkitd.Serve.
	Command []string
	// RegistryAddr is host:port of the registry images are pushed to, by HTTP.
	RegistryAddr, RegistryUser, RegistryPassword string
	// Hosts says how registries elsewhere are reached.
	Hosts images.Hosts
	// Env is what the child has in its environment besides PATH: proxies and
	// certificates of this machine, for base images. Steps do not see it.
	Env []string
	// Timeout ends a build [15 min].
	Timeout time.Duration
	// Silence ends a build that shows no progress for so long [10 min].
	Silence time.Duration
	// Heartbeat is how often a silent build shows the user that it lives [10 s].
	Heartbeat time.Duration
	// MemoryBytes bounds all of a build together, BuildKit included [2 GiB];
	// Processes each of its steps [1024].
	MemoryBytes, Processes int64
	// DiskBytes bounds what one build adds to the disk [4 GiB].
	DiskBytes int64
	// MinFreeBytes is what a build must leave free on the disk [512 MiB].
	MinFreeBytes int64
	// CacheBytes bounds the caches of all apps together [10 GiB]. The app that
	// has not built for the longest loses its own first.
	CacheBytes int64
}

func (o Options) validate() (Options, error) {
	switch {
	case !filepath.IsAbs(o.Dir):
		return o, fmt.Errorf("directory of Dockerfile builds %q: must be an absolute path", o.Dir)
	case o.RegistryAddr == "":
		return o, errors.New("registry of Dockerfile builds: no address")
	case len(o.Command) == 0:
		return o, errors.New("Dockerfile builds: no command starts buildkitd")
	}
	o.Timeout = orElse(o.Timeout, 15*time.Minute)
	o.Silence = orElse(o.Silence, 10*time.Minute)
	o.Heartbeat = orElse(o.Heartbeat, 10*time.Second)
	o.MemoryBytes = orElse(o.MemoryBytes, 2<<30)
	o.Processes = orElse(o.Processes, 1024)
	o.DiskBytes = orElse(o.DiskBytes, 4<<30)
	o.MinFreeBytes = orElse(o.MinFreeBytes, 512<<20)
	o.CacheBytes = orElse(o.CacheBytes, 10<<30)
	return o, nil
}

func orElse[T int64 | time.Duration](value, fallback T) T {
	if value == 0 {
		return fallback
	}
	return value
}
