package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// writeRelease makes a release and what belongs to it, in newRelease's
// transaction. It may run several times.
type writeRelease func(tx *store.Tx, current *deployable) (platform.Release, error)

// newRelease writes a release, its event and what write adds in one
// transaction, and sets the app's lane on it, also when ctx ends. ErrBusy while
// another release has not come to its end: that is the app's lock, and it
// survives a crash.
func (c *Controller) newRelease(ctx context.Context, caller platform.Caller, app string, need platform.Role, write writeRelease) (platform.Release, error) {
	return c.addRelease(ctx, caller, app, need, write, idle)
}

// addRelease is newRelease, where free says whether the app can take one.
func (c *Controller) addRelease(ctx context.Context, caller platform.Caller, app string, need platform.Role, write writeRelease, free func(*store.Tx, platform.App) error) (platform.Release, error) {
	var release platform.Release
	var sha string
	err := c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		a, err := may(tx, caller, app, need)
		if err != nil {
			return err
		}
		if err := free(tx, a); err != nil {
			return err
		}
		current, err := currentDeployable(tx, app)
		if err != nil {
			return err
		}
		if release, err = write(tx, current); err != nil {
			return err
		}
		if err := oneWriter(tx, a, release); err != nil {
			return err
		}
		if release, sha, err = insertRelease(tx, caller, app, release); err != nil {
			return err
		}
		return portless(tx, release, current)
	})
	if err != nil {
		return platform.Release{}, err
	}
	c.hooks.announce(release, sha)
	c.wake(app)
	c.notices.publish(app) // a rollout that waits sees that another shall take its place
	return release, nil
}

// insertRelease writes the row and its events, and says what commit it runs.
func insertRelease(tx *store.Tx, caller platform.Caller, app string, release platform.Release) (_ platform.Release, sha string, err error) {
	now := time.Now().Truncate(time.Second).UTC()
	release.UUID, release.App, release.Owner = uuid.NewString(), app, caller.User
	release.Created, release.Updated = now, now
	if release.State == "" {
		release.State = platform.ReleasePending
	}
	if release, err = tx.InsertRelease(release); err != nil {
		return release, "", err
	}
	attrs := map[string]string{"release": release.Tag(), "summary": release.Summary}
	if err := tx.InsertEvent(event(caller, "release.created", app, attrs)); err != nil {
		return release, "", err
	}
	sha, err = shaOf(tx, release)
	return release, sha, err
}

// shaOf is the commit that a release runs, as far as its build tells.
func shaOf(tx *store.Tx, release platform.Release) (string, error) {
	if release.Build == "" {
		return "", nil
	}
	build, err := tx.Build(release.App, release.Build)
	return build.SHA, err
}

// idle is ErrBusy, in the contract's words, while a release of the app is under
// way or its name changes.
func idle(tx *store.Tx, app platform.App) error {
	unfinished, err := tx.UnfinishedReleases(app.ID)
	if err != nil {
		return err
	}
	switch {
	case len(unfinished) == 1:
		if steps, err := inSteps(tx, unfinished[0]); steps || err != nil {
			return err // which another may take the place of
		}
		fallthrough
	case len(unfinished) > 0:
		return busy(tx, app.ID, unfinished[0])
	}
	return unnamed(tx, app)
}

// unnamed is ErrBusy while the app's name changes.
func unnamed(tx *store.Tx, app platform.App) error {
	if app.RenamedFrom == "" {
		return nil
	}
	current, err := tx.CurrentRelease(app.ID)
	if err != nil {
		return err
	}
	return busy(tx, app.ID, current)
}

// busy names the process type of the release that requests go to, or the first.
func busy(tx *store.Tx, app string, release platform.Release) error {
	d, err := loadDeployable(tx, release)
	if err != nil {
		return err
	}
	process := routableProcess(d)
	if types := slices.Sorted(maps.Keys(d.build.Procfile)); process == "" && len(types) > 0 {
		process = types[0]
	}
	if process == "" {
		process = "cmd"
	}
	return &platform.UserError{Kind: platform.ErrBusy, Message: fmt.Sprintf("Deployment for %s-%s is already in progress", app, process)}
}

// awaitIdle blocks until the app can take a release.
func (c *Controller) awaitIdle(ctx context.Context, app string) error {
	return c.await(ctx, app, nil, func() (bool, error) {
		free := false
		err := c.store.Read(ctx, func(tx *store.Tx) error {
			a, err := tx.App(app)
			if err != nil {
				return err
			}
			err = idle(tx, a)
			free = err == nil
			return unless(err, platform.ErrBusy)
		})
		return free, err
	})
}
