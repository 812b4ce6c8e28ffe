package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// predecessor is the older node, as the new one sees it.
type predecessor struct {
	conn    *net.UnixConn
	retired chan struct{} // closed when it said so
	gone    chan struct{} // closed when it ended
	// counted is told what it counts of cutovers; nil: it has ended.
	counted func([]platform.CutoverReport)

	mu      sync.Mutex
	drained map[string]chan struct{}
}

func newPredecessor(conn *net.UnixConn) *predecessor {
	return &predecessor{
		conn: conn, retired: make(chan struct{}), gone: make(chan struct{}),
		drained: make(map[string]chan struct{}),
	}
}

// ended reports whether the conversation has, before anything was said.
func (p *predecessor) ended() (over bool) {
	raw, err := p.conn.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) //nolint:gosec // a descriptor
			over = n > 0
		})
	}
	return over || err != nil
}

// retire returns false when the older node ended the conversation without a word:
// it has died, or gone on.
func (p *predecessor) retire(log *slog.Logger) bool {
	go p.listen()
	p.tell(tableChange{Take: true, Tried: true})
	late := time.NewTimer(takenTime) // requests are served meanwhile, and an old one with many has much to do
	defer late.Stop()
	select {
	case <-p.retired:
	case <-p.gone:
		select {
		case <-p.retired: // and then gone
		default:
			return false
		}
	case <-late.C:
		killPeer(log, p.conn)
	}
	return true
}

// listen reads what the older node says until it ends.
func (p *predecessor) listen() {
	defer close(p.gone)
	defer p.counted(nil)
	defer p.conn.Close()
	lines := json.NewDecoder(p.conn)
	for {
		var c tableChange
		if err := lines.Decode(&c); err != nil {
			return
		}
		switch {
		case c.Retired:
			close(p.retired)
		case len(c.Cutovers) > 0:
			p.counted(c.Cutovers)
		case c.Drained != "":
			p.mu.Lock()
			if done := p.drained[c.Drained]; done != nil {
				close(done)
				delete(p.drained, c.Drained)
			}
			p.mu.Unlock()
		}
	}
}

// tell sends a change; a predecessor that does not take it is given up.
func (p *predecessor) tell(c tableChange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.conn.SetWriteDeadline(time.Now().Add(time.Second))
	if err := json.NewEncoder(p.conn).Encode(c); err != nil {
		_ = p.conn.Close()
	}
}

// drain blocks until nothing is open to the instance there.
func (p *predecessor) drain(ctx context.Context, id string) error {
	p.mu.Lock()
	done := p.drained[id]
	if done == nil {
		done = make(chan struct{})
		p.drained[id] = done
	}
	p.mu.Unlock()
	p.tell(tableChange{Drain: id})
	select {
	case <-done:
	case <-p.gone:
	case <-ctx.Done():
		return fmt.Errorf("drain %s in the node before: %w", id, ctx.Err())
	}
	return nil
}

// front is the router, and behind it the older node's while that one drains.
type front struct {
	*router.Router
	old *predecessor // nil: there is none
}

func (f *front) tell(c tableChange) {
	if f.old == nil {
		return
	}
	select {
	case <-f.old.gone:
	default:
		f.old.tell(c)
	}
}

func (f *front) SetEdge(state platform.EdgeState) {
	f.Router.SetEdge(state)
	f.tell(tableChange{Edge: &state})
}

func (f *front) SetRoute(app string, route *platform.Route) {
	f.Router.SetRoute(app, route)
	if route == nil {
		f.tell(tableChange{Unroute: app})
	} else {
		f.tell(tableChange{Route: route})
	}
}

func (f *front) SetPorts(id, address string, ports map[int]string, up bool) {
	f.Router.SetPorts(id, address, ports, up)
	f.tell(tableChange{Instance: &instanceChange{id, address, up, ports}})
}

func (f *front) RemoveInstance(id string) {
	f.Router.RemoveInstance(id)
	f.tell(tableChange{Remove: id})
}

func (f *front) Drain(ctx context.Context, id string, requests time.Duration) error {
	err := f.Router.Drain(ctx, id, requests)
	if f.old == nil {
		return err
	}
	return errors.Join(err, f.old.drain(ctx, id))
}
