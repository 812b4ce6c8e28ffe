package router

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/access"
	"github.com/slipway-paas/slipway/internal/balance"
	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/match"
)

// group is a pool with what chooses among it and what counts its requests.
// Immutable; what it points to goes on from route to route.
type group struct {
	app     *app
	process string // "" is the main one
	policy  *policy
	pool    pool
	made    atomic.Pointer[balance.Balancer] // nil before the first request
	kept    *kept
}

// kept is what stays of a group while its app's route changes.
type kept struct {
	away   atomic.Int64 // since when nobody can be reached, on the router's clock; 0: somebody can
	series atomic.Pointer[access.Series]
	began  time.Duration
}

// mainProcess is how the main pool is called in metrics and logs.
const mainProcess = "web"

// regroup makes the groups of a route that has all its backends, and of the
// one beside it. What is known of each goes on from old.
func regroup(a *app, rt, old *route) {
	for side := rt; side != nil; side = side.old {
		before := old
		for was := old; was != nil; was = was.old {
			if was.release == side.release {
				before = was
			}
		}
		side.front = grouped(a, "", side.main, side.policy, before)
		side.others = nil
		for process, members := range side.services {
			if side.others == nil {
				side.others = make(map[string]*group, len(side.services))
			}
			side.others[process] = grouped(a, process, members, side.policy, before)
		}
	}
}

func grouped(a *app, process string, members pool, set *policy, old *route) *group {
	g := &group{app: a, process: process, policy: set, pool: members}
	before := old.group(process)
	if before == nil {
		g.kept = &kept{began: a.router.now()}
		return g
	}
	g.kept = before.kept
	if b := before.made.Load(); b != nil {
		g.made.Store(g.balancerAfter(b))
	}
	return g
}

// balancer chooses among the pool.
func (g *group) balancer() *balance.Balancer {
	if b := g.made.Load(); b != nil {
		return b
	}
	g.made.CompareAndSwap(nil, g.balancerAfter(nil))
	return g.made.Load()
}

func (g *group) balancerAfter(old *balance.Balancer) *balance.Balancer {
	set, r := g.policy.edge.Balance, g.app.router
	var key []byte
	if set.Sticky == balance.StickyCookie {
		key = r.stickyKey(g.app.name)
	}
	return balance.After(old, g.pool.hosts(), set, key, r.passedOver(g.app))
}

// counts sums up the pool.
func (g *group) counts(now time.Duration) balance.Counts {
	if b := g.made.Load(); b != nil {
		return b.Counts(now)
	}
	return balance.Counts{Hosts: len(g.pool)} // nobody has been there
}

// series counts the group's requests; nil: nobody does. It is not begun for a
// group that its app has no more.
func (g *group) series() *access.Series {
	if s := g.kept.series.Load(); s != nil || g.app.control {
		return s
	}
	s := g.app.router.metrics.Series(g.app.name, g.name(), g.kept.began, func() bool {
		rt := g.app.route.Load()
		return rt != nil && (rt.group(g.process) != nil || rt.old.group(g.process) != nil)
	})
	g.kept.series.Store(s)
	return s
}

// name is that of the process type, as others know it.
func (g *group) name() string {
	if g.app.control {
		return ""
	}
	return processName(g.process)
}

// cookie is the name of that which names an instance.
func (g *group) cookie() string {
	if g.process == "" {
		return balance.CookieName
	}
	return balance.CookieName + "_" + g.process
}

func processName(process string) string {
	if process == "" {
		return mainProcess
	}
	return process
}

// hosts are the instances as a balancer knows them.
func (p pool) hosts() []*balance.Host {
	all := make([]*balance.Host, len(p))
	for i, inst := range p {
		all[i] = inst.host
	}
	return all
}

// group is that of a process type; nil when it has no instances. That of no
// route is nil too.
func (rt *route) group(process string) *group {
	if rt == nil {
		return nil
	}
	if process = mainAs(process); process == "" {
		return rt.front
	}
	return rt.others[process]
}

// groups calls f for each, of both releases where two serve.
func (rt *route) groups(f func(g *group)) {
	for side := rt; side != nil; side = side.old {
		if side.front != nil {
			f(side.front)
		}
		for _, g := range side.others {
			f(g)
		}
	}
}

// berth is the place of one request at an instance. The zero value is none.
type berth struct {
	inst   *instance
	group  *group
	entry  balance.Entry
	cookie string // the client is to be told so that it comes back here; empty: nothing
}

// pick takes a place at one of the group's instances that may serve: those that
// are up and not among tried. The last one tried is taken again only when there
// is no other.
func (g *group) pick(now time.Duration, tried []*instance, last *instance, v *visit) (berth, balance.Refusal) {
	may := func(i int) bool {
		inst := g.pool[i]
		return inst != last && inst.eligible() && !slices.Contains(tried, inst)
	}
	var named int
	stays := true
	b := g.balancer()
	switch b.Sticky() {
	case "":
		stays = false
	case balance.StickyCookie:
		named = -1
		if v.req != nil {
			if token, ok := match.Cookie(v.req.Fields, g.cookie()); ok {
				named = b.Named(token)
			}
		}
	default:
		named = b.Nearest(now, v.client, may)
	}
	full := false
	if stays && named >= 0 {
		e, why := b.Take(named, now, may)
		if why == balance.Picked {
			return berth{inst: g.pool[named], group: g, entry: e}, why
		}
		full = why == balance.Full // it keeps its cookie for the next time
	}
	i, e, why := b.Pick(now, rand.Uint64(), may)
	if why == balance.Nobody && last != nil {
		return g.pick(now, tried, nil, v)
	}
	if why != balance.Picked {
		return berth{}, why
	}
	at := berth{inst: g.pool[i], group: g, entry: e}
	if stays && !full {
		at.cookie = b.Token(i)
	}
	return at, why
}

// anybody reports whether one of them is up.
func (p pool) anybody() bool {
	return slices.ContainsFunc(p, (*instance).eligible)
}

// passedOver says in the log that an instance gets no requests for a while.
func (r *Router) passedOver(a *app) balance.Told {
	if a.control {
		return nil // that the control plane restarts is nothing new
	}
	return func(h *balance.Host, until time.Duration, refused bool) {
		r.tellOut(h)
		reason := "its answers failed"
		if refused {
			reason = "it refused a connection"
		}
		r.log.Warn("instance is passed over", "app", a.name, "instance", h.ID(), "reason", reason, "duration", (until - r.now()).Round(time.Millisecond))
	}
}

// setSecret is told what all routers share; nothing leaves what there is.
func (r *Router) setSecret(text string) {
	if text != "" {
		r.secret.Store(&text)
	}
}

// stickyKey is what the cookies of an app are signed with. It comes from what
// all routers share and nobody else has.
func (r *Router) stickyKey(app string) []byte {
	mac := hmac.New(sha256.New, []byte(*r.secret.Load()))
	mac.Write([]byte("sticky sessions of "))
	mac.Write([]byte(app))
	return mac.Sum(nil)
}

// setCookie appends the line that has the client come back to the instance, and
// one that keeps caches from giving the cookie to others (RFC 9111, 5.2.2.7):
// what a cache may keep it keeps with its cookies (7.3).
func (x *exchange) setCookie(res *h1.Response, dst []byte) []byte {
	if x.berth.cookie == "" {
		return dst
	}
	if res.Status != 101 && !x.keptPrivate(res) {
		dst = append(dst, "Cache-Control: private\r\n"...)
	}
	dst = append(dst, "Set-Cookie: "...)
	dst = append(dst, x.berth.group.cookie()...)
	dst = append(dst, '=')
	dst = append(dst, x.berth.cookie...)
	dst = append(dst, "; Path=/; HttpOnly; SameSite=Lax"...)
	if x.visit.https {
		dst = append(dst, "; Secure"...)
	}
	return append(dst, "\r\n"...)
}

// keptPrivate reports whether an answer says, to whoever gets it, that no shared
// cache keeps it.
func (x *exchange) keptPrivate(res *h1.Response) bool {
	for _, f := range res.Fields {
		if !h1.Is(f.Name, "cache-control") || x.dropBack(f.Name) {
			continue
		}
		for word := range bytes.SplitSeq(f.Value, []byte{','}) {
			if word = bytes.TrimSpace(word); bytes.EqualFold(word, []byte("private")) || bytes.EqualFold(word, []byte("no-store")) {
				return true
			}
		}
	}
	return false
}

// measure counts a request that ended.
func (x *exchange) measure(now time.Duration, failed bool) {
	if x.route == nil || x.app.control {
		return
	}
	g := x.berth.group
	if g == nil {
		g = x.route.front
	}
	if g == nil {
		return
	}
	series := g.series()
	if series == nil {
		return
	}
	series.End(now, &access.Observation{
		Status: x.status, Took: now - x.began, In: max(x.req.Length, 0), Out: x.bytes, Failed: failed, Upgraded: x.status == 101,
	})
}

// resultOf is what an attempt that failed says of its instance.
func resultOf(err error) balance.Result {
	switch {
	case errors.Is(err, errGone), errors.Is(err, errClient), errors.Is(err, errSlow), errors.Is(err, errTooLarge):
		return balance.Unknown
	case errors.Is(err, errRefused):
		return balance.Refused
	case errors.Is(err, errUnsent), errors.Is(err, errStale):
		return balance.Unknown // an old connection had ended
	}
	return balance.Failed
}
