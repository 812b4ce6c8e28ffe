package controller

import (
	"context"
	"errors"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// A lane makes one app true, one step at a time. Its goroutine lives while
// there is something to do and leaves when there is not, so that an idle app
// costs nothing.
type lane struct {
	wanted bool // somebody called wake since the last pass began
	// looked are called when a pass is over, or goes on to what takes time.
	looked []func()
}

// retryPause is how long a lane waits after a pass that failed.
const retryPause = time.Second

// wake has the app's lane look again. It never blocks.
func (c *Controller) wake(app string) { c.wakeThen(app, nil) }

// wakeThen is wake, and looked is called, if not nil, when the lane has looked.
func (c *Controller) wakeThen(app string, looked func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	l, runs := c.lanes[app]
	if !runs {
		l = &lane{}
		c.lanes[app] = l
		c.running.Go(func() { c.runLane(app, l) })
	}
	l.wanted = true
	if looked != nil {
		l.looked = append(l.looked, looked)
	}
}

// tellLooked calls those who wait for the lane to have looked.
func (c *Controller) tellLooked(l *lane) {
	c.mu.Lock()
	waiting := l.looked
	l.looked = nil
	c.mu.Unlock()
	for _, looked := range waiting {
		looked()
	}
}

func (c *Controller) runLane(app string, l *lane) {
	for c.nextPass(app, l) {
		err := c.reconcile(c.work, app, func() { c.tellLooked(l) })
		c.tellLooked(l)
		switch {
		case err == nil:
			c.said(app)
		case c.work.Err() == nil:
			c.log.Warn("reconcile failed", "app", app, "err", err)
			select {
			case <-time.After(retryPause):
			case <-c.work.Done():
			}
			c.wake(app)
		}
		c.notices.publish(app)
	}
}

// said takes note that the app is as its rows say. When that holds of every
// app there was at the start, nodes may stop what belongs to none.
func (c *Controller) said(app string) {
	c.mu.Lock()
	_, first := c.unsaid[app]
	delete(c.unsaid, app)
	all := first && len(c.unsaid) == 0
	c.mu.Unlock()
	if all {
		c.fleet.Settled()
	}
}

// nextPass reports whether the lane shall look again, and takes it down when not.
func (c *Controller) nextPass(app string, l *lane) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !l.wanted || c.work.Err() != nil {
		delete(c.lanes, app)
		return false
	}
	l.wanted = false
	return true
}

// reconcile makes the app what its rows say. It is level-triggered: what is
// true already costs a look. It calls looked before it does what takes time.
func (c *Controller) reconcile(ctx context.Context, app string, looked func()) error {
	wish, err := c.wish(ctx, app)
	if errors.Is(err, platform.ErrNotFound) {
		looked()
		return c.leave(ctx, app)
	}
	switch {
	case err != nil:
		return err
	case wish.app.RenamedFrom != "":
		looked()
		return c.carryRename(ctx, wish)
	case wish.next != nil:
		looked()
		return c.rollout(ctx, wish)
	}
	if err := c.scheduler.Apply(ctx, c.workload(wish.app, wish.current)); err != nil {
		return err
	}
	serving := 0
	if wish.current.hasBuild() {
		serving = wish.current.release.Version
	}
	if _, _, err = c.shiftRoute(ctx, app, serving); err != nil {
		return err
	}
	return c.forget(ctx, wish)
}

// wish is what an app's rows ask for.
type wish struct {
	app platform.App
	// current is the release that serves, nil before the first.
	current *deployable
	// next is the oldest release that has not come to its end.
	next *deployable
	// strategy is how requests are led to it.
	strategy platform.Strategy
	// forgotten are volumes of the app whose data shall go.
	forgotten []string
}

// deployable is a release with what it is made of.
type deployable struct {
	release platform.Release
	config  platform.Config
	build   platform.Build // zero when the release has none
	app     string         // uuid of its app
	// addressed are the process types that services and matches of the app name.
	addressed map[string]bool
	// ports are those of its process types that ports of the edge lead to.
	ports map[string][]int
}

func (d *deployable) hasBuild() bool { return d != nil && d.release.Build != "" }

func (c *Controller) wish(ctx context.Context, id string) (wish, error) {
	var w wish
	err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
		if w.app, err = tx.App(id); err != nil {
			return err
		}
		if w.current, err = currentDeployable(tx, id); err != nil {
			return err
		}
		if w.forgotten, err = tx.ForgottenVolumes(w.app.UUID); err != nil {
			return err
		}
		if w.strategy, err = tx.Strategy(id); err != nil {
			return err
		}
		unfinished, err := tx.UnfinishedReleases(id)
		if err != nil || len(unfinished) == 0 {
			return err
		}
		w.next, err = loadDeployable(tx, unfinished[0])
		return err
	})
	return w, err
}

// currentDeployable is the release that serves, or nil.
func currentDeployable(tx *store.Tx, app string) (*deployable, error) {
	release, err := tx.CurrentRelease(app)
	if errors.Is(err, platform.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return loadDeployable(tx, release)
}

func loadDeployable(tx *store.Tx, release platform.Release) (*deployable, error) {
	app, err := tx.App(release.App)
	if err != nil {
		return nil, err
	}
	d := &deployable{release: release, app: app.UUID}
	if d.config, err = tx.Config(release.Config); err != nil {
		return nil, err
	}
	if release.Build != "" {
		if d.build, err = tx.Build(release.App, release.Build); err != nil {
			return nil, err
		}
	}
	services, err := tx.Services(release.App)
	if err != nil {
		return d, err
	}
	edge, err := tx.Edge(release.App)
	if err != nil {
		return d, err
	}
	d.addressed = addressedBy(services, edge)
	ports, err := tx.Ports(release.App)
	d.ports = portsBy(ports)
	return d, err
}

// leave takes away what is left of an id that no app has, unless an app that
// is being renamed still runs by it: then it wakes that one, for what changed
// may be what it waits for. Since the lane looked an app may have got the id, or
// its old one back. So it looks again, in a transaction that marks the id: from
// then on nobody gets it.
func (c *Controller) leave(ctx context.Context, app string) error {
	var heir string
	var taken bool
	err := c.store.Write(ctx, func(tx *store.Tx) (err error) {
		if _, err = tx.App(app); !errors.Is(err, platform.ErrNotFound) {
			taken = err == nil
			return err
		}
		taken = false
		if heir, err = tx.AppRenamedFrom(app); errors.Is(err, platform.ErrNotFound) {
			c.mark(true, app)
			heir, err = "", nil
		}
		return err
	})
	switch {
	case err != nil || taken: // whoever took it wakes the lane
		return err
	case heir == "":
		return c.sweep(ctx, app)
	}
	c.notices.publish(heir)
	c.wake(heir)
	return nil
}

// sweep takes away what is left of an app that has no row any more.
func (c *Controller) sweep(ctx context.Context, app string) error {
	// Before the nodes have said what runs, an empty list means nothing.
	if err := c.fleet.WaitSynced(ctx); err != nil {
		return err
	}
	if err := c.scheduler.Remove(ctx, app); err != nil {
		return err
	}
	if _, err := c.fleet.Remove(app); err != nil {
		return err
	}
	c.certify(ctx, app, false)
	if err := c.RefreshEdge(ctx); err != nil { // its domains had certificates
		return err
	}
	instances, err := c.scheduler.Instances(ctx, app)
	if err != nil || len(instances) > 0 {
		return err // woken again as they leave
	}
	if err := c.forgetAll(ctx, app); err != nil {
		return err
	}
	if err := c.logs.Remove(app); err != nil {
		return err
	}
	if err := c.removeSources(ctx, app, ""); err != nil {
		return err
	}
	c.options.Destroyed(app)
	c.mark(false, app)
	return nil
}

// await blocks until done reports true, looking again at every notice of the
// app and at every tick, if any. It returns ctx's error when that ends first.
func (c *Controller) await(ctx context.Context, app string, tick <-chan time.Time, done func() (bool, error)) error {
	notice, end := c.notices.subscribe(app)
	defer end()
	for {
		ok, err := done()
		if err != nil || ok {
			return err
		}
		select {
		case <-notice:
		case <-tick:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.work.Done():
			return platform.ErrUnavailable
		}
	}
}

// outcome blocks until the release has come to its end, or its cutover waits
// for somebody or for long, and returns it; its error is the release's own
// failure, or ctx's.
func (c *Controller) outcome(ctx context.Context, app string, version int) (platform.Release, error) {
	var release platform.Release
	left := false
	err := c.await(ctx, app, nil, func() (bool, error) {
		err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
			if release, err = tx.Release(app, version); err == nil && !release.State.Done() {
				left, err = waitsLong(tx, release)
			}
			return err
		})
		return left || release.State.Done(), err
	})
	if err == nil && release.State == platform.ReleaseFailed {
		err = &platform.UserError{Kind: platform.ErrInvalid, Message: "(app::deploy): " + release.Exception}
	}
	return release, err
}
