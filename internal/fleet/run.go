package fleet

import (
	"context"
	"crypto/rand"
	"fmt"
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

// run is a one-off command a node has not dialled back for.
type run struct {
	order    platform.RunOrder
	node     string    // that was told
	told     time.Time // zero: nobody was
	dialled  chan *websocket.Conn
	finished chan struct{}
}

// Run runs spec once on a node, attached to stream, and blocks until it ends.
// The error matches platform.ErrUnavailable when no node takes it.
func (f *Fleet) Run(ctx context.Context, spec platform.InstanceSpec, stream platform.IO) (exit int, err error) {
	r := &run{
		order:    platform.RunOrder{ID: rand.Text(), Spec: spec},
		dialled:  make(chan *websocket.Conn),
		finished: make(chan struct{}),
	}
	if t := stream.Terminal; t != nil {
		r.order.Terminal, r.order.Term, r.order.Size = true, t.Term, t.Size
	}
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
		return 0, fmt.Errorf("run %s: %w", spec.ID, err)
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
		if r.told.IsZero() {
			r.told, r.node = time.Now(), n.id
			orders = append(orders, r.order)
		}
	}
	return orders
}
