// Package node is the data plane of one machine: it is handed a runtime and
// the way to the control plane, keeps the instances running that are wanted
// here, leads requests to them through the router, and hands back what it
// sees: states, exits, log lines, request counts.
//
// It pulls what is wanted and remembers it on its disk, so it serves without
// the control plane, also after a power cut. Instances outlive it: it adopts
// what runs. A second node started on the same directory takes over from the
// first without dropping a connection; see succession.go.
package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/access"
	"github.com/slipway-paas/slipway/internal/keep"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
	"github.com/slipway-paas/slipway/internal/runtime"
	"github.com/slipway-paas/slipway/internal/secret"
)

// Options are what a node is started with.
type Options struct {
	// ID names the machine, in [A-Za-z0-9._-]. Required; it must stay the same
	// for the life of Dir.
	ID string
	// Dir keeps the last state; made with mode 0700. One node at a time
	// supervises it. Required.
	Dir string
	// Keys seal what is secret in Dir: the apps' environment, the keys of
	// certificates, the registry's password. Nil keeps it in the clear, for tests.
	Keys *secret.Ring
	// Problem, when not empty, is something that is wrong with how the node was
	// started, in words; it is told until the node ends.
	Problem string
	// ControlSocket is the unix socket of the control plane. It need not be
	// there yet. Required.
	ControlSocket string
	// Socket is where this node answers its own machine: status, stop, and the
	// hand-over to a successor. Default Dir/node.sock.
	Socket string
	// HTTP and HTTPS are the addresses the router listens at, such as ":8080".
	// Empty: not at all.
	HTTP, HTTPS string
	// HTTP3 serves HTTP/3 at the UDP port of HTTPS.
	HTTP3 bool
	// Listen opens the door of an option, "--http" or "--https". Its error is
	// shown as it is. Default net.Listen.
	Listen func(option, address string) (net.Listener, error)
	// DrainTimeout bounds how long a node that leaves waits for the requests,
	// WebSockets and one-off runs it has. Default 60 s; then they are cut off.
	DrainTimeout time.Duration
	// Router are the router's settings. Access, Sampled, LedBack and Stirred are the node's to set.
	Router router.Options
	// Access says how requests are written down. An empty path: not at all;
	// AppLog: each app's in its own log.
	Access access.LogOptions
	// Reopen, when not nil, has the access log's file opened again.
	Reopen <-chan os.Signal
	// Metrics is an address at which whoever asks is told the metrics, at
	// /metrics. Empty: Socket alone tells them. Keep it on loopback: they name
	// every app.
	Metrics string
	// Trial is for how long this node could go on in place of a successor that
	// dies. Default 5 s.
	Trial time.Duration
	// Serving, when not nil, is called once the node accepts requests.
	Serving func(Info)
	// Version is the program's, for the list of nodes.
	Version string
}

func (o Options) withDefaults() Options {
	o.Socket = cmp.Or(o.Socket, filepath.Join(o.Dir, "node.sock"))
	o.DrainTimeout = cmp.Or(o.DrainTimeout, time.Minute)
	o.Trial = cmp.Or(o.Trial, 5*time.Second)
	if o.Listen == nil {
		o.Listen = listen
	}
	return o
}

// Node is a running node.
type node struct {
	log     *slog.Logger
	opt     Options
	runtime runtime.Runtime
	link    *link
	file    *stateFile
	router  *router.Router
	front   *front
	super   *supervisor
	reports *reporter
	logs    *shipper
	puller  *puller
	doors   atomic.Pointer[doors]
	ports   *ports
	runs    runs

	access   *access.Log // nil: nothing is written
	exporter *access.Exporter

	stop        chan bool       // from the own socket: end, with the instances or without
	succeeded   chan *successor // who has taken over
	substitutes atomic.Bool     // for a successor that died: see trial.go

	// Of the goroutine that serves alone.
	control     *control
	shutMetrics func()

	heir    heir
	lock    *os.File
	handing sync.Mutex      // held while a successor takes over
	life    context.Context // of all that outlasts the duties
	serving context.Context // ends when the node begins to leave
	leave   context.CancelFunc
	mu      sync.Mutex
	duties  *duties // nil: frozen
}

// Run is a node until ctx ends, Stop is called, or a successor has taken over
// and the last request is answered; then it returns nil. Instances run on
// unless Stop says otherwise. A node that runs already on o.Dir hands over; one
// that is dead or hangs is replaced. rt must be new: Run calls its Adopt.
//
// An error that matches platform.ErrConflict is a state directory of a newer
// format or an address that somebody else holds.
func Run(ctx context.Context, log *slog.Logger, o Options, rt runtime.Runtime) error {
	o = o.withDefaults()
	if o.ID == "" || o.Dir == "" || o.ControlSocket == "" {
		return errors.New("a node needs an id, a directory and a control socket")
	}
	file, err := openStateFile(log, o.Dir, keep.Seals(o.Keys))
	if err != nil {
		return fmt.Errorf("make the node's directory: %w", err)
	}
	defer file.close()
	if _, err := file.load(); err != nil { // before anybody is asked to leave
		return err
	}
	estate, err := succeed(ctx, log, o)
	if err != nil {
		return err
	}
	defer estate.lock.Close()
	n := &node{log: log, opt: o, runtime: rt, file: file, lock: estate.lock, stop: make(chan bool), succeeded: make(chan *successor)}
	// The one before has written its last.
	have, err := file.load()
	if err == nil {
		err = n.assemble()
	}
	if err != nil {
		estate.decline()
		return err
	}
	defer n.heir.set(nil)
	defer n.link.close()
	defer n.logs.close()
	defer n.closeAccess()
	return n.serve(ctx, have, estate)
}

// assemble makes the parts and connects them.
func (n *node) assemble() (err error) {
	n.link = newLink(n.opt.ID, n.opt.ControlSocket)
	if err := n.openAccess(); err != nil {
		return err
	}
	led := make(chan struct{}, 1)
	n.opt.Router.LedBack = func() { nudge(led) }
	n.opt.Router.Stirred = func() { nudge(n.reports.stirred) }
	n.router = router.New(n.log, n.opt.Router)
	n.exporter = access.NewExporter(n.router.Metrics(), n.access, n.router.Snapshot)
	n.front = &front{Router: n.router}
	n.reports = newReporter(n.link, n.describe())
	n.logs, err = newShipper(n.log, n.link, filepath.Join(n.opt.Dir, "unshipped"), n.forgetOutput)
	if err != nil {
		return err
	}
	n.ports = &ports{log: n.log, router: n.router, reports: n.reports, host: hostOf(n.opt.HTTP), gaveUp: n.endTrial, listening: make(map[int]net.Listener)}
	marks := marks{n.log, filepath.Join(n.opt.Dir, "hooks")}
	n.super = newSupervisor(n.log, n.opt.ID, n.runtime, n.front, n.logs, n.reports, marks)
	n.reports.look, n.reports.cutovers, n.reports.edge = n.super.look, n.router.Cutovers, n.router.Problems
	n.reports.asked, n.reports.news = n.router.Asked, n.router.News
	n.router.OnAsked(func() { nudge(n.reports.prompt) })
	n.puller = &puller{
		log: n.log, link: n.link, socket: n.opt.ControlSocket, file: n.file, router: n.front,
		super: n.super, reports: n.reports, logs: n.logs, registry: n.setRegistry, run: n.run, reseal: n.reseal, routed: n.ports.follow,
		led: led, cutovers: n.router.Cutovers, heard: n.router.Heard,
	}
	return nil
}

func (n *node) describe() platform.RuntimeInfo {
	var info platform.RuntimeInfo
	if d, ok := n.runtime.(runtime.Describer); ok {
		info = d.Describe()
	}
	info.Name = cmp.Or(info.Name, "runtime") // a node without a name runs nothing
	info.Pid = os.Getpid()
	info.Version = cmp.Or(n.opt.Version, info.Version)
	return info
}

func (n *node) forgetOutput(id string) error {
	if o, ok := n.runtime.(runtime.Outputs); ok {
		return o.Forget(id)
	}
	return nil
}

// reseal tells a runtime that keeps secrets that there is a newer key.
func (n *node) reseal() {
	if r, ok := n.runtime.(interface{ Reseal() error }); ok {
		if err := r.Reseal(); err != nil {
			n.log.Warn("secrets of instances stay as they were sealed", "err", err)
		}
	}
}

// setRegistry tells a runtime that pulls images from where.
func (n *node) setRegistry(edge platform.EdgeState) {
	if r, ok := n.runtime.(interface {
		SetRegistry(host, user, password string)
	}); ok && edge.Registry != "" {
		r.SetRegistry(edge.Registry, edge.RegistryUser, edge.RegistryPassword)
	}
}

// serve is the life of a node, in the order that drops nothing: what runs is
// known before the first request is taken, requests are taken before the one
// before stops taking them, and nothing is started or stopped before it is gone
// from its duties.
func (n *node) serve(ctx context.Context, have state, e *estate) error {
	defer n.router.Close()
	if have.Epoch != "" {
		n.link.epoch.Store(&have.Epoch)
	}
	n.puller.have, n.reports.acked = have, have.Version
	n.reports.problem("keys", n.file.shut)
	n.reports.problem("start", n.opt.Problem)
	n.setRegistry(have.Edge)
	running, err := n.runtime.Adopt(ctx)
	if err != nil {
		e.decline()
		return fmt.Errorf("adopt what runs: %w", err)
	}
	n.router.SetCertificates(have.certificates(), nil)
	n.router.SetAll(have.Edge, have.routes())
	looking, cancel := context.WithTimeout(ctx, time.Second)
	n.super.adopt(looking, running)
	cancel()
	n.super.expect(have.specs())
	n.super.marks.tidy(n.super.has)
	n.logs.reclaim(n.super.has)
	n.inherit(ctx, e.predecessor)

	if n.control, err = n.openSocket(); err != nil {
		e.decline()
		return err
	}
	var end context.CancelFunc
	n.life, end = context.WithCancel(context.WithoutCancel(ctx))
	n.serving, n.leave = context.WithCancel(n.life)
	var work sync.WaitGroup
	defer work.Wait()
	defer end()
	failed := make(chan error, 2)
	err = e.awaited(n.life, n.opt.Socket)
	if err == nil {
		err = n.open(e, &work, failed)
	}
	if err != nil {
		n.control.decline()
		e.decline()
		return err
	}
	n.serveHTTP3(&work)
	work.Go(func() { n.reopenAccess(n.opt.Reopen, n.life.Done()) })
	work.Go(func() { n.takeConnections(e.connections) })
	if err := e.take(n.life, n.log, n.opt.Socket); err != nil {
		n.control.decline()
		n.drain(false) // what it has accepted meanwhile
		return err
	}
	n.front.old = e.predecessor
	if err := n.file.reseal(have); err != nil {
		n.log.Warn("secrets of the last state stay as they were sealed", "err", err)
	}
	work.Go(func() { n.super.hear(n.life) })
	n.resumeDuties() // before it can be asked to give them up
	defer n.freezeDuties()
	if err := n.control.answer(); err != nil {
		n.log.Error("node cannot be asked or replaced until it is started again", "err", err)
	}
	defer func() { n.control.close() }()
	doors := n.doors.Load()
	n.log.Info("node serves", "http", doors.address("http"), "https", doors.address("https"), "version", have.Version, "instances", len(running))
	if n.opt.Serving != nil {
		n.opt.Serving(n.info())
	}

	return n.untilEnd(ctx, &work, failed)
}

// untilEnd waits for what ends the node, and ends it.
func (n *node) untilEnd(ctx context.Context, work *sync.WaitGroup, failed chan error) error {
	for {
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			n.drain(false)
			return nil
		case instances := <-n.stop:
			n.drain(instances)
			return nil
		case s := <-n.succeeded:
			if kept := n.tryOut(ctx, s); kept == nil {
				n.retire(s)
				return nil
			} else if err := n.substitute(kept, work, failed); err != nil {
				return err
			}
		}
	}
}

// open serves at the listeners of the estate and at those that it lacks.
func (n *node) open(e *estate, work *sync.WaitGroup, failed chan<- error) error {
	inherited := e.portListeners()
	doors, err := openDoors(n.opt, e.listeners)
	if err != nil {
		closeAll(inherited)
		return err
	}
	n.doors.Store(doors)
	doors.serve(work, n.router, failed)
	n.serveMetrics(work, doors.metrics, n.life.Done())
	n.ports.open(work, inherited)
	return nil
}

// awaitPredecessor waits for the end of the node before, which hears of the
// successor's changes by this one.
func (n *node) awaitPredecessor() {
	if n.front.old == nil {
		return
	}
	late := time.NewTimer(n.opt.DrainTimeout) // its own began before ours
	defer late.Stop()
	select {
	case <-n.front.old.gone:
	case <-late.C:
	}
}

// drain ends the node's serving: nothing new is accepted, what is under way is
// finished. If asked to, the instances are ended after their requests.
func (n *node) drain(instances bool) {
	limit, cancel := context.WithTimeout(context.Background(), n.opt.DrainTimeout)
	defer cancel()
	n.leave()
	n.endTrial() // its end is no death
	n.stopPulling()
	n.router.StartDraining()
	if instances {
		n.super.stopAll(limit) // after their requests; nothing else is served
		if r, ok := n.runtime.(runtime.Retirer); ok {
			limit, cancel := context.WithTimeout(context.Background(), n.opt.DrainTimeout)
			defer cancel()
			if err := r.Retire(limit); err != nil {
				n.log.Warn("something of the runtime is left", "err", err)
			}
		}
		return
	}
	if err := n.runs.wait(limit); err != nil {
		n.log.Warn("one-off runs were cut off", "err", err)
	}
	if err := n.router.Drained(limit); err != nil {
		n.log.Warn("requests were cut off", "err", err)
	}
}

// duties are what only the node that supervises does.
type duties struct {
	cancel context.CancelFunc
	pull   context.CancelFunc
	pulled chan struct{}
	work   sync.WaitGroup
}

// resumeDuties begins them; freezeDuties ends them and returns when nothing of
// them moves any more. Either may follow the other.
func (n *node) resumeDuties() {
	n.mu.Lock()
	defer n.mu.Unlock()
	ctx, cancel := context.WithCancel(n.life)
	d := &duties{cancel: cancel, pulled: make(chan struct{})}
	var pulling context.Context
	pulling, d.pull = context.WithCancel(ctx)
	n.super.activate(ctx)
	d.work.Go(func() { n.reports.run(ctx) })
	d.work.Go(func() { n.logs.run(ctx) })
	d.work.Go(func() { n.puller.recall(ctx) })
	d.work.Go(func() { defer close(d.pulled); n.puller.pull(pulling) })
	n.duties = d
}

func (n *node) freezeDuties() (had bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.duties
	if d == nil {
		return false
	}
	n.duties = nil
	d.pull()
	<-d.pulled
	n.super.freeze()
	d.cancel()
	d.work.Wait()
	return true
}

// stopPulling keeps what is wanted from changing; the rest goes on.
func (n *node) stopPulling() {
	n.mu.Lock()
	d := n.duties
	n.mu.Unlock()
	if d != nil {
		d.pull()
		<-d.pulled
	}
}
