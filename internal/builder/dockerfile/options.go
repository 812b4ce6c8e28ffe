package dockerfile

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/slipway-paas/slipway/internal/builder"
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
	// Limits bound one build: MemoryBytes all of it together, BuildKit
	// included; Processes each of its steps; DiskBytes what it adds to the disk.
	builder.Limits
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
		return o, errors.New("no command starts buildkitd")
	}
	o.Limits = o.WithDefaults()
	if o.CacheBytes == 0 {
		o.CacheBytes = 10 << 30
	}
	return o, nil
}
