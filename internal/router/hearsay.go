package router

import (
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/balance"
	"github.com/slipway-paas/slipway/internal/overload"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Routers that lead to the same instances tell each other what is not at rest:
// whom they pass over, and what they are asked for of apps that are short. What
// another says is a hint: an instance that it ejected has to prove itself here
// too, and a limit that a team has told is divided by what each is asked for.
// Nothing rests on it: after platform.NewsHold without a word each decides alone.

// hearsay is what a router tells the others, and has heard of them.
type hearsay struct {
	mu    sync.Mutex
	out   map[*balance.Host]bool  // passed over, or were lately
	short map[*overload.Gate]*use // apps that are short, or were lately

	heard map[ejection]int64
}

// ejection is that a router passes over an instance.
type ejection struct{ router, instance string }

// use is what is asked of a gate.
type use struct {
	app, process string
	last         time.Duration // when it was short last, on the router's clock
	at           time.Duration
	asked        uint64 // until then
	rate         float64
}

// shortFor is how long a gate is told of after it was short.
const shortFor = 2 * platform.NewsHold

// shortTold is how often an app that is short is taken note of.
const shortTold = 100 * time.Millisecond

// toldAbove is how many instances and gates are kept account of.
const toldAbove = 10 * platform.MaxNews

// tellOut has the others hear that an instance is passed over.
func (r *Router) tellOut(host *balance.Host) {
	if r.opt.Stirred == nil {
		return
	}
	h := &r.hearsay
	h.mu.Lock()
	if h.out == nil {
		h.out = map[*balance.Host]bool{}
	}
	if len(h.out) < toldAbove {
		h.out[host] = true
	}
	h.mu.Unlock()
	r.opt.Stirred()
}

// tellShort has the others hear what is asked of a gate that is short.
func (a *app) tellShort(g *overload.Gate, process string, now time.Duration) {
	was := a.short.Load()
	if a.router.opt.Stirred == nil || was != 0 && int64(now)-was < int64(shortTold) || !a.short.CompareAndSwap(was, int64(now)) || !g.Limited() {
		return
	}
	h := &a.router.hearsay
	h.mu.Lock()
	u := h.short[g]
	if u == nil && len(h.short) < toldAbove {
		if h.short == nil {
			h.short = map[*overload.Gate]*use{}
		}
		u = &use{app: a.name, process: process, at: now}
		u.asked = g.Asked()
		h.short[g] = u
		defer a.router.opt.Stirred()
	}
	if u != nil {
		u.last = now
	}
	h.mu.Unlock()
}

// News is what the others are to hear now. Rates are of the time since it was
// asked last.
func (r *Router) News() (news platform.RouterNews) {
	h, now := &r.hearsay, r.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for host := range h.out {
		until, out := host.Out(now)
		if !out {
			delete(h.out, host)
			continue
		}
		news.Ejected = append(news.Ejected, platform.EjectedInstance{Instance: host.ID(), Number: int64(until)})
	}
	for g, u := range h.short {
		if now-u.last > shortFor {
			delete(h.short, g)
			continue
		}
		u.measure(g, now)
		news.Gates = append(news.Gates, platform.GateUse{App: u.app, Process: u.process, Asked: u.rate})
	}
	return news.Bounded()
}

// measure brings the rate up to now.
func (u *use) measure(g *overload.Gate, now time.Duration) {
	asked := g.Asked()
	if took := now - u.at; took > 0 {
		rate := float64(asked-u.asked) / took.Seconds()
		if u.rate == 0 {
			u.rate = rate
		}
		u.rate += (rate - u.rate) / 2
		u.at, u.asked = now, asked
	}
}

// Heard takes what all other routers say now, by their names.
func (r *Router) Heard(others map[string]platform.RouterNews) {
	type pool struct{ app, process string }
	asked, users := map[pool]float64{}, map[pool]int{}
	heard := map[ejection]int64{}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for router, news := range others {
		news = news.Bounded()
		for _, e := range news.Ejected {
			at := ejection{router, e.Instance}
			heard[at] = e.Number
			if inst := r.instances[e.Instance]; inst != nil && r.hearsay.heard[at] != e.Number {
				inst.host.Doubt(now)
			}
		}
		for _, g := range news.Gates {
			asked[pool{g.App, g.Process}] += max(g.Asked, 0)
			users[pool{g.App, g.Process}]++
		}
	}
	r.hearsay.heard = heard
	for at, theirs := range asked {
		if a := r.apps[at.app]; a != nil {
			if g := a.bounds.Load().gate(at.process); g != nil {
				g.Share(now, r.hearsay.part(g, theirs, users[at]), now+platform.NewsHold)
			}
		}
	}
}

// part is how much of a gate's limit is this router's, when n others are asked
// for so much: by what each is asked for, but never so little that it could not
// begin to serve.
func (h *hearsay) part(g *overload.Gate, theirs float64, n int) float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	ours := 0.0
	if u := h.short[g]; u != nil {
		ours = u.rate
	}
	least := 1 / float64(4*(n+1))
	if ours+theirs == 0 {
		return 1 / float64(n+1)
	}
	return max(ours/(ours+theirs), least)
}
