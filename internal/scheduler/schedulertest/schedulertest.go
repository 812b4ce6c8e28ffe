package schedulertest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/scheduler"
)

// Place is where workloads run: a machine or a cluster with nothing on it.
type Place struct {
	Scheduler scheduler.Scheduler
	// Image can be run with a command line of sh as its only argument.
	Image string
}

// patience bounds everything that a test waits for.
const patience = 5 * time.Minute

// Run checks the contract, each promise in a place of its own; open cleans up
// with the test it is given.
func Run(t *testing.T, open func(t *testing.T) Place) {
	for _, promise := range []struct {
		name string
		test func(*at)
	}{
		{"ApplyMakesItSo", applyMakesItSo},
		{"ApplyingAgainChangesNothing", applyingAgain},
		{"ScalingKeepsWhatCanStay", scaling},
		{"ReleasesRunSideBySide", sideBySide},
		{"ARevisionIsOtherInstances", revisions},
		{"AppsDoNotMix", appsDoNotMix},
		{"RemoveEndsEverything", removing},
		{"ReplaceStandsInBeforeItTakesAway", replacing},
		{"WatchTellsOfEveryChange", watching},
		{"RunEndsWithTheCommandsCode", running},
		{"RunEndsWithItsContext", runningUntil},
		{"ExecRunsInsideAnInstance", executing},
		{"ExecHasATerminalAndSignals", executingAtATerminal},
		{"ExecEndsWithItsContextAlone", executingUntil},
		{"ExecEndsWithItsInstance", executingToTheEnd},
		{"ExecSaysWhatIsNotThere", executingNowhere},
	} {
		t.Run(promise.name, func(t *testing.T) { promise.test(&at{T: t, Place: open(t)}) })
	}
}

// at is a place during a test.
type at struct {
	*testing.T
	Place
}

func (a *at) spec(command string) platform.Spec {
	return platform.Spec{Image: a.Image, Args: []string{command}, Env: map[string]string{}, Grace: 5 * time.Second}
}

func (a *at) group(release int, process string, quantity int) platform.Group {
	return platform.Group{Release: release, Process: process, Quantity: quantity, Spec: a.spec("exec sleep 1000")}
}

func (a *at) apply(app string, groups ...platform.Group) {
	a.Helper()
	if err := a.Scheduler.Apply(a.Context(), platform.Workload{App: app, Groups: groups}); err != nil {
		a.Fatalf("Apply: %v", err)
	}
}

func (a *at) instances(app string) []platform.Instance {
	a.Helper()
	all, err := a.Scheduler.Instances(a.Context(), app)
	if err != nil {
		a.Fatalf("Instances: %v", err)
	}
	return all
}

// await waits until the app's instances are exactly these ("worker.v1" twice
// for two), all of them up, and returns them.
func (a *at) await(app string, want ...string) []platform.Instance {
	a.Helper()
	slices.Sort(want)
	ctx, cancel := context.WithTimeout(a.Context(), patience)
	defer cancel()
	changes := a.Scheduler.Watch(ctx)
	var all []platform.Instance
	fits := func() bool {
		all = a.instances(app)
		var got []string
		for _, i := range all {
			if i.State != platform.InstanceUp {
				return false
			}
			got = append(got, fmt.Sprintf("%s.v%d", i.Process, i.Release))
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	}
	if fits() {
		return all
	}
	for range changes {
		if fits() {
			return all
		}
	}
	a.Fatalf("waited for %v; there are %+v", want, a.instances(app))
	return nil
}

func ids(all []platform.Instance) (ids []string) {
	for _, i := range all {
		ids = append(ids, i.ID)
	}
	slices.Sort(ids)
	return ids
}

func within(part, all []string) bool {
	return !slices.ContainsFunc(part, func(id string) bool { return !slices.Contains(all, id) })
}

func (a *at) mustRun(spec platform.Spec, stream platform.IO) int {
	a.Helper()
	exit, err := a.Scheduler.Run(a.Context(), once(spec), stream)
	if err != nil {
		a.Fatalf("Run: %v", err)
	}
	return exit
}

// once is a one-off copy of spec.
func once(spec platform.Spec) platform.InstanceSpec {
	return platform.InstanceSpec{ID: "blog-run-" + strings.ToLower(rand.Text()[:5]), App: "blog", Process: "run", Release: 1, Spec: spec}
}

func isOver(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
