package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

// The pace of restarts: doubling from the first to the longest pause, from the
// start again after a time of being well.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = time.Minute
	wellAfter    = time.Minute
	loopAfter    = 5 // crashes in a row
)

// startTimeout bounds one start, the pull of its image included.
const startTimeout = 10 * time.Minute

// instance is one copy this machine shall run, and what became of it. One
// goroutine, supervise, moves it along.
type instance struct {
	*supervisor
	spec  platform.InstanceSpec
	exits chan runtime.Exit // of the running copy

	incomplete bool                                  // adopted without its environment
	told       atomic.Pointer[platform.InstanceSpec] // then, the spec that was wanted last

	prepared   chan struct{} // closed when only its volumes keep it from starting
	removed    chan struct{} // closed when it is no longer wanted
	removeOnce sync.Once

	// Of the supervising goroutine alone.
	notBefore time.Time // of the next start
	crashes   int       // in a row
	upSince   time.Time // of this copy; zero: not yet
	last      *runtime.Running
	shut      error     // why spec lacks its environment
	startHook hookState // of this copy
	stopHook  hookState

	mu      sync.Mutex
	seen    platform.Instance
	running *runtime.Running // nil: none
}

func newInstance(s *supervisor, spec platform.InstanceSpec) *instance {
	return &instance{
		supervisor: s, spec: spec,
		exits: make(chan runtime.Exit, 4), prepared: make(chan struct{}), removed: make(chan struct{}),
		seen: platform.Instance{
			ID: spec.ID, App: spec.App, Process: spec.Process, Release: spec.Release,
			Revision: spec.Revision, Node: s.node, State: platform.InstanceStarting,
		},
	}
}

// short is how log lines name it: web.x3ten.
func (i *instance) short() string {
	id := i.spec.ID
	return i.spec.Process + "." + id[max(0, len(id)-5):]
}

func (i *instance) look() platform.Instance {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.seen
}

// note changes what is seen of the instance and reports it.
func (i *instance) note(change func(*platform.Instance)) {
	i.mu.Lock()
	before := i.seen
	change(&i.seen)
	changed := before != i.seen
	i.mu.Unlock()
	if changed {
		i.changed(i.spec.ID)
	}
}

func (i *instance) current() *runtime.Running {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.running
}

func (i *instance) setRunning(r *runtime.Running) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.running = r
}

// remove says that the instance is no longer wanted.
func (i *instance) remove() { i.removeOnce.Do(func() { close(i.removed) }) }

func (i *instance) isRemoved() bool {
	select {
	case <-i.removed:
		return true
	default:
		return false
	}
}

// supervise keeps the instance as it is wanted until ctx ends, which leaves it
// as it is, or until it is removed and gone. It may be called again.
func (i *instance) supervise(ctx context.Context) {
	for ctx.Err() == nil {
		switch {
		case i.isRemoved():
			if i.leave(ctx) {
				return
			}
		case i.current() == nil:
			i.start(ctx)
		default:
			i.attend(ctx)
		}
	}
}

// start begins one copy when it is time.
func (i *instance) start(ctx context.Context) {
	if !i.rest(ctx, time.Until(i.notBefore)) || !i.claimVolumes(ctx) {
		return
	}
	select { // not everything at once after a power cut
	case i.starts <- struct{}{}:
		defer func() { <-i.starts }()
	case <-ctx.Done():
		return
	case <-i.removed:
		return
	}
	if err := i.learn(); err != nil {
		i.unstarted(err)
		return
	}
	i.forgetExits()
	before := hooks{i.startHook, i.stopHook}
	i.expectHooks()
	bounded, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	running, err := i.runtime.Start(bounded, i.spec)
	switch {
	case err == nil:
		i.begin(running)
	case ctx.Err() != nil: // the next one to supervise starts it
	case errors.Is(err, platform.ErrConflict) && i.last != nil:
		i.setRunning(i.last) // the end that was heard of was not this copy's
		i.resetHooks(before)
	case errors.Is(err, platform.ErrConflict):
		// A copy nobody knows of holds the id; it has to go.
		_ = i.runtime.Stop(ctx, i.spec.ID, i.spec.Spec.Grace)
		i.unstarted(err)
	default:
		i.unstarted(err)
	}
}

// learn completes the spec of an adopted copy whose key is gone with what the
// control plane says.
func (i *instance) learn() error {
	if i.shut == nil {
		return nil
	}
	told := i.told.Load()
	if told == nil {
		return fmt.Errorf("its environment was not told again yet, and what was kept cannot be opened: %w", i.shut)
	}
	i.spec, i.shut = *told, nil
	return nil
}

// forgetExits takes note of ends that came while nothing was known to run:
// those of copies that ended while no node was there.
func (i *instance) forgetExits() {
	for {
		select {
		case exit := <-i.exits:
			i.note(func(s *platform.Instance) { s.Restarts++ })
			i.logs.say(i.spec, fmt.Sprintf("%s %s, restarting", i.short(), reason(exit)))
		default:
			return
		}
	}
}

func reason(exit runtime.Exit) string {
	if exit.Reason != "" {
		return exit.Reason
	}
	return fmt.Sprintf("exited with code %d", exit.Code)
}

// rest waits, and reports false when there is something else to do.
func (i *instance) rest(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-i.removed:
	}
	return false
}

// begin takes over a copy that was just started or found running.
func (i *instance) begin(running runtime.Running) {
	i.upSince = time.Time{}
	i.logs.follow(i.spec, running.Output)
	i.last = &running
	i.setRunning(&running)
	i.note(func(s *platform.Instance) {
		s.State, s.Address, s.Started, s.Isolation = platform.InstanceStarting, running.Address, running.Started, running.Isolation
	})
}

func (i *instance) unstarted(err error) {
	pause := i.setback()
	i.note(func(s *platform.Instance) {
		s.State, s.Address = platform.InstanceError, ""
		s.Message = "cannot start: " + err.Error()
		s.CrashLoop = i.crashes >= loopAfter
	})
	i.log.Warn("instance did not start", "app", i.spec.App, "instance", i.spec.ID, "err", err)
	i.logs.say(i.spec, fmt.Sprintf("%s cannot start: %v; trying again in %s (%s time)", i.short(), err, words(pause), ordinal(i.crashes)))
}

// setback counts a failure and says how long to wait now.
func (i *instance) setback() time.Duration {
	if !i.upSince.IsZero() && time.Since(i.upSince) >= wellAfter {
		i.crashes = 0
	}
	pause := min(firstPause<<min(i.crashes, 16), longestPause)
	i.crashes++
	i.notBefore = time.Now().Add(pause)
	return pause
}

// attend watches a running copy until it ends, or until there is something
// else to do.
func (i *instance) attend(ctx context.Context) {
	if !i.postStart(ctx) {
		return
	}
	watching, stop := context.WithCancel(ctx)
	verdicts := make(chan verdict)
	var probes sync.WaitGroup
	i.watchHealth(watching, &probes, *i.current(), verdicts)
	defer probes.Wait()
	defer stop()
	var well <-chan time.Time // fires when restarts begin to count anew
	for {
		if well == nil && !i.upSince.IsZero() && i.crashes > 0 {
			well = time.After(wellAfter - time.Since(i.upSince))
		}
		select {
		case <-ctx.Done():
			return
		case <-i.removed:
			return
		case exit := <-i.exits:
			i.hearExit(exit)
			return
		case v := <-verdicts:
			if v.kill {
				i.putDown(ctx, v.message)
				return
			}
			i.judge(v)
		case <-well:
			i.crashes, well = 0, nil
			i.note(func(s *platform.Instance) { s.CrashLoop = false })
		}
	}
}

// hearExit takes note of an exit that came while a copy ran.
func (i *instance) hearExit(exit runtime.Exit) {
	if exit.At.Before(i.current().Started) {
		// Of the copy before, or the clock was set back: the runtime knows, and
		// start asks it.
		i.setRunning(nil)
		return
	}
	i.ended(exit)
}

// serve tells the router whether the running copy may serve, if it can be
// reached at all.
func (i *instance) serve(up bool) {
	if r := i.current(); r.Address != "" || len(r.Addresses) > 0 {
		i.router.SetPorts(i.spec.ID, r.Address, r.Addresses, up)
	}
}

// judge applies what a readiness probe found.
func (i *instance) judge(v verdict) {
	if v.up {
		if i.upSince.IsZero() {
			i.upSince = time.Now()
		}
		i.serve(true)
		i.note(func(s *platform.Instance) { s.State, s.Message = platform.InstanceUp, "" })
		return
	}
	wasUp := i.look().State == platform.InstanceUp
	if wasUp {
		i.serve(false)
	}
	i.note(func(s *platform.Instance) {
		if s.State != platform.InstanceStarting {
			s.State = platform.InstanceDown
		}
		s.Message = v.message
	})
	if v.tell || wasUp {
		i.logs.say(i.spec, i.short()+" "+v.message)
	}
}

// ended takes note of an exit nobody asked for and plans the restart.
func (i *instance) ended(exit runtime.Exit) {
	i.serve(false)
	last := i.logs.lastLine(i.spec.ID)
	i.setRunning(nil)
	pause := i.setback()
	why := reason(exit)
	message := why
	if last != "" {
		message += ": " + last
	}
	i.note(func(s *platform.Instance) {
		s.State, s.Address, s.Message = platform.InstanceCrashed, "", message
		s.Restarts++
		s.CrashLoop = i.crashes >= loopAfter
	})
	i.log.Info("instance ended", "app", i.spec.App, "instance", i.spec.ID, "reason", why)
	i.logs.say(i.spec, fmt.Sprintf("%s %s, restarting in %s (%s time)", i.short(), why, words(pause), ordinal(i.crashes)))
}

// putDown ends a copy that is alive and not well, so that it is started anew.
func (i *instance) putDown(ctx context.Context, why string) {
	i.serve(false)
	i.note(func(s *platform.Instance) { s.State, s.Message = platform.InstanceDown, why })
	i.logs.say(i.spec, i.short()+" is restarted: "+why)
	grace := i.preStop(ctx)
	if ctx.Err() != nil {
		return // a successor finds it no better
	}
	if err := i.runtime.Stop(ctx, i.spec.ID, grace); err != nil {
		i.log.Warn("instance did not stop", "app", i.spec.App, "instance", i.spec.ID, "err", err)
		i.rest(ctx, time.Second)
		return
	}
	late := time.NewTimer(time.Second) // this exit must not be taken for the next copy's
	defer late.Stop()
	select {
	case <-i.exits:
	case <-late.C:
	}
	i.setRunning(nil)
	i.setback()
	i.note(func(s *platform.Instance) {
		s.State, s.Address, s.CrashLoop = platform.InstanceCrashed, "", i.crashes >= loopAfter
		s.Restarts++
	})
}

// drainTimes are how long its requests and its upgraded connections may go on.
// One with a volume has somebody waiting for it, whatever its team says.
func (i *instance) drainTimes() (requests, upgraded time.Duration) {
	if len(i.spec.Spec.Mounts) > 0 {
		return i.spec.Spec.Drain, i.spec.Spec.Drain
	}
	return i.router.DrainTimes(i.spec.App, i.spec.Spec.Drain)
}

// leave takes the instance away: its requests finish, it is asked to end, it
// is gone. It returns false when ctx ended first.
func (i *instance) leave(ctx context.Context) bool {
	if !i.awaitHeirs(ctx) {
		return false
	}
	i.note(func(s *platform.Instance) { s.State = platform.InstanceTerminating })
	requests, upgraded := i.drainTimes()
	drain, cancel := context.WithTimeout(ctx, max(requests, upgraded))
	err := i.router.Drain(drain, i.spec.ID, requests)
	cancel()
	if ctx.Err() != nil {
		return false // a successor waits for the same requests
	}
	if err != nil {
		i.log.Warn("requests outlasted the drain", "app", i.spec.App, "instance", i.spec.ID, "err", err)
	}
	grace := i.preStop(ctx)
	if ctx.Err() != nil {
		return false // a successor begins it anew
	}
	stopped := make(chan error, 1)
	go func() { // ends by itself; a ctx that ended would kill without grace
		stopped <- i.runtime.Stop(context.WithoutCancel(ctx), i.spec.ID, grace)
	}()
	select {
	case err = <-stopped:
	case <-ctx.Done():
		return false
	}
	if err != nil {
		i.note(func(s *platform.Instance) { s.Message = "cannot stop: " + err.Error() })
		i.log.Error("instance did not stop", "app", i.spec.App, "instance", i.spec.ID, "err", err)
		sleep(ctx, time.Second)
		return false // and tries again
	}
	i.router.RemoveInstance(i.spec.ID)
	i.setRunning(nil)
	i.volumes.giveBack(i.spec.ID)
	i.marks.clear(i.spec.ID)
	i.logs.finish(i.spec.ID)
	i.gone(i)
	return true
}

func words(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

func ordinal(n int) string {
	end := "th"
	switch {
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		end = "st"
	case n%10 == 2:
		end = "nd"
	case n%10 == 3:
		end = "rd"
	}
	return fmt.Sprintf("%d%s", n, end)
}
