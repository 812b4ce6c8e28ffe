package node

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/slipway-paas/slipway/internal/attach"
	"github.com/slipway-paas/slipway/internal/platform"
)

// maxOrders bounds how many orders are remembered as taken.
const maxOrders = 1000

// runs are the one-off commands under way.
type runs struct {
	mu    sync.Mutex
	taken map[string]bool // orders dialled back for
	live  sync.WaitGroup
	ctx   context.Context
	cut   context.CancelFunc
}

// begin reports whether the order is new; then end must follow.
func (r *runs) begin(life context.Context, order string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken[order] {
		return false
	}
	if r.ctx == nil {
		r.ctx, r.cut = context.WithCancel(life)
	}
	if r.taken == nil || len(r.taken) >= maxOrders {
		r.taken = make(map[string]bool)
	}
	r.taken[order] = true
	r.live.Add(1)
	return true
}

// wait returns when no run is under way; when ctx ends first, they are cut off.
func (r *runs) wait(ctx context.Context) error {
	over := make(chan struct{})
	go func() { r.live.Wait(); close(over) }()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	cut := r.cut
	r.mu.Unlock()
	if cut == nil {
		return nil // there never was one
	}
	cut()
	<-over
	return ctx.Err()
}

// run takes a command: it dials back to whoever asked and joins the two ends.
// It returns at once.
func (n *node) run(order platform.RunOrder) {
	if !n.runs.begin(n.life, order.ID) {
		return
	}
	go func() {
		defer n.runs.live.Done()
		app, instance := order.Spec.App, cmp.Or(order.Instance, order.Spec.ID)
		conn, err := n.link.attach(n.runs.ctx, order.ID)
		if err != nil {
			n.log.Warn("nobody waits for the run", "app", app, "instance", instance, "err", err)
			return
		}
		open := attach.Open{Terminal: order.Terminal, Term: order.Term, Size: order.Size}
		err = attach.Serve(n.runs.ctx, conn, open, func(ctx context.Context, stream platform.IO) (int, error) {
			if order.Merged {
				stream.Stderr = stream.Stdout
			}
			if order.Instance != "" {
				return n.exec(ctx, order, stream)
			}
			return n.runtime.Run(ctx, order.Spec, stream)
		})
		if err != nil {
			n.log.Info("run was cut off", "app", app, "instance", instance, "err", err)
		}
	}()
}

// exec runs a command inside an instance. That the runtime knows no such
// instance means here that none runs now: who asked has seen it.
func (n *node) exec(ctx context.Context, order platform.RunOrder, stream platform.IO) (int, error) {
	code, err := n.runtime.Exec(ctx, order.Instance, order.Argv, stream)
	if errors.Is(err, platform.ErrNotFound) {
		return 0, &platform.UserError{
			Kind:    platform.ErrConflict,
			Message: order.Instance + " is not running: it ended, or has not begun yet",
		}
	}
	return code, err
}
