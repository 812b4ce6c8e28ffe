package router

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/slipway-paas/slipway/internal/balance"
	"github.com/slipway-paas/slipway/internal/h1"
)

// hedge is a link to two instances: the second is asked when the first has not
// begun to answer in time. Whoever begins first has the request; the other is
// cut off. It is for requests without a body that may be done twice.
type hedge struct {
	x     *exchange
	after time.Duration
	req   *h1.Request
	head  h1.Onward
	ctx   context.Context // of the second's connection
	stop  context.CancelFunc
	began chan *runner // who has an answer's head, or an error
	won   *runner
	going int // runners that have told nothing yet

	mu   sync.Mutex // guards the links of runners from cut
	runs []*runner
	off  bool // cut
}

// runner is one instance's part.
type runner struct {
	berth  berth
	sent   time.Duration
	link   link
	res    h1.Response
	err    error
	failed bool          // by itself, not because it was cut
	over   chan struct{} // closed when it does nothing more by itself
}

// hedged is l, and another link when there is to be one.
func (x *exchange) hedged(l link) link {
	if x.berth.group == nil || x.hasBody || x.req.Upgrade != nil {
		return l
	}
	after := x.berth.group.balancer().HedgeAfter(string(x.req.Method))
	if after == 0 {
		return l
	}
	h := &hedge{x: x, after: after, began: make(chan *runner, 2)}
	h.ctx, h.stop = context.WithCancel(x.router.base)
	h.runs = append(h.runs, &runner{berth: x.berth, sent: x.sent, link: l, over: make(chan struct{})})
	return h
}

func (h *hedge) send(req *h1.Request, o *h1.Onward, _ []byte, _ bool) error {
	h.req, h.head = req, *o
	h.head.Set = bytes.Clone(o.Set) // the exchange writes the next lines over it
	h.going++
	go h.run(h.runs[0])
	return nil
}

// run sends the request and reads the answer's head.
func (h *hedge) run(r *runner) {
	defer close(r.over)
	if r.err = r.link.send(h.req, &h.head, nil, false); r.err == nil {
		r.err = r.link.answer(&r.res)
	}
	h.began <- r
}

func (h *hedge) answer(res *h1.Response) error {
	if h.won != nil {
		return h.won.link.answer(res)
	}
	late := time.NewTimer(h.after)
	defer late.Stop()
	for {
		select {
		case <-late.C:
			h.ask()
		case r := <-h.began:
			h.going--
			if r.failed = r.err != nil; r.failed && h.going > 0 {
				continue // the other may do better
			}
			h.take(r)
			*res = r.res
			return r.err
		}
	}
}

// ask asks another instance, if there is one and the budget allows it. The
// first one is known to be slow from here on.
func (h *hedge) ask() {
	x, first := h.x, h.runs[0]
	b, now := first.berth.group.balancer(), x.router.now()
	b.Overdue(first.berth.entry, now, now-first.sent)
	x.tried = append(x.tried, x.inst)
	_, at, why := x.app.acquire(now, x.tried, nil, &x.visit)
	x.tried = x.tried[:len(x.tried)-1]
	if why != admitted {
		return
	}
	place := at.inst.place.Load()
	if place == nil || at.group.balancer() != b || !b.Hedge(x.sheds()) {
		at.entry.Undo()
		at.inst.door.leave()
		return
	}
	at.cookie = first.berth.cookie // it stays with the first
	second := &runner{berth: at, sent: now, over: make(chan struct{})}
	h.going++
	h.mu.Lock()
	h.runs = append(h.runs, second)
	h.mu.Unlock()
	x.attempts++
	go h.reach(second, place)
}

// reach is run for who has no connection yet.
func (h *hedge) reach(r *runner, place *place) {
	edge := &h.x.route.edge
	l, err := place.by(edge.Protocol).take(h.ctx, h.x.from, edge.Proxy, h.x.router.connectTime(h.x.route))
	if err != nil {
		r.err = err
		close(r.over)
		h.began <- r
		return
	}
	h.mu.Lock()
	if r.link = l; h.off {
		l.cut()
	}
	h.mu.Unlock()
	h.run(r)
}

// take makes the request r's, and ends the other's part in it.
func (h *hedge) take(r *runner) {
	h.won = r
	h.mu.Lock()
	for _, other := range h.runs {
		if other == r {
			continue
		}
		if other.link != nil {
			other.link.cut()
			continue
		}
		h.off = true // it has no connection yet, and needs none
		h.stop()
	}
	h.mu.Unlock()
	if x := h.x; r.berth.inst != x.inst {
		x.unbind()
		x.inst, x.berth, x.sent = r.berth.inst, r.berth, r.sent
		x.bind()
	}
}

func (h *hedge) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.off = true
	h.stop()
	for _, r := range h.runs {
		if r.link != nil {
			r.link.cut()
		}
	}
}

func (h *hedge) done(whole bool) {
	h.stop()
	for _, r := range h.runs {
		if r == h.won {
			continue
		}
		<-r.over // it was cut
		if r.link != nil {
			r.link.done(false)
		}
		result := balance.Unknown
		if r.failed {
			result = resultOf(r.err)
		}
		r.berth.group.balancer().Done(r.berth.entry, h.x.router.now(), result, -1)
		r.berth.inst.door.leave()
	}
	if h.won.link != nil {
		h.won.link.done(whole)
	}
}

func (h *hedge) next() ([]byte, error)     { return h.won.link.next() }
func (h *hedge) ready() bool               { return h.won.link.ready() }
func (h *hedge) trailers() []byte          { return h.won.link.trailers() }
func (h *hedge) tunnel() *wire             { return h.won.link.tunnel() }
func (h *hedge) write([]byte) error        { return nil } // there is no body
func (h *hedge) end(trailers []byte) error { return nil }
