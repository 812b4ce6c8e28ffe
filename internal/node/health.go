package node

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

// verdict is what a probe found: up, or not up and why.
type verdict struct {
	up      bool
	kill    bool // it is alive and must be started anew
	tell    bool // the message belongs into the app's log
	message string
}

const (
	aliveEnough  = 300 * time.Millisecond // a process without a port is up by then
	deafAfter    = time.Second            // of not listening, the message names the cure
	deafTold     = 15 * time.Second       // and by then the log does
	probeTimeout = time.Second
	probePeriod  = 10 * time.Second
)

// pause is the time before the next look at an instance that is not up, so
// long after the first. In the first seconds every pause is a part of the
// deploy's time, so it is an eighth of what the instance took so far; later it
// is only load.
func pause(since, period time.Duration) time.Duration {
	switch {
	case since < 10*time.Second:
		return min(max(since/8, 2*time.Millisecond), 50*time.Millisecond)
	case since < time.Minute:
		return min(250*time.Millisecond, period)
	}
	return period
}

// watchHealth starts the probes of a copy; they end with ctx.
func (i *instance) watchHealth(ctx context.Context, work *sync.WaitGroup, r runtime.Running, out chan<- verdict) {
	work.Go(func() { i.watchReadiness(ctx, r, out) })
	if i.spec.Spec.Liveness != nil {
		work.Go(func() { i.watchLiveness(ctx, r, out) })
	}
}

func (i *instance) watchReadiness(ctx context.Context, r runtime.Running, out chan<- verdict) {
	up := i.look().State == platform.InstanceUp
	probe := i.spec.Spec.Readiness
	switch {
	case probe != nil:
		i.watchProbe(ctx, r, *probe, up, out)
	case up: // its exit is seen without asking
	case !i.spec.Spec.Port && len(r.Addresses) == 0:
		if sleep(ctx, time.Until(r.Started.Add(aliveEnough))) {
			send(ctx, out, verdict{up: true})
		}
	default:
		i.awaitPort(ctx, r, out)
	}
}

// awaitPort looks until the instance listens.
func (i *instance) awaitPort(ctx context.Context, r runtime.Running, out chan<- verdict) {
	begun, told := time.Now(), false
	for {
		err := i.listens(ctx, r)
		if err == nil {
			send(ctx, out, verdict{up: true})
			return
		}
		if since := time.Since(begun); since > deafAfter {
			v := verdict{message: err.Error(), tell: !told && since > deafTold}
			told = told || v.tell
			if !send(ctx, out, v) {
				return
			}
		}
		if !sleep(ctx, pause(time.Since(begun), probePeriod)) {
			return
		}
	}
}

// listens returns nil when the instance itself listens at its address, and
// somebody does at those of its further ports.
func (i *instance) listens(ctx context.Context, r runtime.Running) error {
	for _, known := range slices.Sorted(maps.Keys(r.Addresses)) {
		if err := connect(ctx, r.Addresses[known], probeTimeout); err != nil {
			_, port, _ := net.SplitHostPort(r.Addresses[known])
			return fmt.Errorf("does not listen on port %s: make the program listen on the port that the environment variable PORT_%d names, on 0.0.0.0", port, known)
		}
	}
	if r.Address == "" {
		return nil
	}
	if err := connect(ctx, r.Address, probeTimeout); err != nil {
		if why := i.explain(0); why != nil {
			return why
		}
		_, port, _ := net.SplitHostPort(r.Address)
		return fmt.Errorf("does not listen on port %s: make the program listen on the port that the environment variable PORT names, on 0.0.0.0", port)
	}
	if checker, ok := i.runtime.(runtime.PortChecker); ok {
		return checker.CheckPort(i.spec.ID)
	}
	return nil
}

// explain says why nothing answers at a port, if the runtime can see it.
func (i *instance) explain(port int) error {
	if explainer, ok := i.runtime.(runtime.PortExplainer); ok {
		return explainer.ExplainPort(i.spec.ID, port)
	}
	return nil
}

// watchProbe runs a readiness probe for as long as the copy lives.
func (i *instance) watchProbe(ctx context.Context, r runtime.Running, p platform.Probe, up bool, out chan<- verdict) {
	if !sleep(ctx, time.Until(r.Started.Add(seconds(p.InitialDelaySeconds, 0)))) {
		return
	}
	first, good, bad, told := time.Now(), 0, 0, false
	begun := first
	for {
		err := i.probe(ctx, r, p)
		if ctx.Err() != nil {
			return
		}
		var v *verdict
		if err == nil {
			good, bad = good+1, 0
			if !up && good >= max(p.SuccessThreshold, 1) {
				up, v = true, &verdict{up: true}
			}
		} else {
			good, bad = 0, bad+1
			since := time.Since(first)
			switch {
			case up && bad >= orDefault(p.FailureThreshold, 3):
				up, begun, v = false, time.Now(), &verdict{message: "is not ready: " + err.Error()}
			case !up && since > deafAfter:
				v = &verdict{message: "is not ready: " + err.Error(), tell: !told && since > deafTold}
				told = told || v.tell
			}
		}
		if v != nil && !send(ctx, out, *v) {
			return
		}
		period := seconds(p.PeriodSeconds, probePeriod)
		wait := period
		if !up {
			wait = pause(time.Since(begun), period)
		}
		if !sleep(ctx, wait) {
			return
		}
	}
}

// watchLiveness asks for a new copy when the probe fails too often in a row.
func (i *instance) watchLiveness(ctx context.Context, r runtime.Running, out chan<- verdict) {
	p := *i.spec.Spec.Liveness
	if !sleep(ctx, time.Until(r.Started.Add(seconds(p.InitialDelaySeconds, 0)))) {
		return
	}
	for bad := 0; sleep(ctx, seconds(p.PeriodSeconds, probePeriod)); {
		err := i.probe(ctx, r, p)
		if err == nil || ctx.Err() != nil {
			bad = 0
			continue
		}
		if bad++; bad >= orDefault(p.FailureThreshold, 3) {
			send(ctx, out, verdict{kill: true, message: fmt.Sprintf("liveness probe failed %d times: %v", bad, err)})
			return
		}
	}
}

func seconds(n int, otherwise time.Duration) time.Duration {
	if n <= 0 {
		return otherwise
	}
	return time.Duration(n) * time.Second
}

func orDefault(n, otherwise int) int {
	if n <= 0 {
		return otherwise
	}
	return n
}

func send(ctx context.Context, out chan<- verdict, v verdict) bool {
	select {
	case out <- v:
		return true
	case <-ctx.Done():
		return false
	}
}

// sleep reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
