package controller

import (
	"context"
	"errors"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/images"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// An image is had before anything is written of it: a pull may take long and
// fail for reasons of others, and while it runs the app is free for changes.

// mayBuild refuses at once what a pull could only delay.
func (c *Controller) mayBuild(ctx context.Context, caller platform.Caller, app string) error {
	return c.store.Read(ctx, func(tx *store.Tx) error {
		a, err := may(tx, caller, app, platform.RoleDeployer)
		if err != nil {
			return err
		}
		return idle(tx, a)
	})
}

// lockPull makes the caller the only one who brings an image for the app.
func (c *Controller) lockPull(ctx context.Context, app string) (unlock func(), err error) {
	c.mu.Lock()
	taken := c.pulling[app]
	c.pulling[app] = true
	c.mu.Unlock()
	if taken {
		return nil, c.store.Read(ctx, func(tx *store.Tx) error {
			current, err := tx.CurrentRelease(app)
			if err != nil {
				return err
			}
			return busy(tx, app, current)
		})
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.pulling, app)
	}, nil
}

// obtain is the image that was asked for, in the app's repository of the
// platform's registry: what of a build it tells.
func (c *Controller) obtain(ctx context.Context, caller platform.Caller, app string, asked NewBuild) (platform.Build, error) {
	var known *platform.Build
	var config platform.Config
	name, here := c.localName(asked.Image)
	err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
		if known, err = ownImage(tx, caller, app, name); err != nil {
			return err
		}
		current, err := currentDeployable(tx, app)
		if err == nil && current != nil {
			config = current.config
		}
		return err
	})
	if err != nil {
		return platform.Build{}, err
	}
	if known != nil {
		return c.adopted(ctx, app, *known)
	}
	build, err := c.pushed(ctx, caller, app, name)
	switch {
	case err == nil || !errors.Is(err, platform.ErrNotFound):
		return build, err
	case here:
		return platform.Build{}, platform.Invalid("", "image %s not found", asked.Image)
	}
	return c.pull(ctx, app, asked.Image, config)
}

// localName is an image's name without the host of the platform's registry,
// and whether it had that.
func (c *Controller) localName(image string) (name string, here bool) {
	host, rest, ok := strings.Cut(image, "/")
	if !ok {
		return image, false
	}
	if bare, _, err := net.SplitHostPort(host); err == nil {
		host = bare
	}
	if strings.EqualFold(host, "registry."+c.options.Domain) {
		return rest, true
	}
	return image, false
}

// adopted is a build of the platform, its image in the app's own repository:
// what runs depends on no other app.
func (c *Controller) adopted(ctx context.Context, app string, build platform.Build) (platform.Build, error) {
	repository, digest, _ := strings.Cut(build.Image, "@")
	if repository == app || build.App == app {
		return build, nil
	}
	image, err := c.images.Own(ctx, repository, digest, app)
	if errors.Is(err, platform.ErrNotFound) {
		return build, platform.Invalid("", "image %s not found: the registry has it no more", build.Image)
	}
	build.Image = image.Ref
	return build, err
}

var pushedForm = regexp.MustCompile(`^([a-z][a-z0-9-]*)(?::([A-Za-z0-9_][A-Za-z0-9._-]{0,127})|@(sha256:[0-9a-f]{64}))?$`)

// pushed is an image that somebody pushed to the registry of the platform
// under an app's name, if the caller may deploy from it; else ErrNotFound, for
// what others have is not told.
func (c *Controller) pushed(ctx context.Context, caller platform.Caller, app, name string) (platform.Build, error) {
	parts := pushedForm.FindStringSubmatch(name)
	if parts == nil {
		return platform.Build{}, platform.ErrNotFound
	}
	from, which := parts[1], parts[2]+parts[3]
	if which == "" {
		which = "latest"
	}
	if err := c.allow(ctx, caller, from, platform.RoleDeployer); err != nil {
		if err := unless(err, platform.ErrNotFound, platform.ErrForbidden); err != nil {
			return platform.Build{}, err
		}
		return platform.Build{}, platform.ErrNotFound
	}
	image, err := c.images.Own(ctx, from, which, app)
	if err != nil {
		return platform.Build{}, err
	}
	build := ofImage(image)
	if image.Labels[platform.LabelSlug] != "" { // our builder made it, and a tag names it
		build.Kind, build.Stack = platform.ImageSlug, image.Labels[platform.LabelStack]
	}
	return build, nil
}

// ofImage is what an image tells of a build.
func ofImage(image platform.Image) platform.Build {
	return platform.Build{Image: image.Ref, Kind: platform.ImageNamed, Ports: image.Ports, Size: image.Size}
}

// pull brings an image from elsewhere, telling the app's log how far it is.
func (c *Controller) pull(ctx context.Context, app, image string, config platform.Config) (platform.Build, error) {
	if len(config.Registry) > 0 && config.Env()["PORT"] == "" {
		return platform.Build{}, platform.Invalid("", "PORT needs to be set in the application config when using a private registry")
	}
	story := newLineWriter(func(line string) {
		c.logs.Append(app, platform.LogLine{At: time.Now(), App: app, Source: platform.LogBuild, Text: line})
	})
	defer story.Close()
	pulled, err := c.images.Pull(ctx, images.Request{
		Reference: image, Into: app, Output: story,
		Credentials: images.Credentials{
			Username: config.Registry["username"], Password: config.Registry["password"], Hostname: config.Registry["hostname"],
		},
	})
	if err = platform.AsOverQuota(err); err != nil {
		c.note(app, "ERROR %s", err)
		return platform.Build{}, err
	}
	return ofImage(pulled), nil
}

// portless refuses a release that requests are led to and that listens at no
// port anybody knows (Deis contract 2.4).
func portless(tx *store.Tx, release platform.Release, current *deployable) error {
	if release.Build == "" {
		return nil
	}
	next, err := loadDeployable(tx, release)
	if err != nil || listenPort(next) != 0 {
		return err
	}
	settings, err := tx.Settings(release.App)
	if err != nil || !settings.Routable {
		return err
	}
	app, err := tx.App(release.App)
	if err != nil {
		return err
	}
	for process, quantity := range nextFormation(app.Formation, current, next) {
		if quantity > 0 && platform.Routable(process) {
			return errPortless
		}
	}
	return nil
}

var errPortless = platform.Invalid("", "Expose a port or make the app non routable by changing the process type")
