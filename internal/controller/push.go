package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/google/uuid"

	"github.com/slipway-paas/slipway/internal/blobs"
	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// Push builds src and deploys the result, telling the story to out as it
// goes. It returns nil when the new release serves; the build and the deploy
// go on when ctx ends. One push of an app at a time: else ErrBusy.
func (c *Controller) Push(ctx context.Context, caller platform.Caller, app string, src platform.Source, out io.Writer) error {
	if err := c.Authorize(ctx, caller, app); err != nil {
		return err
	}
	done, err := c.lockPush(app)
	if err != nil {
		return err
	}
	result := make(chan error, 1)
	started := c.goRun(func() {
		defer done()
		result <- c.push(c.work, caller, app, src, out)
	})
	if !started {
		done()
		return fmt.Errorf("slipway is stopping: %w", platform.ErrUnavailable)
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Controller) lockPush(app string) (unlock func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pushing[app] {
		return nil, &platform.UserError{Kind: platform.ErrBusy, Message: "Another git push is ongoing"}
	}
	c.pushing[app] = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.pushing, app)
	}, nil
}

func (c *Controller) push(ctx context.Context, caller platform.Caller, app string, src platform.Source, out io.Writer) error {
	result, err := c.buildSource(ctx, app, src, out)
	if err != nil {
		return c.userBuildError(app, err)
	}
	stop := c.progress.listen(app, out)
	defer stop()
	c.tell(app, "Build complete.\nLaunching App...\n")
	release, err := c.releaseBuild(ctx, caller, app, src, result)
	if err != nil {
		return err
	}
	release, err = c.outcome(ctx, app, release.Version)
	if err != nil {
		return err
	}
	if err := c.removeSources(ctx, app, src.Commit); err != nil {
		c.log.WarnContext(ctx, "old sources stayed", "app", app, "err", err)
	}
	return c.tellDone(ctx, release)
}

// userBuildError keeps what the user can mend and hides the rest behind a name.
func (c *Controller) userBuildError(app string, err error) error {
	c.note(app, "ERROR build failed: %s", err)
	var user *platform.UserError
	var field *platform.FieldError
	if errors.As(err, &user) || errors.As(err, &field) {
		return err
	}
	return fmt.Errorf("build of %s: %w", app, err)
}

// buildSource keeps the tree, waits for a free builder and turns it into an image.
func (c *Controller) buildSource(ctx context.Context, app string, src platform.Source, out io.Writer) (builder.Result, error) {
	select {
	case c.building <- struct{}{}:
	default:
		fmt.Fprintln(out, "Waiting for other builds to finish...")
		select {
		case c.building <- struct{}{}:
		case <-ctx.Done():
			return builder.Result{}, ctx.Err()
		}
	}
	defer func() { <-c.building }()

	var config platform.Config
	err := c.store.Read(ctx, func(tx *store.Tx) error {
		current, err := currentDeployable(tx, app)
		if err != nil || current == nil {
			return err
		}
		config = current.config
		return nil
	})
	if err != nil {
		return builder.Result{}, err
	}
	if err := c.keepSource(ctx, app, src); err != nil {
		return builder.Result{}, err
	}
	lines := newLineWriter(func(line string) {
		fmt.Fprintln(out, line)
		c.logs.Append(app, platform.LogLine{At: time.Now(), App: app, Source: platform.LogBuild, Text: line})
	})
	defer lines.Close()
	kept := platform.Source{Commit: src.Commit, Branch: src.Branch, Tree: func() (io.ReadCloser, error) {
		return c.blobs.Get(ctx, sourceKey(app, src.Commit))
	}}
	return c.build(ctx, builder.Request{App: app, Build: uuid.NewString(), Source: kept, Env: config.Values, Output: lines})
}

// sourceKey is where the tree of a commit is kept.
func sourceKey(app, commit string) string { return path.Join("sources", app, commit+".tar") }

func (c *Controller) keepSource(ctx context.Context, app string, src platform.Source) error {
	tree, err := src.Tree()
	if err != nil {
		return fmt.Errorf("tree of %s: %w", src.Commit, err)
	}
	defer tree.Close()
	return c.blobs.Put(ctx, sourceKey(app, src.Commit), tree)
}

// removeSources forgets the app's sources but the one of the commit to keep.
func (c *Controller) removeSources(ctx context.Context, app, keep string) error {
	for source, err := range c.blobs.List(ctx, path.Join("sources", app)+"/") {
		if err != nil {
			return err
		}
		if keep != "" && source.Key == sourceKey(app, keep) {
			continue
		}
		if err := c.blobs.Delete(ctx, source.Key); err != nil && !errors.Is(err, blobs.ErrMissing) {
			return err
		}
	}
	return nil
}

// releaseBuild writes build, release and event in one transaction. It waits
// for a change of the app that is under way, rather than refuse a push.
func (c *Controller) releaseBuild(ctx context.Context, caller platform.Caller, app string, src platform.Source, result builder.Result) (platform.Release, error) {
	now := time.Now().Truncate(time.Second).UTC()
	build := platform.Build{
		UUID: uuid.NewString(), App: app, Owner: caller.User, Image: result.Image,
		SHA: src.Commit[:min(8, len(src.Commit))], Procfile: result.Procfile, Created: now, Updated: now,
	}
	if result.Dockerfile {
		build.Dockerfile = "true"
	}
	for {
		release, err := c.newRelease(ctx, caller, app, platform.RoleDeployer, func(tx *store.Tx, current *deployable) (platform.Release, error) {
			if err := tx.InsertBuild(build); err != nil {
				return platform.Release{}, err
			}
			if err := firstFormation(tx, app, current, build); err != nil {
				return platform.Release{}, err
			}
			return platform.Release{Config: current.release.Config, Build: build.UUID, Summary: buildSummary(caller.User, build)}, nil
		})
		if !errors.Is(err, platform.ErrBusy) {
			if err == nil {
				c.note(app, "INFO build %s-%s created", app, short(build.UUID))
				c.note(app, "INFO %s", release.Summary)
			}
			return release, err
		}
		if err := c.awaitIdle(ctx, app); err != nil {
			return platform.Release{}, err
		}
	}
}

func buildSummary(user string, build platform.Build) string {
	if build.SHA == "" {
		return user + " deployed " + build.Image
	}
	return user + " deployed " + build.SHA[:min(7, len(build.SHA))]
}

// firstFormation gives an app its quantities with its first build.
func firstFormation(tx *store.Tx, id string, current *deployable, build platform.Build) error {
	app, err := tx.App(id)
	if err != nil || current.hasBuild() || len(app.Formation) > 0 {
		return err
	}
	return tx.SetFormation(id, platform.FirstFormation(build.Procfile))
}

// newRelease writes a release, its event and what write adds in one
// transaction, and sets the app's lane on it. ErrBusy while another release
// has not come to its end: that is the app's lock, and it survives a crash.
func (c *Controller) newRelease(ctx context.Context, caller platform.Caller, app string, need platform.Role, write func(*store.Tx, *deployable) (platform.Release, error)) (platform.Release, error) {
	var release platform.Release
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := may(tx, caller, app, need); err != nil {
			return err
		}
		unfinished, err := tx.UnfinishedReleases(app)
		if err != nil {
			return err
		}
		if len(unfinished) > 0 {
			return &platform.UserError{Kind: platform.ErrBusy, Message: fmt.Sprintf("Deployment for %s-%s is already in progress", app, "web")}
		}
		current, err := currentDeployable(tx, app)
		if err != nil {
			return err
		}
		if release, err = write(tx, current); err != nil {
			return err
		}
		now := time.Now().Truncate(time.Second).UTC()
		release.UUID, release.App, release.Owner = uuid.NewString(), app, caller.User
		release.State, release.Created, release.Updated = platform.ReleasePending, now, now
		if release, err = tx.InsertRelease(release); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "release.created", app, map[string]string{"release": release.Tag(), "summary": release.Summary}))
	})
	if err == nil {
		c.wake(app)
	}
	return release, err
}

// awaitIdle blocks until no release of the app is unfinished.
func (c *Controller) awaitIdle(ctx context.Context, app string) error {
	return c.await(ctx, app, nil, func() (bool, error) {
		var unfinished []platform.Release
		err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
			unfinished, err = tx.UnfinishedReleases(app)
			return err
		})
		return len(unfinished) == 0, err
	})
}

func (c *Controller) tellDone(ctx context.Context, release platform.Release) error {
	var hosts []string
	var formation map[string]int
	err := c.store.Read(ctx, func(tx *store.Tx) error {
		app, err := tx.App(release.App)
		if err != nil {
			return err
		}
		formation = app.Formation
		hosts, err = c.hosts(tx, release.App)
		return err
	})
	if err != nil {
		return err
	}
	c.tell(release.App, "Done, %s:%s deployed to Slipway\n", release.App, release.Tag())
	switch {
	case len(formation) == 0 || platform.FormationText(formation) == "":
		c.tell(release.App, "Nothing runs yet: start it with `slipway ps scale <type>=1`\n")
	case len(hosts) > 0:
		c.tell(release.App, "       %s\n", c.options.URL(hosts[0]))
	}
	return nil
}
