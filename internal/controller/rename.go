package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/blobs"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// A rename is one transaction that gives every row the new id and notes the
// old one in apps.renamed_from; the lane of the new id does the rest. Until the
// note is gone the app's instances and route are those of the old id, which
// lead the hosts of the new rows; then there is nothing of the old id but
// instances on their way out, as of a destroyed app. Each step finds out what
// is already so, and a crash at any point is carried on by taking them again.

// Rename gives the app another id without dropping a request, and returns it
// once its instances run under the new one. The default domain changes with
// it, custom domains serve all the way. ErrBusy while a push or a release is
// under way. When the instances do not come up under the new id, for an app
// may mind its name, the app gets its old one back and the error says why.
func (c *Controller) Rename(ctx context.Context, caller platform.Caller, app, id string) (platform.App, error) {
	if id == app {
		return c.owned(ctx, caller, app)
	}
	if err := c.freeID(ctx, caller, id); err != nil {
		return platform.App{}, err
	}
	unlock, err := c.lockPush(app)
	if err != nil {
		return platform.App{}, err
	}
	err = c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		a, err := may(tx, caller, app, platform.RoleOwner)
		if err != nil {
			return err
		}
		if err := errors.Join(idle(tx, a), c.left(tx, id)); err != nil {
			return err
		}
		if err := c.nothingUnder(tx, caller, id); err != nil {
			return err
		}
		if err := tx.RenameApp(app, id); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "app.renamed", id, map[string]string{"from": app, "to": id}))
	})
	unlock()
	if err != nil {
		return platform.App{}, err
	}
	c.recertifyRenamed(ctx, app, id)
	c.wake(id)
	if err := c.recron(context.WithoutCancel(ctx), app, id); err != nil {
		return platform.App{}, err
	}
	return c.renamed(ctx, caller, app, id)
}

// owned is the app for its owner.
func (c *Controller) owned(ctx context.Context, caller platform.Caller, app string) (platform.App, error) {
	return read(ctx, c, caller, app, platform.RoleOwner, func(_ *store.Tx, a platform.App) (platform.App, error) { return a, nil })
}

// left refuses an id of which something is left. What freeID has seen may have
// changed since, and only in a transaction is there no gap between an app that
// leaves the id and the instances that it leaves behind.
func (c *Controller) left(tx *store.Tx, id string) error {
	_, err := tx.AppRenamedFrom(id)
	switch {
	case err == nil:
		return platform.Invalid("id", "An application is leaving this id; try again in a moment.")
	case !errors.Is(err, platform.ErrNotFound):
		return err
	case c.isDestroying(id):
		return stillLeaving(id)
	}
	return nil
}

func stillLeaving(id string) error {
	return &platform.UserError{Kind: platform.ErrUnavailable, Message: fmt.Sprintf("the last instances of the %s of before are still leaving; try again in a moment", id)}
}

// renamed blocks until the rename has come to its end, and says which.
func (c *Controller) renamed(ctx context.Context, caller platform.Caller, old, id string) (platform.App, error) {
	var now platform.App
	err := c.await(ctx, id, nil, func() (bool, error) {
		err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
			if now, err = tx.App(id); errors.Is(err, platform.ErrNotFound) {
				now, err = tx.App(old)
			}
			return err
		})
		return now.RenamedFrom == "", err
	})
	switch {
	case err != nil:
		return platform.App{}, err
	case now.ID == old:
		return platform.App{}, &platform.UserError{
			Kind:    platform.ErrUnavailable,
			Message: fmt.Sprintf("(rename): %s did not come up as %s and keeps its name; its log says why", old, id),
		}
	}
	c.note(id, "INFO %s renamed %s to %s", caller.User, old, id)
	return now, nil
}

// carryRename takes a rename to its end.
func (c *Controller) carryRename(ctx context.Context, w wish) error {
	old, id := w.app.RenamedFrom, w.app.ID
	if err := c.follow(ctx, old, id); err != nil {
		return err
	}
	if err := c.standIn(ctx, old, id); err != nil {
		return err
	}
	if w.current.hasBuild() {
		if err := c.startRenamed(ctx, w); err != nil {
			return c.renameFailed(ctx, w, err)
		}
	}
	if err := c.leadOver(ctx, w); err != nil {
		return err
	}
	c.mark(true, old)
	if err := c.store.Write(ctx, func(tx *store.Tx) error { return tx.SetRenamedFrom(id, "") }); err != nil {
		c.mark(false, old)
		return err
	}
	c.wake(old) // sweeps
	c.wake(id)
	return nil
}

// startRenamed runs the app under its new id, beside the instances of the old
// one. Those that have volumes end first, while their requests wait.
func (c *Controller) startRenamed(ctx context.Context, w wish) error {
	groups := c.groups(w.app, w.current)
	heirs, free := mounting(groups)
	if len(heirs) > 0 && !c.begun(w.app.ID, handover{heirs: heirs}) {
		if err := c.scheduler.Apply(ctx, platform.Workload{App: w.app.ID, Groups: free}); err != nil {
			return err
		}
		if err := c.awaitGroups(ctx, w.current, free, c.renaming(w)); err != nil {
			return err
		}
	}
	if len(heirs) > 0 {
		if err := c.holdRoute(ctx, w.app.RenamedFrom); err != nil {
			return err
		}
	}
	if err := c.scheduler.Apply(ctx, c.workload(w.app, w.current)); err != nil {
		return err
	}
	if len(heirs) > 0 {
		// The nodes take the two one after the other: the one who waits first.
		former := c.formerly(w)
		former.Groups = without(former.Groups, heirs)
		if err := c.scheduler.Apply(ctx, former); err != nil {
			return err
		}
	}
	return c.awaitGroups(ctx, w.current, groups, c.renaming(w))
}

// mounting parts the groups that mount volumes from those that mount none.
func mounting(groups []platform.Group) (with, none []platform.Group) {
	for _, group := range groups {
		if len(group.Spec.Mounts) > 0 {
			with = append(with, group)
		} else {
			none = append(none, group)
		}
	}
	return with, none
}

// formerly is what ran of an app that is being renamed, under its old id.
func (c *Controller) formerly(w wish) platform.Workload {
	app, current := w.app, *w.current
	app.ID, current.release.App = w.app.RenamedFrom, w.app.RenamedFrom
	// Its image followed the app to a repository of the new id.
	if rest, own := strings.CutPrefix(current.build.Image, w.app.ID); own && strings.IndexAny(rest, "@/") == 0 {
		current.build.Image = app.ID + rest
	}
	return platform.Workload{App: app.ID, Groups: c.groups(app, &current)}
}

// renaming fails when the app of a rename is destroyed meanwhile.
func (c *Controller) renaming(w wish) func(context.Context) error {
	return func(ctx context.Context) error { return c.wanted(ctx, w.current.release) }
}

// volumesBack has the instances that have volumes run under the old id again,
// as long as the rename is not given up.
func (c *Controller) volumesBack(ctx context.Context, w wish) error {
	heirs, free := mounting(c.groups(w.app, w.current))
	if len(heirs) == 0 || c.renaming(w)(ctx) != nil {
		return nil
	}
	if err := c.scheduler.Apply(ctx, platform.Workload{App: w.app.ID, Groups: free}); err != nil {
		return err
	}
	former := c.formerly(w)
	if err := c.scheduler.Apply(ctx, former); err != nil {
		return err
	}
	current := *w.current
	current.release.App = former.App
	return c.awaitGroups(ctx, &current, former.Groups, nil)
}

// follow brings what is kept by an app's id under the new one.
func (c *Controller) follow(ctx context.Context, old, id string) error {
	if err := c.logs.Rename(old, id); err != nil {
		return err
	}
	if err := c.moveSources(ctx, old, id); err != nil {
		return err
	}
	return c.options.Renamed(old, id)
}

func (c *Controller) moveSources(ctx context.Context, old, id string) error {
	for source, err := range c.blobs.List(ctx, path.Join("sources", old)+"/") {
		if err != nil {
			return err
		}
		commit := strings.TrimSuffix(path.Base(source.Key), ".tar")
		if err := c.moveSource(ctx, source.Key, sourceKey(id, commit)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Controller) moveSource(ctx context.Context, from, to string) error {
	tree, err := c.blobs.Get(ctx, from)
	if errors.Is(err, blobs.ErrMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	err = c.blobs.Put(ctx, to, io.Reader(tree))
	if err = errors.Join(err, tree.Close()); err != nil {
		return err
	}
	return unless(c.blobs.Delete(ctx, from), blobs.ErrMissing)
}

// standIn has the old id's route lead the hosts that the app has now.
func (c *Controller) standIn(ctx context.Context, old, id string) error {
	defer c.lockRoute(old)()
	now := c.fleet.Route(old)
	if now == nil || c.fleet.Route(id) != nil {
		return nil
	}
	var hosts []string
	err := c.store.Read(ctx, func(tx *store.Tx) error {
		app, err := tx.App(id)
		if err == nil && app.RenamedFrom == old {
			hosts, err = c.hosts(tx, id)
		}
		return unless(err, platform.ErrNotFound)
	})
	if err != nil || hosts == nil {
		return err // it has its old id back already, or has arrived
	}
	route := *now
	route.App = old
	if len(now.Hosts) > 0 { // else the app is not routable
		route.Hosts = hosts
	}
	_, err = c.fleet.SetRoute(old, &route)
	return err
}

// leadOver takes the hosts from the old id's route to the new one's. The new
// one comes first: a router that finds a host in both leads to either, and
// both serve.
func (c *Controller) leadOver(ctx context.Context, w wish) error {
	serving := 0
	if w.current.hasBuild() {
		serving = w.current.release.Version
	}
	_, version, err := c.shiftRoute(ctx, w.app.ID, serving)
	if err != nil {
		return err
	}
	if serving > 0 {
		if err := c.acked(ctx, w.app.ID, version); err != nil {
			return err
		}
	}
	old := w.app.RenamedFrom
	defer c.lockRoute(old)()
	now := c.fleet.Route(old)
	if now == nil {
		return nil
	}
	// Without hosts, but for the requests that have found their way by them.
	route := *now
	route.Hosts, route.TCP, route.Hold = nil, nil, false
	if version, err = c.fleet.SetRoute(old, &route); err != nil || serving == 0 {
		return err
	}
	return c.acked(ctx, old, version)
}

// renameFailed gives the app its old id back if it is well there: the same
// rename, the other way round. Else nothing is won by that, and the lane tries
// on.
func (c *Controller) renameFailed(ctx context.Context, w wish, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	old, id := w.app.RenamedFrom, w.app.ID
	if err := c.volumesBack(ctx, w); err != nil {
		return errors.Join(cause, err)
	}
	instances, err := c.scheduler.Instances(ctx, old)
	if err != nil {
		return err
	}
	if pending, ill := readiness(c.groups(w.app, w.current), instances); pending != nil || ill != nil {
		return fmt.Errorf("rename %s to %s: %w", old, id, cause)
	}
	err = c.store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.RenameApp(id, old); err != nil {
			return err
		}
		attrs := map[string]string{"from": id, "to": old, "cause": cause.Error()}
		return tx.InsertEvent(event(platform.System, "app.renamed", old, attrs))
	})
	if err != nil {
		return err
	}
	c.mark(false, old) // as a start in the middle found it
	c.note(id, "ERROR (rename): %s did not come up as %s and keeps its name: %s", old, id, cause)
	c.recertifyRenamed(ctx, id, old)
	c.wake(old)
	return c.recron(ctx, id, old)
}

// recertifyRenamed has the certificates wanted by the new id, then not by the
// old: those of custom domains are at no moment nobody's.
func (c *Controller) recertifyRenamed(ctx context.Context, old, id string) {
	c.certify(ctx, id, false)
	c.certify(ctx, old, false)
}

// ledByFormer reports whether an app is being renamed, so that its requests are
// still led by the route of its old id.
func (c *Controller) ledByFormer(ctx context.Context, app string) (led bool, err error) {
	err = c.store.Read(ctx, func(tx *store.Tx) error {
		a, err := tx.App(app)
		led = a.RenamedFrom != ""
		return err
	})
	return led, unless(err, platform.ErrNotFound)
}

// freeID checks an id that the caller's app shall get, but for whether a row has
// it: that of the app for all hosts that no app has is the operator's word. It
// blocks while the last instances of an app that had it before are leaving, as
// after a rename, for as long as DestroyApp does.
func (c *Controller) freeID(ctx context.Context, caller platform.Caller, id string) error {
	if err := platform.ValidAppID(id); err != nil {
		return err
	}
	if slices.Contains(c.options.Reserved, id) {
		return platform.Invalid("id", "%s is a reserved name.", id)
	}
	if id == c.options.DefaultApp && !caller.Admin {
		return platform.Invalid("id", "%s gets the requests for hosts that no app has; an administrator may give this id.", id)
	}
	err := c.awaitGone(ctx, id)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return stillLeaving(id)
	}
	return err
}
