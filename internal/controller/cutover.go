package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// cutover shifts the app's traffic to the new release and watches it. It
// returns the receipt; with an error when the budget was passed and the
// traffic was led back.
func (c *Controller) cutover(ctx context.Context, w wish) (*platform.Receipt, error) {
	next := w.next.release
	if routableProcess(w.next) == "" && c.fleet.Route(next.App) == nil {
		return nil, nil
	}
	started := time.Now()
	number, version, err := c.shiftRoute(ctx, next.App, next.Version)
	if err != nil {
		return nil, err
	}
	if err := c.acked(ctx, version); err != nil {
		return nil, err
	}
	if !w.current.hasBuild() {
		return nil, nil // a first deploy shifts nothing away from anybody
	}
	report, err := c.watchCutover(ctx, next.App, number)
	if err != nil {
		return nil, err
	}
	receipt := &platform.Receipt{
		From: report.From, To: next.Version,
		Requests: report.Requests, Failed: report.Failed,
		P99Before: report.P99Before, P99After: report.P99After,
		Held: report.Held, HeldLongest: report.HeldLongest,
		Took: time.Since(started),
	}
	reason := c.overBudget(report)
	if reason == "" {
		return receipt, nil
	}
	return c.undo(ctx, w, receipt, reason)
}

// undo leads the traffic back to the release that served before.
func (c *Controller) undo(ctx context.Context, w wish, receipt *platform.Receipt, reason string) (*platform.Receipt, error) {
	receipt.Undone, receipt.Reason = true, reason
	undone := fmt.Errorf("the cutover undid itself: %s. %s serves again", reason, w.current.release.Tag())
	if h := c.handoverOf(w); len(h.heirs) > 0 {
		return receipt, errors.Join(undone, c.handBack(ctx, w, h))
	}
	_, version, err := c.shiftRoute(ctx, w.app.ID, w.current.release.Version)
	if err != nil {
		return nil, err
	}
	if err := c.acked(ctx, version); err != nil {
		return nil, err
	}
	return receipt, undone
}

// ackTimeout is how long the routers may take to acknowledge a shift. A
// router that is gone does not come back with an old table: it asks first.
const ackTimeout = 30 * time.Second

func (c *Controller) acked(ctx context.Context, version int64) error {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	if err := c.fleet.Acked(ctx, version); err != nil {
		return fmt.Errorf("no router took the shift: %w", err)
	}
	return nil
}

// watchTick is how often a running cutover is looked at.
const watchTick = 20 * time.Millisecond

// watchCutover looks at the routers' counts until the old release is drained
// and, under traffic, until the watch is over; at most DrainWait, so that one
// long download does not hold up a deploy. It ends at once past the budget.
func (c *Controller) watchCutover(ctx context.Context, app string, number int64) (platform.CutoverReport, error) {
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.options.DrainWait)
	defer cancel()
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	var report platform.CutoverReport
	err := c.await(ctx, app, tick.C, func() (bool, error) {
		var known bool
		report, known = c.fleet.Cutover(app, number)
		if !known {
			return false, nil
		}
		if c.overBudget(report) != "" {
			return true, nil
		}
		traffic := report.BeforeRequests > 0 || report.Requests > 0
		watched := !traffic || time.Since(started) >= c.options.Watch
		return watched && report.Draining == 0, nil
	})
	if err == context.DeadlineExceeded { //nolint:errorlint // await hands on the bare error of this very context
		err = nil
	}
	return report, err
}

// overBudget says in words how the new release breaks the budget, or nothing.
func (c *Controller) overBudget(r platform.CutoverReport) string {
	if r.From == 0 {
		return ""
	}
	rate, before := share(r.ToFailed, r.ToRequests), share(r.BeforeFailed, r.BeforeRequests)
	if r.ToFailed >= c.options.BudgetFailures && rate > before+c.options.FailureBudget {
		return fmt.Sprintf("%d of %d requests failed on v%d, %.1f %% before", r.ToFailed, r.ToRequests, r.To, 100*before)
	}
	if r.ToRequests >= c.options.LatencyRequests && r.P99Before > 0 && r.P99After > r.P99Before+c.options.LatencyBudget {
		return fmt.Sprintf("p99 rose from %s to %s", r.P99Before.Round(time.Millisecond), r.P99After.Round(time.Millisecond))
	}
	return ""
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
