package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// Scale sets how many instances of some process types run, and returns when
// they do and requests are led to them. It makes no release. When they cannot
// come up, the quantities go back to what they were.
func (c *Controller) Scale(ctx context.Context, caller platform.Caller, app string, formation map[string]int) error {
	var before map[string]int
	changed := false
	err := c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		a, err := may(tx, caller, app, platform.RoleOperator)
		if err != nil {
			return err
		}
		if err := scalable(tx, app); err != nil {
			return err
		}
		before, changed = maps.Clone(a.Formation), false
		if err := validFormation(tx, app, formation); err != nil {
			return err
		}
		after := maps.Clone(a.Formation)
		if after == nil {
			after = make(map[string]int)
		}
		maps.Copy(after, formation)
		if changed = !maps.Equal(before, after); !changed {
			return nil
		}
		if err := tx.SetFormation(app, after); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "app.scaled", app, map[string]string{"formation": platform.FormationText(formation)}))
	})
	if err != nil || !changed {
		return err
	}
	c.note(app, "INFO %s scaled pods %s", caller.User, platform.FormationText(formation))
	c.wake(app)
	return c.onward(ctx, func(ctx context.Context) error {
		err := c.settled(ctx, app)
		if err == nil {
			if err := c.reroute(ctx, app); err != nil {
				return err
			}
			return c.gone(ctx, app, func(i platform.Instance) bool { return i.State == platform.InstanceTerminating })
		}
		if ctx.Err() != nil || errors.Is(err, platform.ErrUnavailable) {
			return err
		}
		return c.unscale(ctx, app, before, formation, err)
	})
}

// scalable refuses to scale an app while two releases of it serve side by side,
// for as long as somebody likes: what is judged would change meanwhile.
func scalable(tx *store.Tx, app string) error {
	row, err := tx.Cutover(app)
	if err != nil || row.Step == 0 {
		return unless(err, platform.ErrNotFound)
	}
	return &platform.UserError{
		Kind: platform.ErrConflict, Message: fmt.Sprintf("A cutover of %s to v%d is under way.", app, row.Release),
		Cure: "End it first: slipway cutover promote, or slipway cutover abort.",
	}
}

func validFormation(tx *store.Tx, app string, formation map[string]int) error {
	current, err := currentDeployable(tx, app)
	if err != nil {
		return err
	}
	if !current.hasBuild() && len(formation) > 0 {
		return platform.Invalid("", "No build associated with this release")
	}
	for _, process := range slices.Sorted(maps.Keys(formation)) {
		quantity := formation[process]
		has := slices.Contains(processesOf(current.build), process)
		switch {
		case quantity < 0:
			return platform.Invalid("", "Invalid scaling format: ['Must be greater than or equal to zero']")
		case quantity > platform.MaxInstances:
			return platform.Invalid("", "Invalid scaling format: ['Must be at most %d']", platform.MaxInstances)
		case current != nil && volumeOf(current.config, process) != "" && quantity > 1:
			return writers(process, volumeOf(current.config, process), quantity)
		case !has && process != "cmd":
			return &platform.UserError{Kind: platform.ErrNotFound, Message: fmt.Sprintf("Container type %s does not exist in application", process)}
		}
	}
	return nil
}

// unscale puts quantities back that could not be reached, but for those that
// somebody has changed since.
func (c *Controller) unscale(ctx context.Context, app string, before, tried map[string]int, cause error) error {
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		a, err := tx.App(app)
		if err != nil {
			return err
		}
		after := maps.Clone(a.Formation)
		for process, quantity := range tried {
			if old, had := before[process]; after[process] != quantity {
				continue
			} else if had {
				after[process] = old
			} else {
				delete(after, process)
			}
		}
		return tx.SetFormation(app, after)
	})
	if err != nil {
		return err
	}
	c.wake(app)
	c.note(app, "ERROR (scale): %s", cause)
	return &platform.UserError{Kind: platform.ErrUnavailable, Message: "(scale): " + cause.Error()}
}

// settled blocks until exactly the wished instances of the current release
// run and are up. It fails as soon as one cannot come up.
func (c *Controller) settled(ctx context.Context, app string) error {
	var pending error
	limit := c.options.DeployTimeout
	wait, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := c.await(wait, app, nil, func() (bool, error) {
		w, err := c.wish(wait, app)
		if err != nil {
			return false, err
		}
		if w.next != nil {
			return false, nil // a rollout is under way: it applies the quantities
		}
		instances, err := c.scheduler.Instances(wait, app)
		if err != nil {
			return false, err
		}
		groups := c.groups(w.app, w.current)
		if pending, err = readiness(groups, instances); pending != nil || err != nil {
			return false, err
		}
		wished := 0
		for _, group := range groups {
			wished += group.Quantity
		}
		return remaining(instances) == wished, nil
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && pending != nil {
		return fmt.Errorf("%w after %s", pending, limit)
	}
	return err
}

// gone blocks until no instance of the app is one that leaves, at most
// DrainWait: those with requests left go on for Drain, and are listed as
// terminating.
func (c *Controller) gone(ctx context.Context, app string, leaves func(platform.Instance) bool) error {
	wait, cancel := context.WithTimeout(ctx, c.options.DrainWait)
	defer cancel()
	err := c.await(wait, app, nil, func() (bool, error) {
		instances, err := c.scheduler.Instances(wait, app)
		return !slices.ContainsFunc(instances, leaves), err
	})
	if wait.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}

// remaining counts the instances that are not on their way out.
func remaining(instances []platform.Instance) int {
	n := 0
	for _, instance := range instances {
		if instance.State != platform.InstanceTerminating && instance.State != platform.InstanceDown {
			n++
		}
	}
	return n
}

// Instances lists what runs of the app's current release, newest first.
// process and instance narrow the list when not empty.
func (c *Controller) Instances(ctx context.Context, caller platform.Caller, app, process, instance string) ([]platform.Instance, error) {
	current, err := read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, _ platform.App) (*deployable, error) {
		return currentDeployable(tx, app)
	})
	if err != nil || current == nil {
		return nil, err
	}
	all, err := c.scheduler.Instances(ctx, app)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(i platform.Instance) bool {
		return i.Release != current.release.Version || i.State == platform.InstanceDown ||
			(process != "" && i.Process != process) ||
			(instance != "" && i.ID != instance && i.ID != app+"-"+instance)
	}), nil
}

// restartWait bounds how long Restart waits for the replacements (Deis contract 2.7).
const restartWait = 5 * time.Minute

// Restart replaces instances without dropping a request and returns the
// replacements; none matched is no error. An empty process or instance means
// all; an instance is found by its name alone.
func (c *Controller) Restart(ctx context.Context, caller platform.Caller, app, process, instance string) ([]platform.Instance, error) {
	if err := c.allow(ctx, caller, app, platform.RoleDeployer); err != nil {
		return nil, err
	}
	if instance != "" {
		process = ""
	}
	old, err := c.Instances(ctx, caller, app, process, instance)
	if err != nil || len(old) == 0 {
		return nil, err
	}
	before, err := c.scheduler.Instances(ctx, app)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, i := range old {
		if i.State != platform.InstanceTerminating {
			names = append(names, i.ID)
		}
	}
	err = c.store.Write(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		return tx.InsertEvent(event(caller, "pods.restarted", app, map[string]string{"instances": strings.Join(names, " ")}))
	})
	if err != nil {
		return nil, err
	}
	c.note(app, "INFO %s restarted %d instances", caller.User, len(names))
	if err := c.replace(context.WithoutCancel(ctx), app, names); err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, restartWait)
	defer cancel()
	var fresh []platform.Instance
	err = c.await(wait, app, nil, func() (bool, error) {
		now, err := c.scheduler.Instances(wait, app)
		if err != nil {
			return false, err
		}
		var done bool
		fresh, done, err = replaced(before, names, now)
		return done, err
	})
	if err != nil {
		return fresh, err
	}
	return fresh, c.gone(wait, app, func(i platform.Instance) bool { return slices.Contains(names, i.ID) })
}

// replaced finds the instances that were not there before, and reports
// whether all of them are up and all named ones gone or going: fewer than were
// named when the app was scaled down meanwhile.
func replaced(before []platform.Instance, names []string, now []platform.Instance) (fresh []platform.Instance, done bool, err error) {
	known := make(map[string]bool, len(before))
	for _, i := range before {
		known[i.ID] = true
	}
	left, up := 0, 0
	for _, i := range now {
		switch {
		case slices.Contains(names, i.ID):
			if i.State != platform.InstanceTerminating && i.State != platform.InstanceDown {
				left++
			}
		case !known[i.ID]:
			fresh = append(fresh, i)
			if i.State == platform.InstanceUp {
				up++
			} else if i.CrashLoop || i.State == platform.InstanceError {
				return nil, false, &platform.UserError{Kind: platform.ErrUnavailable, Message: fmt.Sprintf("%s does not come up: %s", i.ID, i.Message)}
			}
		}
	}
	return fresh, left == 0 && up == len(fresh), nil
}
