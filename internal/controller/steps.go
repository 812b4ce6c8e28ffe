package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// A cutover in steps has a row, which is written before the route that follows
// from it: a crash between both leaves a row that is ahead, and whoever carries
// the rollout on leads the requests as the row says. The row goes with the
// release's end, in one transaction.

// steps is a cutover in steps, as its row stands. Nil: it goes at once.
type steps struct {
	platform.Cutover
	all []stage
}

// stage is one step.
type stage struct {
	name     string
	shift    platform.Shift
	few      int           // instances of each process type that serve in it; 0: all
	pause    time.Duration // it takes at least
	requests int64         // that it waits for
	copies   bool          // which are copied ones
	deadline time.Duration // of that wait
	word     bool          // it ends when somebody promotes, not before
}

// longStep is a step that nobody waits for who asked for the deploy.
const longStep = 10 * time.Minute

func (s stage) long() bool { return s.word || s.pause >= longStep }

// strategy is the strategy of the rollout; the app's own where it goes at once.
func (s *steps) strategy(w wish) platform.Strategy {
	if s != nil {
		return s.Strategy
	}
	return w.strategy
}

// starting are the groups of the new release that shall be up now.
func (s *steps) starting(groups []platform.Group) []platform.Group {
	if s == nil || s.Step > len(s.all) {
		return groups
	}
	few := s.all[max(s.Step, 1)-1].few
	groups = slices.Clone(groups)
	for i := range groups {
		if few > 0 {
			groups[i].Quantity = min(groups[i].Quantity, few)
		}
	}
	return groups
}

// stepsOf is the cutover of a rollout that goes in steps: as its row says, or
// the beginning of one. The strategy counts that the app had when it began.
func (c *Controller) stepsOf(ctx context.Context, w wish, h handover) (*steps, error) {
	next := w.next.release
	kind := w.strategy.WithDefaults().Kind
	switch {
	case !w.current.hasBuild() || routableProcess(w.next) == "" || routableProcess(w.current) == "":
		return nil, nil
	case len(h.heirs) > 0:
		if kind != platform.Instant {
			c.tell(next.App, "-----> %s has one writer, so the cutover is instant, not %s\n", strings.Join(volumesOf(h.heirs), ", "), kind)
		}
		return nil, nil
	}
	var row platform.Cutover
	err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
		row, err = tx.Cutover(next.App)
		return err
	})
	switch {
	case err == nil && row.Release == next.Version:
	case unless(err, platform.ErrNotFound) != nil:
		return nil, err
	case kind == platform.Instant:
		return nil, nil
	default:
		row = platform.Cutover{
			App: next.App, Release: next.Version, From: w.current.release.Version,
			Strategy: w.strategy.WithDefaults(), Started: time.Now(),
		}
	}
	return &steps{row, stagesOf(row.Strategy, row.From, c.groups(w.app, w.current), c.nextGroups(w))}, nil
}

// stagesOf are the steps of a strategy; after the last one the new release
// serves alone.
func stagesOf(s platform.Strategy, from int, old, next []platform.Group) []stage {
	base := stage{pause: s.Pause, requests: s.MinRequests, deadline: s.Deadline}
	base.shift = platform.Shift{From: from, By: s.By, Cookie: s.Cookie}
	var all []stage
	add := func(name string, edit func(*stage)) {
		step := base
		step.name, step.shift.Step = name, len(all)+1
		edit(&step)
		all = append(all, step)
	}
	switch s.Kind {
	case platform.Staged:
		for _, weight := range s.Steps {
			add(percentText(weight)+" of requests", func(step *stage) { step.shift.Weight = weight })
		}
	case platform.Count:
		serving, first := servingOf(old), min(s.Count, servingOf(next))
		add(fmt.Sprintf("%d of %d instances", first, servingOf(next)), func(step *stage) {
			step.few, step.shift.Weight = s.Count, platform.Whole*first/max(first+serving, 1)
		})
	case platform.Canary:
		add("canary", func(step *stage) {
			step.shift.Weight, step.shift.Canary, step.word = s.Weight, s.If, s.Pause == 0
		})
	case platform.Mirrored:
		add("copies of "+percentText(s.Mirror)+" of safe requests", func(step *stage) { step.shift.Mirror, step.copies = s.Mirror, true })
	case platform.Instant:
	}
	return all
}

// servingOf is how many instances of groups answer what no service leads elsewhere.
func servingOf(groups []platform.Group) int {
	for _, process := range []string{"web", "cmd"} {
		for _, g := range groups {
			if g.Process == process {
				return g.Quantity
			}
		}
	}
	return 0
}

func percentText(share int) string { return fmt.Sprintf("%.4g %%", float64(share)/100) }

// inSteps reports whether a release that is under way serves beside another
// already: then a newer one may take its place.
func inSteps(tx *store.Tx, release platform.Release) (bool, error) {
	row, err := tx.Cutover(release.App)
	return err == nil && row.Release == release.Version && row.Step > 0, unless(err, platform.ErrNotFound)
}

// waitsLong reports whether a release's cutover waits for somebody's word or
// for long, so that whoever asked for the deploy has seen of it what there is.
func waitsLong(tx *store.Tx, release platform.Release) (bool, error) {
	row, err := tx.Cutover(release.App)
	if err != nil || row.Release != release.Version || row.Since.IsZero() || row.Word != "" {
		return false, unless(err, platform.ErrNotFound)
	}
	all := stagesOf(row.Strategy, row.From, nil, nil)
	return row.Step <= len(all) && all[row.Step-1].long(), nil
}

// setback ends a cutover that shall not go on: the requests are led back.
type setback struct{ reason string }

func (e *setback) Error() string { return e.reason }

// walk goes through the steps that are left. It returns nil when the new
// release may serve alone and all its instances are up, a *setback when the
// requests have to be led back.
func (c *Controller) walk(ctx context.Context, w wish, s *steps) error {
	if s.Undone != "" {
		return &setback{s.Undone} // it was on its way back when a crash came
	}
	for s.Step <= len(s.all) {
		if s.Step == 0 {
			if err := c.advanceStep(ctx, s, 1); err != nil {
				return err
			}
		}
		if err := c.takeStep(ctx, w, s); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(s.all, func(step stage) bool { return step.few > 0 }) {
		return nil
	}
	err := c.startBeside(ctx, w, handover{}, s) // the rest of them
	if err != nil && ctx.Err() == nil && !errors.Is(err, platform.ErrNotFound) {
		return &setback{err.Error()}
	}
	return err
}

// advanceStep writes that a step begins. Its time counts once the routers know.
func (c *Controller) advanceStep(ctx context.Context, s *steps, number int) error {
	s.Step, s.Since = number, time.Time{}
	return c.putSteps(ctx, s)
}

func (c *Controller) putSteps(ctx context.Context, s *steps) error {
	err := c.store.Write(ctx, func(tx *store.Tx) error { return tx.PutCutover(s.Cutover) })
	c.notices.publish(s.App)
	return err
}

// takeStep leads the requests as the step under way says, and returns when it
// is over and the next one is written down.
func (c *Controller) takeStep(ctx context.Context, w wish, s *steps) error {
	step := s.all[s.Step-1]
	c.tell(s.App, "-----> Cutover to %s, step %d of %d: %s%s\n", w.next.release.Tag(), s.Step, len(s.all), step.name, step.waitText())
	budget := c.budgetOf(s.Strategy)
	step.shift.Budget = &budget
	number, version, err := c.shift(ctx, s.App, s.Release, &step.shift, holdUntilUp)
	if err != nil {
		return err
	}
	if err := c.acked(ctx, s.App, version); err != nil {
		return &setback{err.Error()}
	}
	if step.long() {
		c.tell(s.App, "       It goes on without this deploy: see `slipway cutover`\n")
	}
	if s.Since.IsZero() {
		s.Since = time.Now()
		if err := c.putSteps(ctx, s); err != nil {
			return err
		}
	}
	report, promoted, err := c.watchStep(ctx, w, s, number)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.note(step, report, budget)
	c.tell(s.App, "%s", figures(s, report))
	if few := budget.Unjudged(report); few != "" && err == nil {
		c.tell(s.App, "       %s\n", few)
	}
	if err != nil {
		return err
	}
	next := s.Step + 1
	if promoted {
		next = len(s.all) + 1
	}
	return c.advanceStep(ctx, s, next)
}

// note adds the figures of the step under way to those of the steps before.
func (s *steps) note(step stage, r platform.CutoverReport, b platform.Budget) {
	s.Done = append(slices.Clone(s.Done), platform.CutoverStep{
		Name: step.name, Old: r.Old, New: r.New, Mirror: r.Mirror, Took: time.Since(s.Since), Unjudged: b.Unjudged(r),
	})
}

// figures are what a step shows to whoever looks on.
func figures(s *steps, r platform.CutoverReport) string {
	text := fmt.Sprintf("       v%d: %s; v%d: %s\n", s.Release, r.New, s.From, r.Old)
	if r.Mirror != (platform.MirrorCount{}) {
		text += fmt.Sprintf("       %s\n", r.Mirror)
	}
	return text
}

// waitText says what a step waits for.
func (s stage) waitText() string {
	switch {
	case s.word:
		return ", until `slipway cutover promote`"
	case s.requests > 0 && s.pause > 0:
		return fmt.Sprintf(", for %s and %d requests", s.pause, s.requests)
	case s.requests > 0:
		return fmt.Sprintf(", for %d requests", s.requests)
	case s.pause > 0:
		return fmt.Sprintf(", for %s", s.pause)
	}
	return ""
}

// stepTick is how often a step is looked at beside what happens in it.
const stepTick = 100 * time.Millisecond

// watchStep looks at a step until it is over, and says whether that is because
// somebody promoted the release. The error is a *setback past the budget, when
// somebody aborts, and when another release takes its place.
func (c *Controller) watchStep(ctx context.Context, w wish, s *steps, number int64) (r platform.CutoverReport, promoted bool, err error) {
	step, budget := s.all[s.Step-1], c.budgetOf(s.Strategy)
	tick := time.NewTicker(stepTick)
	defer tick.Stop()
	err = c.await(ctx, s.App, tick.C, func() (bool, error) {
		report, known := c.fleet.Cutover(s.App, number)
		if known && report.Step == s.Step {
			r = report
		}
		if reason := ledBack(report.Undone); reason != "" {
			return false, s.setback(report.Undone.Step, reason)
		}
		if reason := budget.Broken(r); reason != "" {
			return false, s.setback(s.Step, reason)
		}
		word, err := c.wordOf(ctx, w)
		switch {
		case err != nil:
			return false, err
		case word == platform.CutoverPromote:
			promoted = true
			return true, nil
		}
		if err := c.stillWell(ctx, w, s); err != nil {
			return false, err
		}
		return step.over(time.Since(s.Since), r)
	})
	return r, promoted, err
}

// setback is that of a budget that a step broke.
func (s *steps) setback(number int, reason string) error {
	if number < 1 || number > len(s.all) {
		return &setback{reason}
	}
	return &setback{fmt.Sprintf("step %d of %d (%s): %s", number, len(s.all), s.all[number-1].name, reason)}
}

// over reports whether the step has taken long enough and seen enough. It is a
// *setback when what it waits for does not come.
func (s stage) over(took time.Duration, r platform.CutoverReport) (bool, error) {
	if s.word || took < s.pause {
		return false, nil
	}
	seen, what := r.New.Requests, "requests"
	if s.copies {
		seen, what = r.Mirror.Compared, "copied requests"
	}
	if seen < s.requests && took >= s.deadline {
		return false, &setback{fmt.Sprintf("%s: %d of %d %s came within %s, too few to judge by", s.name, seen, s.requests, what, s.deadline)}
	}
	return seen >= s.requests, nil
}

// wordOf is what somebody has said about the rollout's cutover. It is a
// *setback when the release is not wanted any more.
func (c *Controller) wordOf(ctx context.Context, w wish) (platform.CutoverWord, error) {
	if err := c.wanted(ctx, w.next.release); err != nil {
		if ctx.Err() == nil && !errors.Is(err, platform.ErrNotFound) {
			err = &setback{err.Error()}
		}
		return "", err
	}
	var row platform.Cutover
	err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
		row, err = tx.Cutover(w.app.ID)
		return err
	})
	if err == nil && row.Word == platform.CutoverAbort {
		err = &setback{row.By + " aborted it"}
	}
	return row.Word, err
}

// stillWell is a *setback when an instance of the new release will not come up
// again by itself.
func (c *Controller) stillWell(ctx context.Context, w wish, s *steps) error {
	instances, err := c.scheduler.Instances(ctx, w.app.ID)
	if err != nil {
		return err
	}
	if _, err := readiness(s.starting(c.nextGroups(w)), instances); err != nil {
		return &setback{err.Error()}
	}
	return nil
}

// setBack leads the requests back after a cutover in steps that may not go on.
func (c *Controller) setBack(ctx context.Context, w wish, s *steps, cause error) (*platform.Receipt, error) {
	var set *setback
	if !errors.As(cause, &set) {
		return nil, cause
	}
	// The row first: were the route first, a crash would have the requests led
	// to the new release once more.
	if s.Undone = set.reason; s.Step > 0 {
		if err := c.putSteps(ctx, s); err != nil && !errors.Is(err, platform.ErrNotFound) {
			return nil, err
		}
	}
	report := platform.CutoverReport{From: s.From}
	if now := c.fleet.Route(s.App); now != nil {
		if r, known := c.fleet.Cutover(s.App, now.Cutover); known && r.To == s.Release {
			report = r
		}
	}
	return c.undo(ctx, w, receiptOf(w, report, s.Started, s), set.reason)
}
