package router

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// onDemand are hosts of apps that clients came for and that have no certificate
// yet. Names that are no app's are never among them, so what it holds is bounded
// by the routes, and besides.
type onDemand struct {
	on    atomic.Bool
	rung  atomic.Pointer[func()] // told when there is a new one
	mu    sync.Mutex
	asked map[string]time.Time // when, by host
	rooms chan struct{}        // each holds a handshake that waits
}

const (
	// maxAsked bounds the hosts that are asked for at a time; askedLife is how
	// long one counts as asked for.
	maxAsked  = 1000
	askedLife = time.Minute
	// maxAwaiting bounds the handshakes that wait for a certificate, patience how
	// long one does.
	maxAwaiting = 200
	patience    = 8 * time.Second
)

func (o *onDemand) begin() {
	o.asked, o.rooms = map[string]time.Time{}, make(chan struct{}, maxAwaiting)
}

// await asks for a certificate for a host of an app and waits for it, a while.
// It returns nil where there is none to wait for.
func (o *onDemand) await(r *Router, ctx context.Context, host string) *certificate {
	if !o.on.Load() || !r.isApps(host) {
		return nil
	}
	if !o.ask(host) {
		return nil
	}
	select {
	case o.rooms <- struct{}{}:
		defer func() { <-o.rooms }()
	default:
		return nil
	}
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		came := r.certs.news()
		if c := r.certs.find(host); c != nil && c.wish.Rank > platform.RankPlatform {
			return c
		}
		select {
		case <-came:
		case <-end.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *Router) isApps(host string) bool {
	_, named := r.table.lookup(host) // what anyHost stands for is nobody's name
	return named && !r.edge.Load().hosts[host]
}

// ask notes a host and reports false where there is no room to.
func (o *onDemand) ask(host string) bool {
	now := time.Now()
	o.mu.Lock()
	before, known := o.asked[host]
	if !known && len(o.asked) >= maxAsked {
		o.forget(now)
	}
	room := known || len(o.asked) < maxAsked
	fresh := room && now.Sub(before) > askedLife
	if fresh {
		o.asked[host] = now
	}
	o.mu.Unlock()
	if ring := o.rung.Load(); fresh && ring != nil {
		(*ring)()
	}
	return room
}

// forget drops those that were asked for long ago; o.mu is held.
func (o *onDemand) forget(now time.Time) {
	for host, at := range o.asked {
		if now.Sub(at) > askedLife {
			delete(o.asked, host)
		}
	}
}

// Asked are hosts of apps that clients came for lately and that have no
// certificate of their own, when the edge is on demand.
func (r *Router) Asked() (hosts []string) {
	r.onDemand.mu.Lock()
	defer r.onDemand.mu.Unlock()
	r.onDemand.forget(time.Now())
	for host := range r.onDemand.asked {
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	return hosts
}

// OnAsked has ring called when there is a new one among Asked. It must not block.
func (r *Router) OnAsked(ring func()) { r.onDemand.rung.Store(&ring) }
