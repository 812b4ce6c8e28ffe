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
	on      atomic.Bool
	rung    atomic.Pointer[func()] // told when there is a new one
	mu      sync.Mutex
	asked   map[string]wanted // by name
	of      map[string]int    // how many of them are each app's
	waiting int               // handshakes
	within  map[string]int    // how many of them wait for a name of each app
}

// wanted is a name that was asked for.
type wanted struct {
	at  time.Time
	app string
}

const (
	// maxAsked bounds the names that are asked for at a time; askedLife is how
	// long one counts as asked for, and nobody waits for it again. Where there are
	// too many the app with the most gives up one.
	maxAsked  = 1000
	askedLife = 10 * time.Minute
	// maxAwaiting bounds the handshakes that wait for a certificate, patience how
	// long one does. Those of one app leave as many places free as they take.
	maxAwaiting = 400
	patience    = 8 * time.Second
)

func (o *onDemand) begin() {
	o.asked, o.of, o.within = map[string]wanted{}, map[string]int{}, map[string]int{}
}

// await asks for a certificate for a host of an app and waits for it, a while.
// It returns nil where there is none to wait for.
func (o *onDemand) await(r *Router, ctx context.Context, host string) *certificate {
	if !o.on.Load() {
		return nil
	}
	name, app, ok := r.certifiable(host)
	if !ok || !o.ask(name, app) || !o.enter(app) {
		return nil
	}
	defer o.leave(app)
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

// enter takes a place for a handshake that waits, if there is one for the app.
func (o *onDemand) enter(app string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.within[app] >= maxAwaiting-o.waiting {
		return false
	}
	o.waiting++
	o.within[app]++
	return true
}

func (o *onDemand) leave(app string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting--
	less(o.within, app)
}

// less counts one down, and keeps no zero.
func less(counts map[string]int, app string) {
	if counts[app]--; counts[app] == 0 {
		delete(counts, app)
	}
}

// certifiable is the name of an app that a certificate for a host would be for:
// the host, or its parent's wildcard. It reports false where no app has either,
// or the app wants none.
func (r *Router) certifiable(host string) (name, app string, ok bool) {
	if r.edge.Load().hosts[host] {
		return "", "", false
	}
	name = host
	a, ok := r.table.at(host)
	if dot := strings.IndexByte(host, '.'); !ok && dot > 0 {
		name = "*" + host[dot:]
		a, ok = r.table.at(host[dot:])
	}
	if !ok {
		return "", "", false
	}
	rt := a.route.Load()
	return name, a.name, rt != nil && !rt.uncertified
}

// ask notes a name of an app and reports whether it may be waited for: it was
// asked for just now. One that did not come then is not waited for by every client.
func (o *onDemand) ask(name, app string) (wait bool) {
	now := time.Now()
	o.mu.Lock()
	before, known := o.asked[name]
	fresh := now.Sub(before.at) > askedLife && (known || o.room(app, now))
	if fresh {
		o.drop(name)
		before = wanted{now, app}
		o.asked[name] = before
		o.of[app]++
	}
	o.mu.Unlock()
	if ring := o.rung.Load(); fresh && ring != nil {
		(*ring)()
	}
	return now.Sub(before.at) < patience
}

// room makes room for one more name of an app: for those asked for long ago, else
// for the oldest of the app that has the most, if that has more. o.mu is held.
func (o *onDemand) room(app string, now time.Time) bool {
	if len(o.asked) < maxAsked {
		return true
	}
	if o.forget(now); len(o.asked) < maxAsked {
		return true
	}
	most, oldest := app, ""
	var at time.Time
	for other, n := range o.of {
		if n > o.of[most] {
			most = other
		}
	}
	if most == app {
		return false
	}
	for name, w := range o.asked {
		if w.app == most && (oldest == "" || w.at.Before(at)) {
			oldest, at = name, w.at
		}
	}
	o.drop(oldest)
	return true
}

// forget drops those that were asked for long ago; o.mu is held.
func (o *onDemand) forget(now time.Time) {
	for name, w := range o.asked {
		if now.Sub(w.at) > askedLife {
			o.drop(name)
		}
	}
}

func (o *onDemand) drop(name string) {
	if w, known := o.asked[name]; known {
		delete(o.asked, name)
		less(o.of, w.app)
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
