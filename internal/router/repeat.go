package router

import (
	"errors"
	"time"

	"github.com/slipway-paas/slipway/internal/balance"
	"github.com/slipway-paas/slipway/internal/h1"
)

// A request is sent again when that can do no harm: nothing was sent, or its
// method says that twice is as good as once (RFC 9110, 9.2.2) and not a byte of
// an answer came. Where an instance had taken all of it and ended the connection
// instead of an answer it is sent again once only, and to another instance if
// there is one: the request may be what ends them, and shall not end a third.
// A connection that was kept and is found closed says nothing of that kind. How
// often, and how many of all requests, is the balancer's to say; what was not
// sent counts for nothing there.

// again says what is next for a request whose attempt failed so, if it is to
// be sent once more.
func (x *exchange) again(err error) (s step, ok bool) {
	b := x.berth.group.balancer()
	switch {
	case errors.Is(err, errRefused):
		return x.elsewhere()
	case errors.Is(err, errUnsent):
		ok = b.Retry(x.repeats, false, false)
	case !x.repeatable() || errors.Is(err, errDied) && x.died:
	case errors.Is(err, errStale), errors.Is(err, errLost), errors.Is(err, errDied):
		x.died = x.died || errors.Is(err, errDied)
		ok = b.Retry(x.repeats, true, x.sheds())
	}
	if !ok {
		return step{}, false
	}
	x.repeats++
	return x.next(), true
}

// elsewhere leads a request whose instance refused to another. When as many did
// as may be asked it waits a moment, if that has just begun.
func (x *exchange) elsewhere() (s step, ok bool) {
	b, now := x.berth.group.balancer(), x.router.now()
	switch {
	case b.Retries() == 0:
		return step{}, false
	case len(x.tried) <= b.Retries() && b.Retry(0, false, false):
		return x.next(), true
	case x.lingers(now):
		return x.linger(now), true
	}
	return step{}, false
}

// sheds reports whether the app turns requests away for want of room: then
// none is sent twice.
func (x *exchange) sheds() bool {
	return x.gate != nil && x.gate.Shedding()
}

// judge takes note of an answer that begins, which is what the balancer knows
// of instances.
func (x *exchange) judge(res *h1.Response) {
	result := balance.Served
	if res.Status >= 500 {
		result = balance.Failed
	}
	x.berth.group.balancer().Answered(&x.berth.entry, x.answered, result, x.answered-x.sent)
	x.verdict = balance.Unknown // that was said
	if away := &x.berth.group.kept.away; away.Load() != 0 {
		away.Store(0)
	}
}

const (
	// lingering is how long requests wait when nobody of an app can be reached:
	// about as long as an instance takes to be started again.
	lingering = 5 * time.Second
	// lingerPause is how long each waits before it looks again.
	lingerPause = 50 * time.Millisecond
)

// lingers reports whether the request waits a moment, for nobody can be reached
// and that began just now.
func (x *exchange) lingers(now time.Duration) bool {
	g := x.route.group(x.visit.process)
	if x.app.control || g == nil || len(g.pool) == 0 {
		return false
	}
	away := &g.kept.away
	since := away.Load()
	if since == 0 {
		since = int64(max(now, 1))
		if !away.CompareAndSwap(0, since) {
			since = away.Load()
		}
	}
	return now < time.Duration(since)+lingering
}

// linger has the request look again in a moment, unless too many do.
func (x *exchange) linger(now time.Duration) step {
	x.giveBack() // what it has of the app's gate, and asks for it again then
	x.in = false
	if many := x.app.lingering.Add(1) > int64(x.router.opt.HoldRequests); x.router.held.Add(1) > maxHeld || many {
		x.endLinger(x.app)
		return answerWith(x.refuse(empty))
	}
	g := &guest{app: x.app, brief: true, began: now}
	return step{do: toWait, guest: g, until: time.Now().Add(lingerPause)}
}

func (x *exchange) endLinger(a *app) {
	a.lingering.Add(-1)
	x.router.held.Add(-1)
}

// lingered is waited for such a request.
func (x *exchange) lingered(g *guest, left bool) step {
	x.endLinger(g.app)
	x.held += x.router.now() - g.began
	if left {
		x.status, x.uncounted = statusClientGone, true
		return step{do: toCut}
	}
	if next := x.router.find(x.host); next != nil {
		x.app = next
	}
	x.tried, x.last, x.repeats = x.tried[:0], nil, 0
	return x.next()
}
