package fleet

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// absent is how long a node may be without a connection and still counts as
// connected: the pause in which it dials again.
const absent = 5 * time.Second

// maxVersion bounds what a node can lift the version to.
const maxVersion = 1 << 53

// maxNodes bounds how many nodes are remembered.
const maxNodes = 1000

// node is what is known of one node; guarded by Fleet.mu.
type node struct {
	id       string
	polls    int       // long polls open now
	last     time.Time // last sign of life
	acked    int64     // in this epoch
	full     bool      // it has reported everything since Open
	runtime  platform.RuntimeInfo
	problems []string
	refused  map[string]platform.Refusal // by app
	hearsay  hearsay
}

func (n *node) connected() bool { return n.polls > 0 || time.Since(n.last) < absent }

// cutover keys a router's count. A router that was replaced during a cutover
// has left its count; the one after it counts on from its own start.
type cutover struct {
	node    string
	n       int64
	started int64 // UnixNano
}

// maxCounts bounds how many counts are kept of an app.
const maxCounts = 64

// Node is one node as its own reports describe it.
type Node struct {
	ID        string
	Connected bool
	LastSeen  time.Time
	Acked     int64 // the last version it has wholly applied
	Runtime   platform.RuntimeInfo
	Problems  []string
}

// Nodes lists the nodes that were seen since Open, by id.
func (f *Fleet) Nodes() []Node {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []Node
	for _, n := range f.nodes {
		all = append(all, Node{n.id, n.connected(), n.last, n.acked, n.runtime, slices.Clone(n.problems)})
	}
	slices.SortFunc(all, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Acked blocks until every connected node has applied the version: its routes
// are in force, its instances were asked for. The error matches
// platform.ErrUnavailable when ctx ends before.
func (f *Fleet) Acked(ctx context.Context, version int64) error {
	err := f.until(ctx, func() bool {
		behind, connected := f.behind(version)
		return connected && len(behind) == 0
	})
	if err == nil {
		return nil
	}
	f.mu.Lock()
	behind, connected := f.behind(version)
	f.mu.Unlock()
	if !connected {
		return fmt.Errorf("no node is connected, start one with slipway node: %w: %w", platform.ErrUnavailable, err)
	}
	return fmt.Errorf("nodes %v have not applied version %d: %w: %w", behind, version, platform.ErrUnavailable, err)
}

// Told is Acked for who does not wait for nodes that are away: none connected is
// no error. It returns ctx's when that ends first.
func (f *Fleet) Told(ctx context.Context, version int64) error {
	return f.until(ctx, func() bool {
		behind, _ := f.behind(version)
		return len(behind) == 0
	})
}

// Refused says which connected node could not have what the version said of the
// app, and why: it has applied the rest, and serves the app as before. Empty:
// none. It is to be asked after Acked.
func (f *Fleet) Refused(app string, version int64) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.nodes {
		if r, refused := n.refused[app]; refused && r.Version >= version && n.connected() {
			return fmt.Sprintf("node %s: %s", n.id, r.Why)
		}
	}
	return ""
}

// behind lists connected nodes that have not applied version; f.mu is held.
func (f *Fleet) behind(version int64) (ids []string, connected bool) {
	for _, n := range f.nodes {
		if !n.connected() {
			continue
		}
		connected = true
		if n.acked < version {
			ids = append(ids, n.id)
		}
	}
	return ids, connected
}

// Synced reports whether a node is connected and every connected one has told
// all it runs since Open. Before, an instance missing from Instances may run.
func (f *Fleet) Synced() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.synced()
}

func (f *Fleet) synced() bool {
	connected := false
	for _, n := range f.nodes {
		if n.connected() {
			connected = true
			if !n.full {
				return false
			}
		}
	}
	return connected
}

// WaitSynced blocks until Synced; the error matches platform.ErrUnavailable
// when ctx ends before.
func (f *Fleet) WaitSynced(ctx context.Context) error {
	if err := f.until(ctx, f.synced); err != nil {
		return fmt.Errorf("no node has reported yet, start one with slipway node: %w: %w", platform.ErrUnavailable, err)
	}
	return nil
}

// until blocks until the condition, asked with f.mu held, is true.
func (f *Fleet) until(ctx context.Context, condition func() bool) error {
	for {
		heard := f.heard.next()
		f.mu.Lock()
		met := condition()
		f.mu.Unlock()
		if met {
			return nil
		}
		again := time.NewTimer(time.Second) // a node may have been absent too long
		select {
		case <-ctx.Done():
			again.Stop()
			return ctx.Err()
		case <-f.closed.Done():
			again.Stop()
			return context.Canceled
		case <-heard:
		case <-again.C:
		}
		again.Stop()
	}
}

// Instances lists an app's instances as the nodes reported them, by id.
func (f *Fleet) Instances(id string) []platform.Instance {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.apps[id]
	if a == nil {
		return nil
	}
	all := make([]platform.Instance, 0, len(a.seen))
	for _, i := range a.seen {
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b platform.Instance) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Unclaimed lists, by id, the instances of an app that nodes run though this
// fleet never asked for them: it lost its directory, and an earlier one did.
// Whoever asks for one by its name and its very spec keeps it running.
func (f *Fleet) Unclaimed(id string) []platform.Instance {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []platform.Instance
	for _, i := range f.unclaimed[id] {
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b platform.Instance) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Cutover adds up what the routers have counted of an app's cutover n; false
// when none has begun to.
func (f *Fleet) Cutover(id string, n int64) (platform.CutoverReport, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.apps[id]
	if a == nil {
		return platform.CutoverReport{}, false
	}
	var sum platform.CutoverReport
	found := false
	for key, c := range a.cutovers {
		switch {
		case key.n != n:
		case !found:
			sum, found = c, true
		default:
			sum = sum.Add(c)
		}
	}
	return sum, found
}

// node returns the node, made when it is new, or nil when there are too many; f.mu is held.
func (f *Fleet) node(id string) *node {
	n := f.nodes[id]
	if n == nil {
		if len(f.nodes) >= maxNodes {
			return nil
		}
		n = &node{id: id}
		f.nodes[id] = n
	}
	n.last = time.Now()
	return n
}

// lift keeps the versions growing when files were lost: a node that knows a
// higher one gets everything, under a higher one still. f.mu is held.
func (f *Fleet) lift(version int64) {
	if version > f.version && version < maxVersion {
		f.version = version + 1
		f.floor = f.version
	}
}

// report takes what a node says. It returns false when the node must say
// everything, as this process has not heard it yet.
func (f *Fleet) report(r platform.NodeReport, epoch string) bool {
	f.mu.Lock()
	defer f.heard.ring()
	defer f.mu.Unlock()
	n := f.node(r.Node)
	if n == nil {
		return true
	}
	f.lift(r.Acked)
	if epoch == f.disk.meta.Epoch && r.Acked <= f.version {
		n.acked = r.Acked
		n.refused = make(map[string]platform.Refusal, len(r.Refused))
		for _, refusal := range r.Refused {
			n.refused[refusal.App] = refusal
		}
	}
	if n.runtime.Name != r.Runtime.Name {
		f.wished.ring() // runs may wait for it
	}
	n.runtime, n.problems = r.Runtime, r.Problems
	f.takeCutovers(r)
	f.takeNews(n, r.News)
	if !r.Full && !n.full {
		return false
	}
	if r.Full {
		n.full = true
		f.dropUnreported(r)
	}
	for _, i := range r.Instances {
		f.takeInstance(r.Node, i)
	}
	for _, id := range r.Gone {
		app := f.homes[id]
		delete(f.unclaimed[app], id)
		if a := f.apps[app]; a != nil && a.seen[id].Node == r.Node {
			f.forgetInstance(app, id)
		}
	}
	return true
}

// dropUnreported forgets what a full report no longer has.
func (f *Fleet) dropUnreported(r platform.NodeReport) {
	reported := make(map[string]bool, len(r.Instances))
	for _, i := range r.Instances {
		reported[i.ID] = true
	}
	for name, a := range f.apps {
		for id, i := range a.seen {
			if i.Node == r.Node && !reported[id] {
				f.forgetInstance(name, id)
			}
		}
	}
	for _, all := range f.unclaimed {
		for id, i := range all {
			if i.Node == r.Node && !reported[id] {
				delete(all, id)
			}
		}
	}
}

// forgetInstance takes note that an instance is gone; f.mu is held.
func (f *Fleet) forgetInstance(app, id string) {
	delete(f.apps[app].seen, id)
	delete(f.homes, id)
	f.tell(app)
}

// takeInstance believes a node only about instances it was given, and what
// they are is taken from what was given.
func (f *Fleet) takeInstance(node string, i platform.Instance) {
	spec, given := platform.InstanceSpec{}, false
	a := f.apps[i.App]
	if a != nil {
		spec, given = a.given[i.ID]
	}
	if !given {
		if f.disk.fresh {
			i.Node = node
			if f.unclaimed[i.App] == nil {
				f.unclaimed[i.App] = make(map[string]platform.Instance)
			}
			f.unclaimed[i.App][i.ID] = i
			f.homes[i.ID] = i.App
		}
		return
	}
	f.homes[i.ID] = i.App
	i.Node, i.App, i.Process, i.Release, i.Revision = node, spec.App, spec.Process, spec.Release, spec.Revision
	before, known := a.seen[i.ID]
	a.seen[i.ID] = i
	before.InFlight = i.InFlight
	if !known || !platform.Same(before, i) {
		f.tell(i.App)
	}
}

func (f *Fleet) takeCutovers(r platform.NodeReport) {
	for _, c := range r.Cutovers {
		a := f.apps[c.App]
		if a == nil || a.State.Route == nil || c.Cutover > a.State.Route.Cutover || c.Cutover <= a.State.Route.Cutover-8 {
			continue
		}
		key := cutover{r.Node, c.Cutover, c.Started.UnixNano()}
		before, known := a.cutovers[key]
		if known && before == c || !known && len(a.cutovers) >= maxCounts {
			continue
		}
		a.cutovers[key] = c
		for k, old := range a.cutovers {
			switch {
			case k.n <= a.State.Route.Cutover-8:
				delete(a.cutovers, k)
			case k.node == key.node && k.n == key.n && k.started < key.started:
				old.Draining = 0 // that router has gone
				old.OldLately, old.NewLately = platform.SideCount{}, platform.SideCount{}
				a.cutovers[k] = old
			}
		}
		f.tell(c.App)
	}
}
