package controller

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/slipway-paas/slipway/internal/platform"
)

// A process type that a service names gets an address while it runs, and loses
// it with the service; so it is with ports of the edge. That makes other instances of it, and no release: the
// old ones stay beside the new until those are up.

// turnover is how far one group has come.
type turnover struct {
	old     platform.Group // its instances of before, as they run
	fresh   int            // of its own that are up
	present int            // no longer wanted and not yet on their way out
	failure error          // why they will not be
}

// turnoverOf compares what is wanted of a group with what runs.
func (c *Controller) turnoverOf(app string, group platform.Group) turnover {
	seen := make(map[string]platform.Instance)
	for _, instance := range c.fleet.Instances(app) {
		if instance.Process == group.Process && instance.Release == group.Release {
			seen[instance.ID] = instance
		}
	}
	var t turnover
	wanted, doomed := c.fleet.Wanted(app)
	for _, instance := range wanted {
		if instance.Process != group.Process || instance.Release != group.Release || slices.Contains(doomed, instance.ID) {
			continue
		}
		now := seen[instance.ID]
		delete(seen, instance.ID)
		switch {
		case !reachedAlike(instance.Spec, group.Spec):
			t.addOld(instance)
		case now.State == platform.InstanceUp:
			t.fresh++
		case now.State == platform.InstanceError || now.CrashLoop:
			t.failure = fmt.Errorf("%s does not come up: %s", now.ID, now.Message)
		}
	}
	for _, instance := range seen {
		if !outbound(instance) {
			t.present++
		}
	}
	return t
}

func (t *turnover) addOld(instance platform.InstanceSpec) {
	if t.old.Quantity == 0 {
		t.old = platform.Group{Release: instance.Release, Process: instance.Process, Revision: instance.Revision, Spec: instance.Spec}
	}
	if reflect.DeepEqual(t.old.Spec, instance.Spec) && t.old.Revision == instance.Revision {
		t.old.Quantity++
	}
}

// outgoing are the instances of before that stay until the groups are up.
func (c *Controller) outgoing(app string, groups []platform.Group) []platform.Group {
	var stay []platform.Group
	for _, group := range groups {
		t := c.turnoverOf(app, group)
		if _, shared := platform.Shared(t.old.Spec, group.Spec); shared {
			continue // it cannot run beside its own, and its node knows when it has to go
		}
		if t.old.Quantity > 0 && t.fresh < group.Quantity {
			stay = append(stay, t.old)
		}
	}
	return stay
}

// turnedOver blocks until no instance of before is wanted of a process type
// and its own are up. Where none is wanted there is nothing to wait for.
func (c *Controller) turnedOver(ctx context.Context, app, process string) error {
	wait, cancel := context.WithTimeout(ctx, c.options.DeployTimeout)
	defer cancel()
	pending := errors.New("its instances were not started")
	err := c.await(wait, app, nil, func() (bool, error) {
		w, err := c.wish(wait, app)
		if err != nil || w.next != nil {
			return false, err // a rollout starts them with their address
		}
		groups := c.groups(w.app, w.current)
		at := slices.IndexFunc(groups, func(g platform.Group) bool { return g.Process == process })
		if at < 0 {
			return true, nil
		}
		t := c.turnoverOf(app, groups[at])
		pending = fmt.Errorf("only %d of %d %s are up with an address", t.fresh, groups[at].Quantity, process)
		return t.old.Quantity == 0 && t.present == 0 && t.fresh >= groups[at].Quantity, t.failure
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fmt.Errorf("%w after %s", pending, c.options.DeployTimeout)
	}
	return err
}
