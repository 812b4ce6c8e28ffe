package controller

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// A volume has one writer, so an instance that mounts one cannot begin beside
// the instance that has it. Such a rollout is a hand-over: what can run side by
// side does, as in any other; then the route holds, so that requests wait while
// nobody is up; then one wish takes the old instance away and asks for the new
// one. The node, which knows best, prepares the new one, has the old one finish
// its requests and end, and begins the new one. Where that does not come up the
// old release's begins again, before the hold ends.
//
// Nothing of this is remembered but by the wish and by the route themselves, so
// that a hand-over cut by a crash is carried on by looking at both.

// handover is what of a rollout cannot run side by side.
type handover struct {
	givers []platform.Group // of the current release, which have volumes
	heirs  []platform.Group // of the next one, which shall have them
}

// handoverOf compares the two releases of a rollout.
func (c *Controller) handoverOf(w wish) handover {
	current, next := c.groups(w.app, w.current), c.nextGroups(w)
	return handover{givers: sharing(current, next), heirs: sharing(next, current)}
}

// sharing are the groups that share a volume with any of the others.
func sharing(groups, others []platform.Group) []platform.Group {
	return slices.DeleteFunc(slices.Clone(groups), func(group platform.Group) bool {
		return !slices.ContainsFunc(others, func(other platform.Group) bool {
			_, shared := platform.Shared(group.Spec, other.Spec)
			return shared
		})
	})
}

// without is groups without some.
func without(groups, some []platform.Group) []platform.Group {
	return slices.DeleteFunc(slices.Clone(groups), func(g platform.Group) bool {
		return slices.ContainsFunc(some, func(s platform.Group) bool { return s.Release == g.Release && s.Process == g.Process })
	})
}

// begun reports whether the heirs were asked for already.
func (c *Controller) begun(app string, h handover) bool {
	wanted, _ := c.fleet.Wanted(app)
	return slices.ContainsFunc(wanted, func(i platform.InstanceSpec) bool {
		return slices.ContainsFunc(h.heirs, func(g platform.Group) bool { return g.Release == i.Release && g.Process == i.Process })
	})
}

// handOver has the heirs take over from the givers and returns when they are
// up. When it fails the givers' release runs again as before.
func (c *Controller) handOver(ctx context.Context, w wish, h handover) error {
	err := c.takeOver(ctx, w, h)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return errors.Join(err, c.handBack(ctx, w, h))
}

func (c *Controller) takeOver(ctx context.Context, w wish, h handover) error {
	app := w.app.ID
	c.tell(app, "-----> Handing over %s\n", strings.Join(volumesOf(h.heirs), ", "))
	if err := c.holdRoute(ctx, app); err != nil {
		return err
	}
	if err := c.scheduler.Apply(ctx, c.takenOver(w, h)); err != nil {
		return err
	}
	if c.serves(app, h.givers) {
		// From here on its requests are the next release's, which the router
		// leads there as soon as it is up, whether or not we are.
		if _, _, err := c.shiftHeld(ctx, app, w.next.release.Version); err != nil {
			return err
		}
	}
	return c.awaitUp(ctx, w, h.heirs)
}

// takenOver asks for both releases but the givers.
func (c *Controller) takenOver(w wish, h handover) platform.Workload {
	groups := append(without(c.groups(w.app, w.current), h.givers), c.nextGroups(w)...)
	return platform.Workload{App: w.app.ID, Groups: groups}
}

// serves reports whether requests are led to any of the groups.
func (c *Controller) serves(app string, groups []platform.Group) bool {
	return c.fleet.Route(app) != nil && slices.ContainsFunc(groups, func(g platform.Group) bool { return reachable(g.Spec) })
}

// handBack has the current release's instances run again, and requests led to
// them, whatever became of the next one's.
func (c *Controller) handBack(ctx context.Context, w wish, h handover) error {
	app, former := w.app.ID, w.current.release
	if err := c.allow(ctx, platform.System, app, platform.RoleViewer); err != nil {
		return unless(err, platform.ErrNotFound) // destroyed meanwhile: nothing shall run
	}
	c.tell(app, "-----> Handing back to %s\n", former.Tag())
	if c.fleet.Route(app) != nil {
		if _, _, err := c.shiftHeld(ctx, app, former.Version); err != nil {
			return err
		}
	}
	if err := c.scheduler.Apply(ctx, c.workload(w.app, w.current)); err != nil {
		return err
	}
	if err := c.awaitGroups(ctx, w.current, h.givers, nil); err != nil {
		return err
	}
	if c.fleet.Route(app) == nil {
		return nil
	}
	_, version, err := c.shiftRoute(ctx, app, former.Version)
	if err != nil {
		return err
	}
	return c.acked(ctx, app, version)
}

// volumesOf names the volumes of groups.
func volumesOf(groups []platform.Group) []string {
	var names []string
	for _, group := range groups {
		for _, m := range group.Spec.Mounts {
			names = append(names, "volume "+m.Volume)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// holding says what becomes of a route's hold when it is written.
type holding int

const (
	holdAsIs    holding = iota // stays
	holdBegins                 // requests wait from now on while nobody is up
	holdUntilUp                // ends, unless those who take over are on their way
)

// holdRoute has the app's requests wait from now on while nobody is up, and
// returns when the routers know. An app without a route has nothing to hold.
func (c *Controller) holdRoute(ctx context.Context, app string) error {
	version, err := c.beginHold(app)
	if err != nil || version == 0 {
		return err
	}
	return c.acked(ctx, app, version)
}

func (c *Controller) beginHold(app string) (version int64, err error) {
	defer c.lockRoute(app)()
	now := c.fleet.Route(app)
	if now == nil {
		return 0, nil
	}
	route := *now
	route.Hold = true
	return c.fleet.SetRoute(app, &route)
}

// held reports whether a route goes on holding that did: while instances with
// volumes that requests are led to are on their way. One that cannot start, or
// crashes again and again, is not: who waits for it waits in vain.
func (c *Controller) held(app string, instances []platform.Instance, release int) bool {
	if c.isReplacing(app) {
		return true
	}
	seen := make(map[string]platform.Instance, len(instances))
	for _, i := range instances {
		seen[i.ID] = i
	}
	wanted, _ := c.fleet.Wanted(app)
	return slices.ContainsFunc(wanted, func(i platform.InstanceSpec) bool {
		now := seen[i.ID]
		return i.Release == release && reachable(i.Spec) && len(i.Spec.Mounts) > 0 &&
			now.State != platform.InstanceUp && now.State != platform.InstanceError && !now.CrashLoop
	})
}

// replacing marks an app whose route holds for instances that are about to be
// replaced, until done is called: from then on the wish itself tells.
func (c *Controller) replacing(app string) (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replaces[app]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.replaces[app]--; c.replaces[app] == 0 {
			delete(c.replaces, app)
		}
	}
}

func (c *Controller) isReplacing(app string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.replaces[app] > 0
}

// replace is the scheduler's Replace, with the app's requests waiting where an
// instance has to end before its replacement begins.
func (c *Controller) replace(ctx context.Context, app string, names []string) error {
	wanted, _ := c.fleet.Wanted(app)
	if slices.ContainsFunc(wanted, func(i platform.InstanceSpec) bool {
		return slices.Contains(names, i.ID) && reachable(i.Spec) && len(i.Spec.Mounts) > 0
	}) {
		defer c.wake(app) // which ends the hold
		defer c.replacing(app)()
		if err := c.holdRoute(ctx, app); err != nil {
			return err
		}
	}
	return c.scheduler.Replace(ctx, app, names)
}
