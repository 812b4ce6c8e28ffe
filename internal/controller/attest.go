package controller

import (
	"context"
	"errors"
	"time"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/sbom"
)

// attest attaches what is known of a build's image to it, beside the deploy,
// which does not wait for it and does not fail with it. origin nil: nothing
// here built the image.
func (c *Controller) attest(build platform.Build, origin *sbom.Origin) {
	if c.sbom == nil || !ownImageForm.MatchString(build.Image) {
		return
	}
	c.countAttesting(build.Image, 1)
	ran := c.goRun(func() {
		defer c.countAttesting(build.Image, -1)
		err := c.sbom.Attach(c.work, build.Image, origin)
		if err != nil && !errors.Is(err, context.Canceled) {
			c.log.Warn("nothing was attached to an image", "app", build.App, "image", build.Image, "err", err)
		}
	})
	if !ran {
		c.countAttesting(build.Image, -1)
	}
}

func (c *Controller) countAttesting(image string, more int) {
	c.mu.Lock()
	if c.attesting[image] += more; c.attesting[image] == 0 {
		delete(c.attesting, image)
	}
	c.mu.Unlock()
	c.notices.publish(image)
}

// attested blocks until what is being attached to an image is there: a deploy
// answers before that, and whoever asks right after it shall find it.
func (c *Controller) attested(ctx context.Context, image string) error {
	return c.await(ctx, image, nil, func() (bool, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.attesting[image] == 0, nil
	})
}

// originOf is what is told of a push's build.
func (c *Controller) originOf(build platform.Build, src platform.Source, result builder.Result, started time.Time) *sbom.Origin {
	return &sbom.Origin{
		App: build.App, Build: build.UUID, Kind: string(result.Kind), Commit: src.Commit, Branch: src.Branch,
		Builder: c.options.URL("git." + c.options.Domain), Detected: result.Detected, Stack: result.Stack,
		Started: started, Ended: build.Created, Version: c.options.Version,
	}
}

// SBOM is the CycloneDX document of what a release runs; version 0: the current
// one. It is made where it is not there yet. ErrNotFound when the release runs
// no image of the platform's registry.
func (c *Controller) SBOM(ctx context.Context, caller platform.Caller, app string, version int) ([]byte, error) {
	image, err := c.imageOf(ctx, caller, app, version)
	if err != nil {
		return nil, err
	}
	return c.sbom.SBOM(ctx, image)
}

// Provenance is the in-toto statement of how what a release runs was built.
// It waits for one that is being attached. ErrNotFound when nothing here built it.
func (c *Controller) Provenance(ctx context.Context, caller platform.Caller, app string, version int) ([]byte, error) {
	image, err := c.imageOf(ctx, caller, app, version)
	if err == nil {
		err = c.attested(ctx, image)
	}
	if err != nil {
		return nil, err
	}
	return c.sbom.Find(ctx, image, sbom.TypeProvenance)
}

func (c *Controller) imageOf(ctx context.Context, caller platform.Caller, app string, version int) (string, error) {
	release, err := c.Release(ctx, caller, app, version)
	if err != nil {
		return "", err
	}
	missing := &platform.NotFoundError{Kind: "Image", ID: release.Tag()}
	if release.Build == "" || c.sbom == nil {
		return "", missing
	}
	build, err := c.Build(ctx, caller, app, release.Build)
	if err == nil && !ownImageForm.MatchString(build.Image) {
		err = missing
	}
	return build.Image, err
}
