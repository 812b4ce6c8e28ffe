// Package fleet is the control plane's side of the nodes: it is handed what
// shall be (instances, routes, the edge), keeps it on disk under a version that
// only grows, answers the nodes that come to ask what is new, and hands on what
// they report: instances, log lines, request counts.
//
// Nodes pull; fleet never dials. One mechanism serves one machine, over a unix
// socket, and many, over HTTPS.
package fleet

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/keep"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/secret"
)

// Options are what a Fleet is made with.
type Options struct {
	// Dir keeps the desired state; made with mode 0700. Required.
	Dir string
	// Keys seal what is secret in Dir: environments, the keys of certificates,
	// the registry's password. Nil keeps it in the clear, for tests.
	Keys *secret.Ring
	// Logs takes the lines of the nodes. Required.
	Logs Logs
	// Settle is how long a fleet that lost its directory lets the nodes go on
	// with what they have after the last change, so that the controller can say
	// again what shall be, unless Settled is called; in all at most ten times as
	// long. Default 30 s; too short, and nodes stop instances that are about to
	// be asked for again.
	Settle time.Duration
	// Asked is told of hosts that clients came for and that have no certificate:
	// see platform.NodeReport. It must not block. Default nil: nobody is.
	Asked func(hosts []string)
}

// Logs stores lines of instances. Lines are handed to it in order per
// instance; Cursor returns the highest offset it has stored, or 0.
type Logs interface {
	AppendNode(lines []platform.NodeLogLine)
	Cursor(instance string) int64
}

// Fleet is the desired state and the nodes. Safe for concurrent use.
type Fleet struct {
	log    *slog.Logger
	logs   Logs
	disk   *disk
	opened time.Time
	settle time.Duration
	asked  func(hosts []string)
	closed context.Context
	close  context.CancelFunc
	work   sync.WaitGroup

	write sync.Mutex // held over a change: the file first, then the memory

	mu      sync.Mutex
	version int64 // of the newest change
	floor   int64 // nodes below it, or of another epoch, get everything
	edge    platform.EdgeState
	edgeAt  int64 // version of the edge; 0: never set
	certs   certificates
	apps    map[string]*app
	changes []change          // by version
	lost    map[string]bool   // apps whose files made no sense, and that nobody spoke of since
	homes   map[string]string // the app of each instance seen, claimed or not
	nodes   map[string]*node
	// unclaimed are what nodes run by the order of a directory that is lost, by
	// app and id.
	unclaimed map[string]map[string]platform.Instance
	said      time.Time // when something was set last, or the fleet was opened
	settled   bool
	runs      map[string]*run
	wished    bell // rung when nodes have something to fetch
	heard     bell // rung when a node said something
	subs      map[*subscriber]struct{}
	newsAt    int64 // of the newest news that nodes may hear: see hearsay
	gathers   bool  // more of it comes in a moment
}

// app is what is wanted of an app and what was seen of it.
type app struct {
	record
	given    map[string]platform.InstanceSpec // wanted or leaving, by id
	seen     map[string]platform.Instance
	cutovers map[cutover]platform.CutoverReport
}

// change is that an app has this version. Another entry may have followed.
type change struct {
	version int64
	app     string
}

// Open loads the desired state from o.Dir. Nothing runs until Close but what
// callers run, and what brings files to the disk and seals them anew. An unreadable
// file is set aside and logged, and the nodes are told everything anew; a
// directory of a newer Slipway is an error.
func Open(log *slog.Logger, o Options) (*Fleet, error) {
	if o.Settle == 0 {
		o.Settle = 30 * time.Second
	}
	seals := keep.Seals(o.Keys)
	key := seals.Key() // before anything is sealed
	d, err := openDisk(log, o.Dir, seals)
	if err != nil {
		return nil, fmt.Errorf("open the fleet's state in %s: %w", o.Dir, err)
	}
	f := &Fleet{
		log: log, logs: o.Logs, disk: d, settle: o.Settle, asked: o.Asked, opened: time.Now(), said: time.Now(),
		apps: make(map[string]*app), nodes: make(map[string]*node), runs: make(map[string]*run),
		lost: make(map[string]bool), homes: make(map[string]string), unclaimed: make(map[string]map[string]platform.Instance),
		subs: make(map[*subscriber]struct{}),
	}
	f.closed, f.close = context.WithCancel(context.Background())
	f.version, f.floor = d.meta.Floor, d.meta.Floor
	if d.edge != nil {
		f.edge, f.edgeAt = d.edge.Edge, d.edge.Version
		f.version = max(f.version, d.edge.Version)
	}
	f.certs.held = make(map[string]certificateRecord)
	for _, r := range d.certificates {
		f.certs.held[r.Certificate.Name] = r
		f.version = max(f.version, r.Version)
	}
	f.certs.order()
	d.certificates = nil
	for _, r := range d.records {
		f.install(r)
		f.version = max(f.version, r.Version)
	}
	for _, id := range d.lost {
		f.lost[id] = platform.ValidAppID(id) == nil
	}
	f.orderChanges()
	d.records = nil
	f.work.Go(func() { f.followKeys(key) })
	return f, nil
}

// keyPause is the time between two looks at which key is the newest.
const keyPause = time.Minute

// followKeys seals everything anew when there is a newer key than under: then
// the older one can go.
func (f *Fleet) followKeys(under string) {
	tick := time.NewTicker(keyPause)
	defer tick.Stop()
	for {
		select {
		case <-f.closed.Done():
			return
		case <-tick.C:
		}
		key := f.disk.seals.Key()
		if key == under {
			continue
		}
		if err := f.reseal(); err != nil {
			f.log.Warn("state files stay as they were sealed", "err", err)
			continue
		}
		under = key
	}
}

func (f *Fleet) reseal() error {
	f.write.Lock()
	defer f.write.Unlock()
	f.mu.Lock()
	edge := edgeRecord{f.edgeAt, f.edge}
	records := make([]record, 0, len(f.apps))
	for _, a := range f.apps {
		records = append(records, a.record)
	}
	held := slices.Collect(maps.Values(f.certs.held))
	f.mu.Unlock()
	for _, r := range held {
		if err := f.disk.putCertificate(r); err != nil {
			return err
		}
	}
	if edge.Version > 0 {
		if err := f.disk.putEdge(edge); err != nil {
			return err
		}
	}
	for _, r := range records {
		if err := f.disk.putApp(r); err != nil {
			return err
		}
	}
	return nil
}

// Close ends every wait, the polls of the nodes among them, and brings the last
// files to the disk. Closing again does nothing.
func (f *Fleet) Close() {
	f.close()
	f.work.Wait()
	f.disk.files.Close()
}

// SetEdge sets what every router needs besides the apps and the certificates:
// see SetCertificates. Setting what is already set changes nothing.
func (f *Fleet) SetEdge(edge platform.EdgeState) (version int64, err error) {
	f.write.Lock()
	defer f.write.Unlock()
	edge.Certificates = nil
	if f.edgeAt > 0 && platform.Same(f.edge, edge) {
		return f.edgeAt, nil
	}
	version = f.next()
	if err := f.disk.putEdge(edgeRecord{version, edge}); err != nil {
		return 0, fmt.Errorf("keep the edge's state: %w", err)
	}
	f.mu.Lock()
	f.edge, f.edgeAt, f.version, f.said = edge, version, version, time.Now()
	f.mu.Unlock()
	f.wished.ring()
	return version, nil
}

// SetInstances sets which instances of an app run. doomed names those among
// them that will be taken away once others stand in for them: fleet keeps the
// list for whoever decides that, and nodes do not hear of it. Setting what is
// already set changes nothing and returns the app's version.
func (f *Fleet) SetInstances(id string, specs []platform.InstanceSpec, doomed ...string) (version int64, err error) {
	return f.change(id, func(r *record) {
		r.State.Instances = slices.Clone(specs)
		r.Doomed = doomed
	})
}

// SetRoute sets where the app's requests go; nil is nowhere.
func (f *Fleet) SetRoute(id string, route *platform.Route) (version int64, err error) {
	return f.change(id, func(r *record) { r.State.Route = route })
}

// Settled says that everything that shall be was said since Open. A fleet that
// lost its directory speaks to the nodes from then on.
func (f *Fleet) Settled() {
	f.mu.Lock()
	f.settled = true
	f.mu.Unlock()
	f.wished.ring()
}

// Problems says in words what is wrong with the fleet's own state.
func (f *Fleet) Problems() []string { return f.disk.problems() }

// Remove ends everything of the app. An unknown app is no error.
func (f *Fleet) Remove(id string) (version int64, err error) {
	f.mu.Lock()
	known := f.apps[id] != nil || f.lost[id]
	version = f.version
	f.mu.Unlock()
	if !known {
		return version, nil
	}
	return f.change(id, func(r *record) {
		r.State = platform.AppState{App: id}
		r.Doomed, r.Removed = nil, true
	})
}

// change makes one change of one app: the file first, so that no node acts on
// what a crash would take back. Without fsync the file survives kill -9 of
// this process; after a power cut no instance runs and the controller says
// everything again, so the disk may catch up behind.
func (f *Fleet) change(id string, edit func(*record)) (int64, error) {
	if err := platform.ValidAppID(id); err != nil {
		return 0, fmt.Errorf("app %q: %w", id, err)
	}
	f.write.Lock()
	defer f.write.Unlock()
	old, leaving := f.recordOf(id)
	r := old
	r.Removed = false
	edit(&r)
	r.State.App = id
	if old.Version > 0 && platform.Same(old, r) {
		return old.Version, nil
	}
	news, shift := !platform.Same(old.State, r.State) || old.Removed != r.Removed, !platform.Same(old.State.Route, r.State.Route)
	r.Leaving = leavingOf(leaving, old.State.Instances, r.State.Instances)
	r.Version = old.Version
	if news {
		r.Version = f.next()
	}
	if err := f.disk.putApp(r); err != nil {
		return 0, fmt.Errorf("keep the state of app %s: %w", id, err)
	}
	f.mu.Lock()
	f.install(r)
	delete(f.lost, id)
	f.said = time.Now()
	if news {
		f.version = max(f.version, r.Version)
		f.noteChange(r)
	}
	if shift {
		f.tell(id)
	}
	f.mu.Unlock()
	if news {
		f.wished.ring()
	}
	return r.Version, nil
}

// noteChange keeps what nodes ask for at hand: the apps that changed after a
// version. f.mu is held.
func (f *Fleet) noteChange(r record) {
	f.changes = append(f.changes, change{r.Version, r.State.App})
	if len(f.changes) > 2*len(f.apps)+64 {
		f.orderChanges()
	}
}

// orderChanges leaves one entry an app.
func (f *Fleet) orderChanges() {
	f.changes = make([]change, 0, len(f.apps))
	for id, a := range f.apps {
		f.changes = append(f.changes, change{a.Version, id})
	}
	slices.SortFunc(f.changes, func(a, b change) int { return cmp.Compare(a.version, b.version) })
}

// changedAfter yields the apps that changed after a version; f.mu is held.
func (f *Fleet) changedAfter(version int64) func(yield func(string, *app) bool) {
	return func(yield func(string, *app) bool) {
		from, _ := slices.BinarySearchFunc(f.changes, version+1, func(c change, v int64) int { return cmp.Compare(c.version, v) })
		for _, c := range f.changes[from:] {
			if a := f.apps[c.app]; a.Version == c.version && !yield(c.app, a) {
				return
			}
		}
	}
}

// recordOf returns an app's record and those of its leaving instances that a
// node may still have.
func (f *Fleet) recordOf(id string) (record, []platform.InstanceSpec) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.apps[id]
	if a == nil {
		return record{State: platform.AppState{App: id}}, nil
	}
	if !f.synced() {
		return a.record, a.Leaving
	}
	return a.record, slices.DeleteFunc(slices.Clone(a.Leaving), func(s platform.InstanceSpec) bool {
		_, seen := a.seen[s.ID]
		return !seen
	})
}

// leavingOf adds to leaving what is in old and not in wanted. What is needed
// to recognise it is kept, its environment is not.
func leavingOf(leaving, old, wanted []platform.InstanceSpec) []platform.InstanceSpec {
	staying := make(map[string]bool, len(wanted))
	for _, s := range wanted {
		staying[s.ID] = true
	}
	var left []platform.InstanceSpec
	for _, s := range slices.Concat(leaving, old) {
		if !staying[s.ID] {
			staying[s.ID] = true // once
			s.Spec = platform.Spec{}
			left = append(left, s)
		}
	}
	return left
}

// install puts a record into the memory; what was seen stays.
func (f *Fleet) install(r record) {
	a := f.apps[r.State.App]
	if a == nil {
		a = &app{seen: make(map[string]platform.Instance), cutovers: make(map[cutover]platform.CutoverReport)}
		f.apps[r.State.App] = a
	}
	a.record = r
	a.given = make(map[string]platform.InstanceSpec, len(r.State.Instances)+len(r.Leaving))
	for _, s := range slices.Concat(r.Leaving, r.State.Instances) {
		a.given[s.ID] = s
	}
	for _, s := range r.State.Instances {
		if i, found := f.unclaimed[s.App][s.ID]; found {
			delete(f.unclaimed[s.App], s.ID)
			f.takeInstance(i.Node, i)
		}
	}
}

func (f *Fleet) next() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.version + 1
}

// Wanted returns the instances last set for an app and the doomed among them.
func (f *Fleet) Wanted(id string) (specs []platform.InstanceSpec, doomed []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.apps[id]
	if a == nil {
		return nil, nil
	}
	return slices.Clone(a.State.Instances), slices.Clone(a.Doomed)
}

// Route returns the route last set for an app, which must not be changed, or nil.
func (f *Fleet) Route(id string) *platform.Route {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a := f.apps[id]; a != nil {
		return a.State.Route
	}
	return nil
}

// Apps returns the ids of the apps that something is wanted of, or was when
// their files were lost, in no order.
func (f *Fleet) Apps() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id, a := range f.apps {
		if !a.Removed {
			ids = append(ids, id)
		}
	}
	for id, valid := range f.lost {
		if valid {
			ids = append(ids, id)
		}
	}
	return ids
}
