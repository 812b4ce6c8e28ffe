package controller

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// Builds lists builds, newest first, and how many there are.
func (c *Controller) Builds(ctx context.Context, caller platform.Caller, app string, page platform.Page) ([]platform.Build, int, error) {
	return list(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx) ([]platform.Build, int, error) { return tx.Builds(app, page) })
}

// Build returns one build.
func (c *Controller) Build(ctx context.Context, caller platform.Caller, app, uuid string) (platform.Build, error) {
	return read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, _ platform.App) (platform.Build, error) { return tx.Build(app, uuid) })
}

// Releases lists releases, newest first, failed ones included, and how many there are.
func (c *Controller) Releases(ctx context.Context, caller platform.Caller, app string, page platform.Page) ([]platform.Release, int, error) {
	return list(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx) ([]platform.Release, int, error) { return tx.Releases(app, page) })
}

// Release returns one release.
func (c *Controller) Release(ctx context.Context, caller platform.Caller, app string, version int) (platform.Release, error) {
	return read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, _ platform.App) (platform.Release, error) { return tx.Release(app, version) })
}

// Rollback makes and deploys a new release with the code and config of an old
// one; version 0 means the last one before the current that succeeded. It does
// not wait for a release that is under way: that one fails and makes room.
func (c *Controller) Rollback(ctx context.Context, caller platform.Caller, app string, version int) (platform.Release, error) {
	if version < 0 {
		return platform.Release{}, platform.Invalid("", "version cannot be below 0")
	}
	release, err := c.addRelease(ctx, caller, app, platform.RoleDeployer, func(tx *store.Tx, current *deployable) (platform.Release, error) {
		target, err := rollbackTarget(tx, app, current, version)
		if err != nil {
			return platform.Release{}, err
		}
		r := platform.Release{Config: target.Config, Build: target.Build}
		r.Summary = fmt.Sprintf("%s rolled back to %s", caller.User, target.Tag())
		return r, nil
	}, unnamed)
	if err != nil {
		return platform.Release{}, err
	}
	c.note(app, "INFO %s", release.Summary)
	return c.outcome(ctx, app, release.Version)
}

func rollbackTarget(tx *store.Tx, app string, current *deployable, version int) (platform.Release, error) {
	if version == 0 {
		return previous(tx, app, current)
	}
	if version == 1 {
		return platform.Release{}, errInitial
	}
	target, err := tx.Release(app, version)
	switch {
	case errors.Is(err, platform.ErrNotFound):
		return platform.Release{}, platform.Invalid("", "Release matching query does not exist.")
	case err != nil:
		return platform.Release{}, err
	case target.State == platform.ReleaseFailed:
		return platform.Release{}, platform.Invalid("", "Cannot roll back to failed release.")
	case target.Build == "" && current.hasBuild():
		return platform.Release{}, platform.Invalid("", "No build associated with this release")
	}
	return target, nil
}

var errInitial = platform.Invalid("", "Cannot roll back to initial release.")

// previous is the last release before the current one that succeeded.
func previous(tx *store.Tx, app string, current *deployable) (platform.Release, error) {
	if current == nil || current.release.Version == 1 {
		return platform.Release{}, platform.Invalid("", "version cannot be below 0")
	}
	for version := current.release.Version - 1; version > 1; version-- {
		release, err := tx.Release(app, version)
		if err != nil {
			return platform.Release{}, err
		}
		if release.State == platform.ReleaseSucceeded && (release.Build != "" || !current.hasBuild()) {
			return release, nil
		}
	}
	return platform.Release{}, errInitial
}
