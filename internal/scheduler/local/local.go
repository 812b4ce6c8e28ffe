// Package local is the scheduler of Slipway's own nodes: it is handed an app's
// workload, turns each group into instances with names of their own, and hands
// the list to the fleet, from which the nodes fetch it.
//
// It remembers nothing itself. What it asked for before is read back from the
// fleet, so it goes on after a crash where it was.
package local

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/scheduler"
)

// Fleet is what the scheduler uses of a fleet.Fleet.
type Fleet interface {
	Apps() []string
	Wanted(app string) (specs []platform.InstanceSpec, doomed []string)
	SetInstances(app string, specs []platform.InstanceSpec, doomed ...string) (version int64, err error)
	Remove(app string) (version int64, err error)
	Route(app string) *platform.Route
	Instances(app string) []platform.Instance
	Unclaimed(app string) []platform.Instance
	Changes(ctx context.Context) iter.Seq[string]
	Run(ctx context.Context, spec platform.InstanceSpec, stream platform.IO) (exit int, err error)
	Exec(ctx context.Context, app, instance string, argv []string, stream platform.IO) (exit int, err error)
}

// Scheduler implements scheduler.Scheduler over a fleet.
type Scheduler struct {
	log   *slog.Logger
	fleet Fleet

	mu     sync.Mutex // held from reading what is wanted to writing it
	cancel context.CancelFunc
	done   chan struct{}
}

var _ scheduler.Scheduler = (*Scheduler)(nil)

// New returns a scheduler over fleet. Until Close it takes away instances
// whose replacements are up, also those an earlier process named.
func New(log *slog.Logger, fleet Fleet) *Scheduler {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Scheduler{log: log, fleet: fleet, cancel: cancel, done: make(chan struct{})}
	changes := fleet.Changes(ctx)
	go func() {
		defer close(s.done)
		for _, app := range fleet.Apps() {
			s.relieve(app)
		}
		for app := range changes {
			s.relieve(app)
		}
	}()
	return s
}

// Close ends the replacing; what is under way is finished by the next Scheduler.
func (s *Scheduler) Close() {
	s.cancel()
	<-s.done
}

// Apply implements scheduler.Scheduler. An instance is kept when its release,
// process, revision and spec are those of a group. A group that shrinks loses
// the instances that are least well, then the newest.
func (s *Scheduler) Apply(_ context.Context, w platform.Workload) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.plan(w.App)
	var specs []platform.InstanceSpec
	for _, group := range w.Groups {
		specs = append(specs, p.fill(w.App, group)...)
	}
	if len(specs) == 0 && len(p.wanted) == 0 {
		return nil
	}
	if _, err := s.fleet.SetInstances(w.App, specs, p.stillDoomed(specs)...); err != nil {
		return fmt.Errorf("apply the workload of %s: %w", w.App, err)
	}
	return nil
}

// Remove implements scheduler.Scheduler.
func (s *Scheduler) Remove(_ context.Context, app string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.fleet.Remove(app); err != nil {
		return fmt.Errorf("remove %s: %w", app, err)
	}
	return nil
}

// Instances implements scheduler.Scheduler.
func (s *Scheduler) Instances(_ context.Context, app string) ([]platform.Instance, error) {
	all := s.fleet.Instances(app)
	slices.SortStableFunc(all, func(a, b platform.Instance) int {
		return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// Replace implements scheduler.Scheduler. The wish is kept in the fleet: the
// stand-ins and the doomed are there side by side until relieve.
func (s *Scheduler) Replace(_ context.Context, app string, instances []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.plan(app)
	specs := slices.Clone(p.wanted)
	doomed := slices.Sorted(maps.Keys(p.doomed))
	changed := false
	for at, spec := range p.wanted {
		if !slices.Contains(instances, spec.ID) || p.doomed[spec.ID] {
			continue
		}
		changed = true
		before := spec.ID
		spec.ID = freshID(spec, specs)
		if len(spec.Spec.Mounts) > 0 {
			specs[at] = spec // its node lets the one begin when the other has ended
			continue
		}
		doomed = append(doomed, before)
		specs = append(specs, spec)
	}
	if changed {
		if _, err := s.fleet.SetInstances(app, specs, doomed...); err != nil {
			return fmt.Errorf("replace instances of %s: %w", app, err)
		}
	}
	return nil
}

// Run implements scheduler.Scheduler.
func (s *Scheduler) Run(ctx context.Context, spec platform.InstanceSpec, stream platform.IO) (int, error) {
	return s.fleet.Run(ctx, spec, stream)
}

// Exec implements scheduler.Scheduler.
func (s *Scheduler) Exec(ctx context.Context, app, instance string, argv []string, stream platform.IO) (int, error) {
	return s.fleet.Exec(ctx, app, instance, argv, stream)
}

// Watch implements scheduler.Scheduler.
func (s *Scheduler) Watch(ctx context.Context) iter.Seq[string] { return s.fleet.Changes(ctx) }

// relieve takes the doomed of a group away when all who stay are up, and, if
// requests are led to the doomed, are led to those who stay as well.
func (s *Scheduler) relieve(app string) {
	if _, doomed := s.fleet.Wanted(app); len(doomed) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.plan(app)
	route := s.fleet.Route(app)
	kept := slices.DeleteFunc(slices.Clone(p.wanted), func(spec platform.InstanceSpec) bool {
		return p.doomed[spec.ID] && p.relieved(spec, route)
	})
	if len(kept) == len(p.wanted) {
		return
	}
	if _, err := s.fleet.SetInstances(app, kept, p.stillDoomed(kept)...); err != nil {
		s.log.Error("replaced instances stay until the next change", "app", app, "err", err)
	}
}

// plan reads what is wanted and what was seen.
func (s *Scheduler) plan(app string) plan {
	wanted, doomed := s.fleet.Wanted(app)
	p := plan{wanted: wanted, doomed: make(map[string]bool), seen: make(map[string]platform.Instance), unclaimed: s.fleet.Unclaimed(app)}
	for _, id := range doomed {
		p.doomed[id] = true
	}
	for _, i := range s.fleet.Instances(app) {
		p.seen[i.ID] = i
	}
	return p
}
