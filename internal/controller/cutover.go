package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// cutover shifts the app's traffic to the new release, in steps or at once, and
// watches it. It returns the receipt; with an error when the traffic was led
// back.
func (c *Controller) cutover(ctx context.Context, w wish, steps *steps) (*platform.Receipt, error) {
	next := w.next.release
	if routableProcess(w.next) == "" && c.fleet.Route(next.App) == nil {
		return nil, nil
	}
	started := time.Now()
	if steps != nil {
		if err := c.walk(ctx, w, steps); err != nil {
			return c.setBack(ctx, w, steps, err)
		}
		started = steps.Started
	}
	begun := time.Now()
	number, version, err := c.shiftRoute(ctx, next.App, next.Version)
	if err != nil {
		return nil, err
	}
	if err := c.acked(ctx, next.App, version); err != nil {
		return nil, err
	}
	led := time.Since(begun)
	if !w.current.hasBuild() {
		return nil, nil // a first deploy shifts nothing away from anybody
	}
	budget := c.budgetOf(steps.strategy(w))
	report, err := c.watchCutover(ctx, next.App, number, budget)
	if err != nil {
		return nil, err
	}
	receipt := receiptOf(w, report, started, steps)
	receipt.Led = led
	reason := broken(budget, report)
	if reason == "" {
		if steps == nil { // else each step says it of itself
			receipt.Unjudged = budget.Unjudged(report)
		}
		return receipt, nil
	}
	return c.undo(ctx, w, receipt, reason)
}

// broken says why a cutover may not stand: by all routers' counts, or because
// one of them leads its requests back already.
func broken(b platform.Budget, r platform.CutoverReport) string {
	return cmp.Or(ledBack(r.Undone), b.Broken(r))
}

// heardLate is how long a router's word is on its way at most, while the control
// plane is there.
const heardLate = 2 * time.Second

// ledBack words that a router leads its requests back; nothing when none does.
func ledBack(l platform.LedBack) string {
	if late := time.Since(l.At); l.Why != "" && late > heardLate {
		return fmt.Sprintf("%s. The router led the requests back by itself, %s before the control plane heard of it", l.Why, late.Round(time.Second))
	}
	return l.Why
}

// receiptOf words what a cutover cost.
func receiptOf(w wish, r platform.CutoverReport, started time.Time, steps *steps) *platform.Receipt {
	receipt := &platform.Receipt{
		From: r.From, To: w.next.release.Version,
		Requests: r.Requests, Failed: r.Failed,
		P99Before: r.P99Before, P99After: r.P99After,
		Held: r.Held, HeldLongest: r.HeldLongest,
		Took: time.Since(started),
	}
	if steps != nil {
		receipt.Strategy, receipt.Steps = steps.Strategy.Kind, steps.Done
	}
	return receipt
}

// undo leads the traffic back to the release that served before.
func (c *Controller) undo(ctx context.Context, w wish, receipt *platform.Receipt, reason string) (*platform.Receipt, error) {
	receipt.Undone, receipt.Reason = true, reason
	undone := fmt.Errorf("the cutover undid itself: %s. %s serves again", reason, w.current.release.Tag())
	if h := c.handoverOf(w); len(h.heirs) > 0 {
		return receipt, errors.Join(undone, c.handBack(ctx, w, h))
	}
	if err := c.leadBack(ctx, w); err != nil {
		return nil, err
	}
	return receipt, undone
}

// leadBack leads the requests to the release that served before, and returns
// when the routers know.
func (c *Controller) leadBack(ctx context.Context, w wish) error {
	_, version, err := c.shiftRoute(ctx, w.app.ID, w.current.release.Version)
	if err != nil {
		return err
	}
	return c.acked(ctx, w.app.ID, version)
}

// ackTimeout is how long the routers may take to acknowledge a shift. A
// router that is gone does not come back with an old table: it asks first.
const ackTimeout = 30 * time.Second

func (c *Controller) acked(ctx context.Context, app string, version int64) error {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	if err := c.fleet.Acked(ctx, version); err != nil {
		return fmt.Errorf("no router took the shift: %w", err)
	}
	if why := c.fleet.Refused(app, version); why != "" {
		return fmt.Errorf("a router refused the shift, and serves the last good routes: %s", why)
	}
	return nil
}

// watchTick is how often a running cutover is looked at.
const watchTick = 20 * time.Millisecond

// watchCutover looks at the routers' counts until the old release is drained
// and, under traffic, until the watch is over; at most DrainWait, so that one
// long download does not hold up a deploy. It ends at once past the budget.
func (c *Controller) watchCutover(ctx context.Context, app string, number int64, b platform.Budget) (platform.CutoverReport, error) {
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.options.DrainWait)
	defer cancel()
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	var report platform.CutoverReport
	err := c.await(ctx, app, tick.C, func() (bool, error) {
		var known bool
		report, known = c.fleet.Cutover(app, number)
		if !known || report.Shifting {
			return false, nil // or known as it was before the last shift
		}
		if broken(b, report) != "" {
			return true, nil
		}
		return report.Draining == 0 && c.watched(b, report, time.Since(started)), nil
	})
	if err == context.DeadlineExceeded { //nolint:errorlint // await hands on the bare error of this very context
		err = nil
	}
	return report, err
}

// often is how many requests in the minute before make an app that is asked all
// the time.
const often = 60

// watched reports whether a cutover was looked at for long enough: not at all
// where nobody comes, for Watch where somebody does. Of an app that is asked all
// the time some requests are waited for: they, or the word of them, may be slow.
func (c *Controller) watched(b platform.Budget, r platform.CutoverReport, since time.Duration) bool {
	switch {
	case r.BeforeRequests == 0 && r.Requests == 0:
		return true
	case since < c.options.Watch:
		return false
	}
	return r.BeforeRequests < often || max(r.New.Requests, r.ToRequests) >= b.Least
}
