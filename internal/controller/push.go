package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
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
	if err := c.mayPush(ctx, caller, app); err != nil {
		return err
	}
	done, err := c.lockPush(app)
	if err != nil {
		return err
	}
	return c.onward(ctx, func(ctx context.Context) error {
		defer done()
		return c.push(ctx, caller, app, src, out)
	})
}

// onward runs the work of a verb, which goes on when ctx ends.
func (c *Controller) onward(ctx context.Context, work func(context.Context) error) error {
	result := make(chan error, 1)
	if !c.goRun(func() { result <- work(c.work) }) {
		return fmt.Errorf("slipway is stopping: %w", platform.ErrUnavailable)
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mayPush is Authorize for the push itself. The repository of an app that is
// being renamed moves, so that a push would keep it from moving.
func (c *Controller) mayPush(ctx context.Context, caller platform.Caller, app string) error {
	return c.store.Read(ctx, func(tx *store.Tx) error {
		a, err := may(tx, caller, app, platform.RoleDeployer)
		if err == nil && a.RenamedFrom != "" {
			err = &platform.UserError{Kind: platform.ErrBusy, Message: "The app is being renamed; push again in a moment"}
		}
		return err
	})
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
	started := time.Now()
	result, err := c.buildSource(ctx, app, src, out)
	if err != nil {
		return c.userBuildError(app, platform.AsOverQuota(err))
	}
	stop := c.progress.listen(app, out)
	defer stop()
	c.tell(app, "Build complete.\nLaunching App...\n")
	release, err := c.releaseBuild(ctx, caller, app, src, result, started)
	if err != nil {
		return err
	}
	release, err = c.outcome(ctx, app, release.Version)
	if err != nil {
		return err
	}
	if !release.State.Done() {
		return nil // the cutover has said that it goes on by itself
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
	return c.build(ctx, builder.Request{App: app, Build: uuid.NewString(), Source: kept, Env: config.Env(), Registry: config.Registry, Output: lines})
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
func (c *Controller) releaseBuild(ctx context.Context, caller platform.Caller, app string, src platform.Source, result builder.Result, started time.Time) (platform.Release, error) {
	now := time.Now().Truncate(time.Microsecond).UTC() // builds are listed by it
	build := platform.Build{
		UUID: uuid.NewString(), App: app, Owner: caller.User,
		Image: result.Image, Kind: result.Kind, Stack: result.Stack, Ports: result.Ports, Size: result.Size,
		SHA: src.Commit[:min(8, len(src.Commit))], Procfile: result.Procfile, Created: now, Updated: now,
	}
	if result.Kind == platform.ImageDockerfile {
		build.Dockerfile = "true"
	}
	for {
		release, err := c.newRelease(ctx, caller, app, platform.RoleDeployer, func(tx *store.Tx, current *deployable) (platform.Release, error) {
			return insertBuild(tx, caller, current, build)
		})
		if !errors.Is(err, platform.ErrBusy) {
			if err == nil {
				c.noteBuild(build, release)
				c.attest(build, c.originOf(build, src, result, started))
			}
			return release, err
		}
		if err := c.awaitIdle(ctx, app); err != nil {
			return platform.Release{}, err
		}
	}
}

// insertBuild writes a build with its event, and makes the release of it.
func insertBuild(tx *store.Tx, caller platform.Caller, current *deployable, build platform.Build) (platform.Release, error) {
	if err := tx.InsertBuild(build); err != nil {
		return platform.Release{}, err
	}
	if err := firstFormation(tx, build.App, current, build); err != nil {
		return platform.Release{}, err
	}
	release := platform.Release{Config: current.release.Config, Build: build.UUID, Summary: buildSummary(caller.User, build)}
	return release, tx.InsertEvent(event(caller, "build.created", build.App, map[string]string{"build": build.UUID, "image": build.Image, "sha": build.SHA}))
}

func (c *Controller) noteBuild(build platform.Build, release platform.Release) {
	c.note(build.App, "INFO build %s-%s created", build.App, short(build.UUID))
	c.note(build.App, "INFO %s", release.Summary)
}

func buildSummary(user string, build platform.Build) string {
	if build.SHA == "" {
		return user + " deployed " + cmp.Or(build.Source, build.Image)
	}
	return user + " deployed " + build.SHA[:min(7, len(build.SHA))]
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
	case !slices.ContainsFunc(slices.Collect(maps.Values(formation)), func(n int) bool { return n > 0 }):
		c.tell(release.App, "Nothing runs yet: start it with `slipway ps scale <type>=1`\n")
	case len(hosts) > 0:
		c.tell(release.App, "       %s\n", c.options.URL(hosts[0]))
	}
	return nil
}
