package fleet

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/slipway-paas/slipway/internal/attach"
	"github.com/slipway-paas/slipway/internal/platform"
)

// How long a node may take to dial back for a run.
const (
	redeliver = 5 * time.Second  // the answer that carried the order was lost
	giveUp    = 15 * time.Second // no node is there, or none can
)

// run is a command a node has not dialled back for.
type run struct {
	order    platform.RunOrder
	only     string    // the node that can; empty: any
	node     string    // that was told
	told     time.Time // zero: nobody was
	dialled  chan *websocket.Conn
	finished chan struct{}
}

// Run runs spec once on a node, attached to stream, and blocks until it ends.
// The error matches platform.ErrUnavailable when no node takes it.
func (f *Fleet) Run(ctx context.Context, spec platform.InstanceSpec, stream platform.IO) (exit int, err error) {
	return f.order(ctx, "run "+spec.ID, "", platform.RunOrder{Spec: spec}, stream)
}

// maxCommand bounds a command line, in bytes, as Linux bounds one argument.
const maxCommand = 128 << 10

// Exec runs argv inside a running instance of the app on the node that has it:
// see scheduler.Scheduler.
func (f *Fleet) Exec(ctx context.Context, app, instance string, argv []string, stream platform.IO) (exit int, err error) {
	if err := checkCommand(argv); err != nil {
		return 0, err
	}
	node, err := f.nodeOf(app, instance)
	if err != nil {
		return 0, err
	}
	return f.order(ctx, "exec in "+instance, node, platform.RunOrder{Instance: instance, Argv: argv}, stream)
}

func checkCommand(argv []string) error {
	size := 0
	for _, arg := range argv {
		if strings.ContainsRune(arg, 0) {
			return platform.Invalid("command", "a command cannot contain a NUL byte")
		}
		size += len(arg) + 1
	}
	switch {
	case len(argv) == 0 || argv[0] == "":
		return platform.Invalid("command", "there is no command to run")
	case size > maxCommand:
		return platform.Invalid("command", "the command is longer than %d bytes", maxCommand)
	}
	return nil
}

// nodeOf names the node that runs the instance.
func (f *Fleet) nodeOf(app, instance string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.apps[app]
	if a == nil {
		return "", &platform.NotFoundError{Kind: "Instance", ID: instance}
	}
	seen, known := a.seen[instance]
	if !known {
		if _, given := a.given[instance]; !given {
			return "", &platform.NotFoundError{Kind: "Instance", ID: instance}
		}
		return "", notRunning(instance, "no node has started it yet")
	}
	switch seen.State {
	case platform.InstanceCrashed, platform.InstanceError:
		return "", notRunning(instance, cmp.Or(seen.Message, string(seen.State)))
	case platform.InstanceStarting, platform.InstanceUp, platform.InstanceDown, platform.InstanceTerminating:
	}
	return seen.Node, nil
}

func notRunning(instance, why string) error {
	return &platform.UserError{Kind: platform.ErrConflict, Message: fmt.Sprintf("%s is not running: %s", instance, why)}
}

// order hands an order to a node and joins the two ends. What the node says of
// the command comes as it was said.
func (f *Fleet) order(ctx context.Context, what, only string, order platform.RunOrder, stream platform.IO) (exit int, err error) {
	order.ID, order.Merged = rand.Text(), stream.Merged
	if t := stream.Terminal; t != nil {
		order.Terminal, order.Term, order.Size = true, t.Term, t.Size
	}
	r := &run{order: order, only: only, dialled: make(chan *websocket.Conn), finished: make(chan struct{})}
	f.mu.Lock()
	f.runs[r.order.ID] = r
	f.mu.Unlock()
	defer func() {
		close(r.finished)
		f.mu.Lock()
		delete(f.runs, r.order.ID)
		f.mu.Unlock()
	}()
	f.wished.ring()
	conn, err := f.dialBack(ctx, r)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	return attach.Join(ctx, conn, stream)
}

func (f *Fleet) dialBack(ctx context.Context, r *run) (*websocket.Conn, error) {
	again := time.NewTicker(redeliver)
	defer again.Stop()
	over := time.NewTimer(giveUp)
	defer over.Stop()
	for {
		select {
		case conn := <-r.dialled:
			return conn, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-f.closed.Done():
			return nil, fmt.Errorf("the control plane stops: %w", platform.ErrUnavailable)
		case <-over.C:
			if r.only != "" {
				return nil, fmt.Errorf("node %s does not answer, start it with slipway node: %w", r.only, platform.ErrUnavailable)
			}
			return nil, fmt.Errorf("no node took it, start one with slipway node: %w", platform.ErrUnavailable)
		case <-again.C:
			f.mu.Lock()
			r.told = time.Time{}
			f.mu.Unlock()
			f.wished.ring()
		}
	}
}

// orders returns the runs the node shall begin, and notes that it was told;
// f.mu is held.
func (f *Fleet) orders(n *node) []platform.RunOrder {
	if n.runtime.Name == "" {
		return nil // a router alone, or not introduced yet
	}
	var orders []platform.RunOrder
	for _, r := range f.runs {
		if r.told.IsZero() && (r.only == "" || r.only == n.id) {
			r.told, r.node = time.Now(), n.id
			orders = append(orders, r.order)
		}
	}
	return orders
}
