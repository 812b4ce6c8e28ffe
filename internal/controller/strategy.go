package controller

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// CutoverStatus is how an app's requests are led from one release to the next,
// and the cutover in steps that is under way.
type CutoverStatus struct {
	Strategy platform.Strategy
	UnderWay *CutoverUnderWay // nil: none
}

// CutoverUnderWay is a cutover in steps as it stands now.
type CutoverUnderWay struct {
	platform.Cutover
	Steps []string // what each is
	Waits string   // what the one under way waits for
	// Report is what was counted since this step began; zero when nothing was.
	Report platform.CutoverReport
}

// CutoverOf says how an app's requests are led over.
func (c *Controller) CutoverOf(ctx context.Context, caller platform.Caller, app string) (CutoverStatus, error) {
	return read(ctx, c, caller, app, platform.RoleViewer, func(tx *store.Tx, a platform.App) (CutoverStatus, error) {
		strategy, err := tx.Strategy(app)
		if err != nil {
			return CutoverStatus{}, err
		}
		row, err := tx.Cutover(app)
		switch {
		case errors.Is(err, platform.ErrNotFound):
			return CutoverStatus{Strategy: strategy}, nil
		case err != nil:
			return CutoverStatus{}, err
		}
		under, err := c.underWay(tx, a, row)
		return CutoverStatus{strategy, under}, err
	})
}

func (c *Controller) underWay(tx *store.Tx, app platform.App, row platform.Cutover) (*CutoverUnderWay, error) {
	current, err := currentDeployable(tx, app.ID)
	if err != nil {
		return nil, err
	}
	release, err := tx.Release(app.ID, row.Release)
	if err != nil {
		return nil, err
	}
	next, err := loadDeployable(tx, release)
	if err != nil {
		return nil, err
	}
	u := &CutoverUnderWay{Cutover: row}
	all := stagesOf(row.Strategy, row.From, c.groups(app, current), c.groups(app, next))
	for _, step := range all {
		u.Steps = append(u.Steps, step.name)
	}
	if row.Step > 0 && row.Step <= len(all) {
		u.Waits = strings.TrimPrefix(all[row.Step-1].waitText(), ", ")
	}
	if route := c.fleet.Route(app.ID); route != nil {
		if r, known := c.fleet.Cutover(app.ID, route.Cutover); known && r.To == row.Release && r.Step == row.Step {
			u.Report = r
		}
	}
	return u, nil
}

// SetStrategy changes words of the app's strategy; an empty one takes it back.
// It counts from the next cutover on. ErrConflict when nothing changes.
func (c *Controller) SetStrategy(ctx context.Context, caller platform.Caller, app string, words map[string]string) (CutoverStatus, error) {
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := may(tx, caller, app, platform.RoleOperator); err != nil {
			return err
		}
		before, err := tx.Strategy(app)
		if err != nil {
			return err
		}
		after, err := withWords(before, words)
		if err != nil {
			return err
		}
		if maps.Equal(before.Words(), after.Words()) {
			return unchanged(caller)
		}
		if err := c.ledInSteps(tx, app, after); err != nil {
			return err
		}
		if err := tx.PutStrategy(app, after); err != nil {
			return err
		}
		return tx.InsertEvent(event(caller, "cutover.changed", app, sayable(words)))
	})
	if err != nil {
		return CutoverStatus{}, err
	}
	c.note(app, "INFO %s changed how cutovers go", caller.User)
	return c.CutoverOf(ctx, caller, app)
}

// sayable are the words without what conditions ask for, which lets people in.
func sayable(words map[string]string) map[string]string {
	said := maps.Clone(words)
	for _, key := range []string{"header", "cookie"} {
		if said[key] != "" {
			said[key] = "set"
		}
	}
	return said
}

// withWords is a strategy with some words changed.
func withWords(s platform.Strategy, words map[string]string) (platform.Strategy, error) {
	s.If = slices.Clone(s.If)
	for _, key := range platform.StrategyKeys {
		if text, ok := words[key]; ok {
			if err := s.Set(key, text); err != nil {
				return s, err
			}
		}
	}
	for key := range words {
		if !slices.Contains(platform.StrategyKeys, key) {
			return s, s.Set(key, "")
		}
	}
	return s, s.Valid()
}

// ledInSteps refuses steps for an app whose two releases can never serve side
// by side, because a volume has one writer.
func (c *Controller) ledInSteps(tx *store.Tx, app string, s platform.Strategy) error {
	if s.WithDefaults().Kind == platform.Instant {
		return nil
	}
	current, err := currentDeployable(tx, app)
	if err != nil || current == nil {
		return err
	}
	for _, process := range []string{"web", "cmd"} {
		if volume := volumeOf(current.config, process); volume != "" {
			return &platform.UserError{
				Kind:    platform.ErrConflict,
				Message: "The volume " + volume + " has one writer, so two releases of " + process + " cannot serve side by side: cutovers of " + app + " are instant.",
				Cure:    "Unmount it first (slipway volumes unmount), or keep strategy=instant.",
			}
		}
	}
	return nil
}

// PromoteCutover has the cutover under way lead all requests to the new
// release, whatever its step waits for. ErrConflict when none is under way.
func (c *Controller) PromoteCutover(ctx context.Context, caller platform.Caller, app string) (CutoverStatus, error) {
	return c.sayOfCutover(ctx, caller, app, platform.CutoverPromote, "cutover.promoted")
}

// AbortCutover has the cutover under way led back, and its release fail.
// ErrConflict when none is under way.
func (c *Controller) AbortCutover(ctx context.Context, caller platform.Caller, app string) (CutoverStatus, error) {
	return c.sayOfCutover(ctx, caller, app, platform.CutoverAbort, "cutover.aborted")
}

func (c *Controller) sayOfCutover(ctx context.Context, caller platform.Caller, app string, word platform.CutoverWord, name string) (CutoverStatus, error) {
	err := c.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := may(tx, caller, app, platform.RoleDeployer); err != nil {
			return err
		}
		row, err := tx.Cutover(app)
		switch {
		case errors.Is(err, platform.ErrNotFound) || err == nil && row.Step == 0:
			return &platform.UserError{
				Kind: platform.ErrConflict, Message: "No cutover of " + app + " is under way.",
				Cure: "Cutovers go in steps with: slipway cutover set strategy=staged",
			}
		case err != nil:
			return err
		case row.Word != "" && row.Word != word || row.Undone != "":
			return &platform.UserError{Kind: platform.ErrConflict, Message: "The cutover of " + app + " is over in a moment: " + overBy(row)}
		}
		if err := tx.SayOfCutover(app, word, caller.User); err != nil {
			return err
		}
		release := platform.Release{Version: row.Release}
		return tx.InsertEvent(event(caller, name, app, map[string]string{"release": release.Tag()}))
	})
	if err != nil {
		return CutoverStatus{}, err
	}
	c.notices.publish(app)
	return c.CutoverOf(ctx, caller, app)
}

// budgetOf is the app's own budget, the platform's where its team said nothing.
func (c *Controller) budgetOf(s platform.Strategy) platform.Budget {
	b := platform.Budget{
		Failures: c.options.FailureBudget, Least: c.options.BudgetFailures,
		Latency: c.options.LatencyBudget, Judged: c.options.LatencyRequests,
	}
	if s.ErrorBudget != nil {
		b.Failures = float64(*s.ErrorBudget) / platform.Whole
	}
	if s.LatencyBudget > 0 {
		b.Latency = s.LatencyBudget
	}
	if s.SizeBudget != nil {
		size := float64(*s.SizeBudget) / platform.Whole
		b.Size = &size
	}
	return b
}

func overBy(row platform.Cutover) string {
	switch {
	case row.Undone != "":
		return row.Undone
	case row.Word == platform.CutoverPromote:
		return row.By + " promoted it"
	}
	return row.By + " aborted it"
}
