package node

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/keep"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/runtime"
)

// maxStarts bounds how many instances start at once.
const maxStarts = 8

// supervisor keeps the instances of this machine as they are wanted. Between
// activate and freeze each instance has a goroutine; frozen, instances run on
// and nothing is started, stopped or probed.
type supervisor struct {
	log     *slog.Logger
	node    string
	runtime runtime.Runtime
	router  edge
	logs    *shipper
	reports *reporter
	starts  chan struct{} // one token a start under way
	marks   marks
	volumes *volumes

	mu        sync.Mutex
	instances map[string]*instance
	wanted    map[string]platform.InstanceSpec
	active    context.Context // nil: frozen
	thaw      context.CancelFunc
	work      *sync.WaitGroup
}

// edge is what the supervisor and the puller use of the router.
type edge interface {
	SetEdge(state platform.EdgeState)
	SetCertificates(changed []platform.EdgeCertificate, gone []string)
	SetRoute(app string, route *platform.Route)
	SetPorts(id, address string, ports map[int]string, up bool)
	RemoveInstance(id string)
	InFlight(id string) int
	Drain(ctx context.Context, id string, requests time.Duration) error
	DrainTimes(app string, usual time.Duration) (requests, upgraded time.Duration)
}

func newSupervisor(log *slog.Logger, node string, rt runtime.Runtime, router edge, logs *shipper, reports *reporter, marks marks) *supervisor {
	return &supervisor{
		log: log, node: node, runtime: rt, router: router, logs: logs, reports: reports, marks: marks,
		starts: make(chan struct{}, maxStarts), instances: make(map[string]*instance),
		volumes: newVolumes(),
	}
}

// adopt takes over what runs already and looks once at each, side by side, so
// that what was up is up before the first request. It returns when ctx ends
// at the latest.
func (s *supervisor) adopt(ctx context.Context, running []runtime.Running) {
	var looks sync.WaitGroup
	for _, r := range running {
		i := newInstance(s, r.Spec)
		s.instances[r.Spec.ID] = i
		i.shut, i.incomplete = r.Shut, r.Shut != nil
		s.volumes.keep(r.Spec.ID, r.Spec.Spec.Mounts)
		i.begin(r)
		i.recall()
		looks.Go(func() {
			if i.startHook == hookOver && i.looksUp(ctx, r) {
				i.judge(verdict{up: true})
			}
		})
	}
	looks.Wait()
}

// looksUp is one look at a copy that an earlier node started.
func (i *instance) looksUp(ctx context.Context, r runtime.Running) bool {
	switch spec := i.spec.Spec; {
	case spec.Readiness != nil:
		return i.probe(ctx, r, *spec.Readiness) == nil
	case !spec.Port && len(r.Addresses) == 0:
		return true
	case len(r.Addresses) > 0:
		return i.listens(ctx, r) == nil
	default:
		// Whether it listens can be told without adding to its backlog.
		if checker, ok := i.runtime.(runtime.PortChecker); ok {
			return checker.CheckPort(i.spec.ID) == nil
		}
		return connect(ctx, r.Address, probeTimeout) == nil
	}
}

// activate begins to supervise, until freeze.
func (s *supervisor) activate(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active, s.thaw = context.WithCancel(ctx)
	s.work = new(sync.WaitGroup)
	for _, i := range s.instances {
		s.launch(i)
	}
}

func (s *supervisor) launch(i *instance) {
	ctx := s.active
	s.work.Go(func() { i.supervise(ctx) })
}

// freeze ends the supervising and returns when nothing moves any more. A stop
// under way goes on by itself.
func (s *supervisor) freeze() {
	s.mu.Lock()
	if s.active == nil {
		s.mu.Unlock()
		return
	}
	s.active = nil
	s.thaw()
	work := s.work
	s.mu.Unlock()
	work.Wait()
}

// want makes specs the instances that shall run: missing ones begin, others
// leave.
func (s *supervisor) want(specs []platform.InstanceSpec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = make(map[string]platform.InstanceSpec, len(specs))
	for _, spec := range specs {
		s.wanted[spec.ID] = spec
		s.add(spec)
	}
	for id, i := range s.instances {
		if _, ok := s.wanted[id]; !ok {
			i.remove()
		}
	}
}

// expect is want without an end for anything: what runs and is not among specs
// may be newer than they are.
func (s *supervisor) expect(specs []platform.InstanceSpec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = make(map[string]platform.InstanceSpec, len(specs))
	for _, spec := range specs {
		s.wanted[spec.ID] = spec
		s.add(spec)
	}
}

// add begins an instance unless there is one; one that is leaving comes back
// after it is gone. One whose environment is sealed goes on, and is not begun.
func (s *supervisor) add(spec platform.InstanceSpec) {
	if keep.Sealed(spec.Spec.Env) {
		return
	}
	if i := s.instances[spec.ID]; i != nil {
		if i.incomplete {
			i.told.Store(&spec)
		}
		return
	}
	s.logs.keep(spec.ID)
	i := newInstance(s, spec)
	s.instances[spec.ID] = i
	s.changed(spec.ID)
	if s.active != nil {
		s.launch(i)
	}
}

// gone forgets an instance of which nothing is left.
func (s *supervisor) gone(i *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.instances, i.spec.ID)
	s.reports.gone(i.spec.ID)
	if spec, ok := s.wanted[i.spec.ID]; ok {
		s.add(spec)
	}
}

func (s *supervisor) changed(id string) { s.reports.changed(id) }

// has reports whether the instance is here, running or wanted.
func (s *supervisor) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.instances[id] != nil
}

// hear hands each exit to its instance until ctx ends.
func (s *supervisor) hear(ctx context.Context) {
	for exit := range s.runtime.Watch(ctx) {
		s.mu.Lock()
		i := s.instances[exit.ID]
		s.mu.Unlock()
		if i == nil {
			s.logs.forgetUnknown(exit.ID)
			continue
		}
		select {
		case i.exits <- exit:
		default: // four ends of one id that nobody took note of tell enough
		}
	}
}

// look returns the named instances as seen, or all.
func (s *supervisor) look(ids map[string]bool) []platform.Instance {
	s.mu.Lock()
	picked := make([]*instance, 0, len(s.instances))
	for id, i := range s.instances {
		if ids == nil || ids[id] {
			picked = append(picked, i)
		}
	}
	s.mu.Unlock()
	seen := make([]platform.Instance, 0, len(picked))
	for _, i := range picked {
		one := i.look()
		one.InFlight = s.router.InFlight(one.ID)
		seen = append(seen, one)
	}
	return seen
}

// stopAll ends every instance as it would be ended if it were not wanted, and
// returns when they are gone or ctx ends. What is wanted stays as it is, for
// the next node. The supervisor must be active.
func (s *supervisor) stopAll(ctx context.Context) {
	s.mu.Lock()
	s.wanted = nil
	for _, i := range s.instances {
		i.remove()
	}
	work := s.work
	s.mu.Unlock()
	gone := make(chan struct{})
	go func() { work.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-ctx.Done():
		s.mu.Lock()
		s.thaw()
		s.mu.Unlock()
		<-gone
	}
}
