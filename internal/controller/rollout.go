package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// errInterrupted ends a rollout that may not be carried on after a crash.
var errInterrupted = errors.New("slipway stopped while the release process ran; it may have run in part. Look at its log, then deploy again")

// rollout takes the app's oldest unfinished release to its end: succeeded and
// serving alone, or failed with the former release serving as before. Each
// step finds out what is already so, so that a rollout cut by a crash is
// carried on by calling rollout again. It returns an error only when the
// release has not come to its end; a release that failed is an end.
func (c *Controller) rollout(ctx context.Context, w wish) error {
	if !w.next.hasBuild() {
		return c.succeed(ctx, w, nil)
	}
	receipt, err := c.deploy(ctx, w)
	if ctx.Err() != nil {
		return ctx.Err() // stopped, not failed: carried on at the next start
	}
	if err != nil {
		return c.fail(ctx, w, receipt, err)
	}
	return c.succeed(ctx, w, receipt)
}

// deploy runs the release process, starts the new instances beside the old, or
// in their place where they cannot run beside, and shifts the traffic.
func (c *Controller) deploy(ctx context.Context, w wish) (*platform.Receipt, error) {
	if err := c.awaitNode(ctx, w.next); err != nil {
		return nil, err
	}
	if err := c.releasePhase(ctx, w.next); err != nil {
		return nil, err
	}
	h := c.handoverOf(w)
	steps, err := c.stepsOf(ctx, w, h)
	if err != nil {
		return nil, err
	}
	if !c.begun(w.app.ID, h) {
		if err := c.startBeside(ctx, w, h, steps); err != nil {
			return nil, err
		}
	}
	if len(h.heirs) > 0 {
		if err := c.handOver(ctx, w, h); err != nil {
			return nil, err
		}
	}
	return c.cutover(ctx, w, steps)
}

// startBeside starts the next release's instances, as many of them as its
// cutover begins with, and returns when they are up.
func (c *Controller) startBeside(ctx context.Context, w wish, h handover, steps *steps) error {
	groups := steps.starting(without(c.nextGroups(w), h.heirs))
	work := c.workload(w.app, w.current)
	work.Groups = append(work.Groups, groups...)
	if err := c.scheduler.Apply(ctx, work); err != nil {
		return err
	}
	return c.awaitUp(ctx, w, groups)
}

// awaitNode blocks until a node has said what it runs: there is none to deploy
// to before, and after a restart of the platform none to compare with.
func (c *Controller) awaitNode(ctx context.Context, d *deployable) error {
	ctx, cancel := context.WithTimeout(ctx, c.deployTimeout(d))
	defer cancel()
	return c.fleet.WaitSynced(ctx)
}

// nextGroups are the groups of the release that is rolled out.
func (c *Controller) nextGroups(w wish) []platform.Group {
	app := w.app
	app.Formation = nextFormation(app.Formation, w.current, w.next)
	return c.groups(app, w.next)
}

// releasePhase runs the Procfile's release process, once: a crash while it
// runs fails the release, since half a migration may not be run again unseen.
func (c *Controller) releasePhase(ctx context.Context, d *deployable) error {
	command, has := d.build.Procfile[platform.ProcessRelease]
	switch {
	case d.release.State == platform.ReleaseRunning:
		return errInterrupted
	case d.release.State == platform.ReleaseDeploying:
		return nil
	case has:
		if err := c.advance(ctx, d, platform.ReleaseRunning); err != nil {
			return err
		}
		if err := c.runReleaseProcess(ctx, d, command); err != nil {
			return err
		}
	}
	return c.advance(ctx, d, platform.ReleaseDeploying)
}

func (c *Controller) runReleaseProcess(ctx context.Context, d *deployable, command string) error {
	app := d.release.App
	c.tell(app, "-----> Running release process: %s\n", command)
	out := c.releaseOutput(app)
	defer out.Close()
	exit, err := c.scheduler.Run(ctx, oneOff(d, c.spec(d, platform.ProcessRelease)), platform.IO{Stdout: out, Stderr: out})
	if err != nil {
		return fmt.Errorf("release process: %w", err)
	}
	if exit != 0 {
		return fmt.Errorf("the release process exited with code %d; no traffic was shifted. Its output is above and in `slipway logs`", exit)
	}
	return nil
}

// releaseOutput shows what a release process prints, and keeps it in the log.
func (c *Controller) releaseOutput(app string) io.WriteCloser {
	return newLineWriter(func(line string) {
		c.tell(app, "       %s\n", line)
		c.logs.Append(app, platform.LogLine{At: time.Now(), App: app, Source: platform.LogApp, Process: platform.ProcessRelease, Text: line})
	})
}

// advance writes the release's next state.
func (c *Controller) advance(ctx context.Context, d *deployable, state platform.ReleaseState) error {
	d.release.State = state
	d.release.Updated = time.Now()
	return c.store.Write(ctx, func(tx *store.Tx) error { return tx.UpdateRelease(d.release) })
}

// awaitUp blocks until the groups of the new release are up. It fails as soon as
// one cannot come up, and says why, or when the release is not wanted any more.
func (c *Controller) awaitUp(ctx context.Context, w wish, groups []platform.Group) error {
	return c.awaitGroups(ctx, w.next, groups, func(ctx context.Context) error { return c.wanted(ctx, w.next.release) })
}

// startGrace is how long an instance may be one that cannot start: what kept it
// from that may be that the platform was away a moment ago, with its registry.
const startGrace = 2 * time.Second

// startError says that an instance cannot start, as far as its node knows.
type startError struct{ instance, message string }

func (e *startError) Error() string { return e.instance + " cannot start: " + e.message }

// awaitGroups blocks until the groups of d are up. It looks after a route that
// holds, so that requests wait no longer than need be, and fails when wanted
// does; nil: they are wanted.
func (c *Controller) awaitGroups(ctx context.Context, d *deployable, groups []platform.Group, wanted func(context.Context) error) error {
	if len(groups) == 0 {
		return nil
	}
	app := d.release.App
	c.tell(app, "-----> Starting %s\n", formationOf(groups))
	ctx, cancel := context.WithTimeout(ctx, c.deployTimeout(d))
	defer cancel()
	begun := time.Now()
	tick := time.NewTicker(startGrace / 4)
	defer tick.Stop()
	var pending error
	err := c.await(ctx, app, tick.C, func() (up bool, err error) {
		if wanted != nil {
			if err := wanted(ctx); err != nil {
				return false, err
			}
		}
		if err := c.refreshHeld(ctx, app); err != nil {
			return false, err
		}
		instances, err := c.scheduler.Instances(ctx, app)
		if err != nil {
			return false, err
		}
		pending, err = readiness(groups, instances)
		if errors.As(err, new(*startError)) && time.Since(begun) < startGrace {
			return false, nil
		}
		return pending == nil, err
	})
	if errors.Is(err, context.DeadlineExceeded) && pending != nil {
		return fmt.Errorf("%w after %s", pending, c.deployTimeout(d))
	}
	return err
}

// wanted returns an error when the release's app was destroyed meanwhile, or a
// rollback was asked for that shall not wait for it.
func (c *Controller) wanted(ctx context.Context, r platform.Release) error {
	return c.store.Read(ctx, func(tx *store.Tx) error {
		if _, err := tx.Release(r.App, r.Version); err != nil {
			return err
		}
		unfinished, err := tx.UnfinishedReleases(r.App)
		if err != nil {
			return err
		}
		for _, other := range unfinished {
			if other.Version > r.Version {
				return fmt.Errorf("%s took its place", other.Tag())
			}
		}
		return nil
	})
}

func formationOf(groups []platform.Group) string {
	formation := make(map[string]int)
	for _, group := range groups {
		formation[group.Process] = group.Quantity
	}
	return platform.FormationText(formation)
}

// readiness compares instances with the groups that shall be up. pending says
// what is still missing; err says what will not come up by waiting.
func readiness(groups []platform.Group, instances []platform.Instance) (pending, err error) {
	for _, group := range groups {
		up, why := 0, ""
		for _, instance := range instances {
			if instance.Release != group.Release || instance.Process != group.Process {
				continue
			}
			switch {
			case instance.State == platform.InstanceUp:
				up++
			case instance.State == platform.InstanceError:
				return nil, &startError{instance.ID, instance.Message}
			case instance.CrashLoop:
				return nil, fmt.Errorf("%s crashes again and again: %s", instance.ID, instance.Message)
			case instance.Message != "":
				why = ": " + instance.Message
			}
		}
		if up < group.Quantity && pending == nil {
			pending = fmt.Errorf("only %d of %d %s are up%s", up, group.Quantity, group.Process, why)
		}
	}
	return pending, nil
}

// succeed ends the rollout well: the row first, then the old instances go. A
// crash in between leaves old instances that the next pass takes away.
func (c *Controller) succeed(ctx context.Context, w wish, receipt *platform.Receipt) error {
	release := w.next.release
	release.State, release.Receipt, release.Updated = platform.ReleaseSucceeded, receipt, time.Now()
	if receipt != nil { // before the row, with which the story ends
		c.tell(release.App, "-----> Cutover to %s: %s\n", release.Tag(), receipt)
	}
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		if err := errors.Join(tx.UpdateRelease(release), tx.DeleteCutover(release.App)); err != nil {
			return err
		}
		if err := takeFormation(tx, w); err != nil {
			return err
		}
		return tx.InsertEvent(event(platform.Caller{User: release.Owner}, "release.succeeded", release.App, map[string]string{"release": release.Tag()}))
	})
	if err != nil {
		return err
	}
	c.note(release.App, "INFO release %s deployed", release.Tag())
	c.wake(release.App)
	return nil
}

// takeFormation gives the app the formation its new release runs with.
func takeFormation(tx *store.Tx, w wish) error {
	app, err := tx.App(w.app.ID)
	if err != nil {
		return err
	}
	after := nextFormation(app.Formation, w.current, w.next)
	if maps.Equal(after, app.Formation) {
		return nil
	}
	return tx.SetFormation(app.ID, after)
}

// fail ends the rollout badly: the former release serves as before.
func (c *Controller) fail(ctx context.Context, w wish, receipt *platform.Receipt, cause error) error {
	release := w.next.release
	release.State, release.Receipt, release.Updated = platform.ReleaseFailed, receipt, time.Now()
	release.Exception = deployFault(release, w.current, cause)
	release.Summary = failedSummary(w)
	// The route first: were the row first, a crash would leave requests on
	// instances that nobody wants. The other way round the release is rolled
	// out once more.
	if now := c.fleet.Route(release.App); now != nil && now.Release == release.Version {
		former := 0
		if w.current.hasBuild() {
			former = w.current.release.Version
		}
		if _, _, err := c.shiftRoute(ctx, release.App, former); err != nil {
			return err
		}
	}
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		if err := errors.Join(tx.UpdateRelease(release), tx.DeleteCutover(release.App)); err != nil {
			return err
		}
		return tx.InsertEvent(event(platform.Caller{User: release.Owner}, "release.failed", release.App, map[string]string{"release": release.Tag(), "cause": release.Exception}))
	})
	if err != nil {
		return err
	}
	c.note(release.App, "ERROR (app::deploy): %s failed: %s", release.Tag(), release.Exception)
	c.wake(release.App)
	return nil
}

// failedSummary rewords the ledger's line (Deis contract 5).
func failedSummary(w wish) string {
	d := w.next
	user := d.release.Owner
	switch {
	case strings.HasPrefix(d.release.Summary, user+" rolled back to "):
		if w.current != nil {
			user = w.current.release.Owner
		}
		return user + " performed roll back to a release that failed"
	case d.hasBuild() && d.release.Summary == buildSummary(user, d.build):
		return failedBuild(user, d.build)
	}
	return user + " deployed a config that failed"
}

func failedBuild(user string, build platform.Build) string {
	return fmt.Sprintf("%s deployed %s which failed", user, short(build.UUID))
}

// deployFault words why a release failed (Deis contract 2.4).
func deployFault(release platform.Release, current *deployable, cause error) string {
	if !current.hasBuild() {
		return cause.Error()
	}
	return fmt.Sprintf("There was a problem deploying %s. Rolling back process types to release %s.\n%s",
		release.Tag(), current.release.Tag(), cause)
}

// tell adds to the story the user of a push is reading.
func (c *Controller) tell(app, format string, args ...any) {
	c.progress.write(app, fmt.Sprintf(format, args...))
}
