package cnb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/slipway-paas/slipway/internal/builder"
)

// Options of a Builder.
type Options struct {
	// Dir keeps the unpacked builder image, the apps' caches, and builds while
	// they run. It belongs to one process at a time. Sockets lie in it: at most
	// 90 characters.
	Dir string
	// RegistryAddr is host:port of the registry images are pushed to, by HTTP.
	RegistryAddr, RegistryUser, RegistryPassword string
	// Pull brings an image from elsewhere, as a user names it, into a
	// repository of the registry, tells the story, and returns
	// repository@digest. It is asked for one at a time.
	Pull func(ctx context.Context, reference, into string, story io.Writer) (string, error)
	// BuilderImage is the builder image, as Pull takes it.
	BuilderImage string
	// RunImage is the image below apps; empty: the one the builder image names.
	RunImage string
	// Default builds every tree a buildpack of the builder image is for, also
	// of apps that do not ask.
	Default bool
	// Env is added to the environment of the phases that run buildpacks:
	// proxies and certificates of this machine. Never a secret.
	Env map[string]string
	// Limits bound a build.
	Limits builder.Limits
	// ImageBytes bounds the unpacked builder image [16 GiB].
	ImageBytes int64
}

// maxDir leaves room for the name of a socket: its path may have 107 bytes.
const maxDir = 90

func (o Options) validate() (Options, error) {
	switch {
	case !filepath.IsAbs(o.Dir):
		return o, fmt.Errorf("directory of cloud native buildpacks %q: must be an absolute path", o.Dir)
	case len(o.Dir) > maxDir:
		return o, fmt.Errorf("directory of cloud native buildpacks %q: %d characters too long for the sockets in it", o.Dir, len(o.Dir)-maxDir)
	case o.RegistryAddr == "":
		return o, errors.New("cloud native buildpacks: no registry")
	case o.BuilderImage == "" || o.Pull == nil:
		return o, errors.New("cloud native buildpacks: no builder image, or nothing that pulls it")
	}
	o.Limits = o.Limits.WithDefaults()
	if o.ImageBytes == 0 {
		o.ImageBytes = 16 << 30
	}
	return o, nil
}
