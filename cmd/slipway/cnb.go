package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/pflag"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/builder/cnb"
	"github.com/slipway-paas/slipway/internal/images"
	"github.com/slipway-paas/slipway/internal/sandbox"
)

// cnbFlags are the options of Cloud Native Buildpacks.
func (o *options) cnbFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.CNBBuilder, "cnb-builder", "", "builder image of Cloud Native Buildpacks, for apps with SLIPWAY_BUILDER=cnb; empty: there is none")
	flags.StringVar(&o.CNBRunImage, "cnb-run-image", "", "image below the apps that it builds; empty: the one the builder image names")
	flags.BoolVar(&o.CNBDefault, "cnb-default", false, "build with Cloud Native Buildpacks whatever a buildpack of the builder image is for, also where the app does not ask")
}

func (o *options) checkCNB() error {
	for name, reference := range map[string]string{"cnb-builder": o.CNBBuilder, "cnb-run-image": o.CNBRunImage} {
		if _, ok := images.ParseReference(reference); reference != "" && !ok {
			return fmt.Errorf("--%s: %q names no image: write one such as docker.io/paketobuildpacks/builder-jammy-base:0.4.400", name, reference)
		}
	}
	if o.CNBBuilder == "" && (o.CNBRunImage != "" || o.CNBDefault) {
		return errors.New("--cnb-run-image and --cnb-default: name a builder image with --cnb-builder")
	}
	return nil
}

// openCNB returns nil where no builder image is named.
func (o *options) openCNB(log *slog.Logger, box *sandbox.Sandbox, puller *images.Puller, password string) (builder.Builder, error) {
	if o.CNBBuilder == "" {
		return nil, nil
	}
	env := make(map[string]string)
	for _, name := range buildEnvironment {
		if value := os.Getenv(name); value != "" {
			env[name] = value
		}
	}
	return cnb.New(log, box, cnb.Options{
		Dir: o.path(cnbRoom), BuilderImage: o.CNBBuilder, RunImage: o.CNBRunImage, Default: o.CNBDefault, Env: env,
		RegistryAddr: o.Registry, RegistryUser: registryUser, RegistryPassword: password,
		Pull: func(ctx context.Context, reference, into string, story io.Writer) (string, error) {
			image, err := puller.Pull(ctx, images.Request{Reference: reference, Into: into, Output: story})
			return image.Ref, err
		},
		Limits: builder.Limits{Timeout: o.BuildTimeout, Silence: o.BuildSilence, MemoryBytes: o.BuildMemory << 20, DiskBytes: o.BuildDisk << 20},
	})
}

// cnbRoom is the room of Cloud Native Buildpacks in the state directory.
const cnbRoom = "cnb"
