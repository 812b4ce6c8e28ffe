package router

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// onDemand are names of apps that clients came for and that have no certificate
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
	// maxAsked bounds the names that are asked for at a time; askedLife is how
	// long one counts as asked for, and nobody waits for it again.
	maxAsked  = 1000
	askedLife = 10 * time.Minute
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
	if !o.on.Load() {
		return nil
	}
	name, ok := r.certifiable(host)
	if !ok || !o.ask(name) {
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
		case <-r.base.Done():
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// certifiable is the name of an app that a certificate for a host would be for:
// the host, or its parent's wildcard. It reports false where no app has either,
// or the app wants none.
func (r *Router) certifiable(host string) (name string, ok bool) {
	if r.edge.Load().hosts[host] {
		return "", false
	}
	name = host
	a, ok := r.table.at(host)
	if dot := strings.IndexByte(host, '.'); !ok && dot > 0 {
		name = "*" + host[dot:]
		a, ok = r.table.at(host[dot:])
	}
	if !ok {
		return "", false
	}
	rt := a.route.Load()
	return name, rt != nil && !rt.uncertified
}

// ask notes a name and reports whether it may be waited for: it was asked for
// just now. One that did not come then is not waited for by every client.
func (o *onDemand) ask(name string) (wait bool) {
	now := time.Now()
	o.mu.Lock()
	before, known := o.asked[name]
	if !known && len(o.asked) >= maxAsked {
		o.forget(now)
	}
	fresh := now.Sub(before) > askedLife && (known || len(o.asked) < maxAsked)
	if fresh {
		o.asked[name], before = now, now
	}
	o.mu.Unlock()
	if ring := o.rung.Load(); fresh && ring != nil {
		(*ring)()
	}
	return now.Sub(before) < patience
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
