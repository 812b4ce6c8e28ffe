package controller

import (
	"context"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// FirstLanes bounds how many lanes a start has at a time.
const FirstLanes = firstLanes

// Looking reports how many lanes there are, and whether every app there was at
// the start was looked at.
func (c *Controller) Looking() (lanes int, all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.lanes), len(c.unsaid) == 0
}

// Destroying reports whether something is left of an app without a row.
func (c *Controller) Destroying(app string) bool { return c.isDestroying(app) }

// Reconcile is a pass of an app's lane; between is called when it has looked.
func (c *Controller) Reconcile(ctx context.Context, app string, between func()) error {
	return c.reconcile(ctx, app, between)
}

// AwaitCronRun blocks until the newest run of a cron is as wanted.
func (c *Controller) AwaitCronRun(ctx context.Context, app, process string, wanted func(platform.CronRun) bool) (run platform.CronRun, err error) {
	err = c.await(ctx, app, nil, func() (bool, error) {
		err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
			run, err = tx.LastCronRun(app, process)
			return err
		})
		return err == nil && wanted(run), unless(err, platform.ErrNotFound)
	})
	return run, err
}
