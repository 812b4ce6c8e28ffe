package router

import (
	"errors"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/platform"
)

// Copies of requests go to a release that nobody sees yet, after the old one has
// answered: so they delay nobody, and what they are compared with is known. Only
// what is safe is copied, GET and HEAD without a body (RFC 9110, 9.2.1).

const (
	// maxCopies are under way at a time, of one app; more are dropped.
	maxCopies = 32
	// copyTime is how long one may take, and copySize how much of its answer is read.
	copyTime = 10 * time.Second
	copySize = 8 << 20
)

// copyMark tells an app that a request is a copy.
const copyMark = "Slipway-Mirror: 1\r\n"

// mirrored compares the answers to copied requests with those that clients got.
type mirrored struct {
	compared, dropped, crowded, status, size, failed atomic.Int64
	old, new                                         histogram

	underWay atomic.Int64
}

func (m *mirrored) count() platform.MirrorCount {
	return platform.MirrorCount{
		Compared: m.compared.Load(), Dropped: m.dropped.Load(), Crowded: m.crowded.Load(),
		Status: m.status.Load(), Size: m.size.Load(), Failed: m.failed.Load(), P99Old: quantile(0.99, &m.old), P99New: quantile(0.99, &m.new),
	}
}

// answered is what is compared of an answer.
type answered struct {
	status  int
	size    int64
	latency time.Duration
}

// compare counts one copied request. One that got no answer has failed.
func (m *mirrored) compare(was, is answered) {
	if was.status/100 != is.status/100 {
		m.status.Add(1)
		if is.status >= 500 && was.status < 500 {
			m.failed.Add(1)
		}
	} else if was.size != is.size {
		m.size.Add(1)
	}
	m.old.add(was.latency)
	m.new.add(is.latency)
	m.compared.Add(1)
}

// mirror copies a request of the old release that was answered, if it is one of
// those that shall be.
func (x *exchange) mirror(c *cutover, latency time.Duration) {
	rt := x.app.route.Load()
	if rt == nil || rt.shift == nil || rt.shift.mirror == 0 || rt.shift.ledBack() || x.route.release != rt.old.release || !x.copyable(latency) {
		return
	}
	now := c.step.Load()
	if now == nil || now.number != rt.shift.step || rand.Uint64N(platform.Whole) >= rt.shift.mirror {
		return
	}
	m := &now.mirror
	if m.underWay.Add(1) > maxCopies || !x.router.open.enter() {
		m.underWay.Add(-1)
		m.dropped.Add(1)
		m.crowded.Add(1)
		return
	}
	x.copyTo(rt, m, answered{x.status, x.bytes, latency})
}

// copyable reports whether a request may be made twice, and has an answer that
// another can be compared with.
func (x *exchange) copyable(latency time.Duration) bool {
	method := string(x.req.Method)
	return (method == "GET" || method == "HEAD") && !x.hasBody && x.req.Upgrade == nil &&
		latency >= 0 && !x.broken && x.status >= 200 && x.bytes <= copySize
}

// copyTo sends the copy in a goroutine of its own, which leaves the router.
func (x *exchange) copyTo(rt *route, m *mirrored, was answered) {
	from, router := *x.from, x.router // the exchange is another request's in a moment
	leave := func() { m.underWay.Add(-1); router.open.leave() }
	process, why := rt.admit(&x.visit)
	inst := rt.pool(process).idlest()
	if why != admitted || inst == nil || !inst.door.enter() {
		m.dropped.Add(1)
		leave()
		return
	}
	place := inst.place.Load()
	o := x.onward()
	o.Set = append(o.Set, copyMark...)
	text := h1.AppendRequest(nil, x.req, o)
	go func() {
		defer leave()
		defer inst.door.leave()
		is, ok := router.ask(rt, place, &from, text)
		if !ok {
			m.dropped.Add(1)
			return
		}
		m.compare(was, is)
	}()
}

// ask sends a request that has no body, and reads its answer to the end. It
// reports false when that was too much to compare. No answer is a 502.
func (r *Router) ask(rt *route, at *place, from *peer, text []byte) (answered, bool) {
	began, none := r.now(), answered{status: 502}
	var req h1.Request
	if _, err := req.Parse(text, h1.Limits{Head: len(text), Target: len(text), Fields: len(text)}); err != nil || at == nil {
		return none, false
	}
	l, err := at.by(rt.edge.Protocol).take(r.base, from, rt.edge.Proxy, r.connectTime(rt))
	if err != nil {
		return none, true
	}
	late := time.AfterFunc(copyTime, l.cut)
	whole := false
	defer func() { l.done(late.Stop() && whole) }()
	if err := l.send(&req, &h1.Onward{}, nil, false); err != nil {
		none.latency = r.now() - began
		return none, true
	}
	var res h1.Response
	for range maxInterim {
		if err = l.answer(&res); err != nil || !res.Interim() {
			break
		}
	}
	is := answered{status: res.Status, latency: r.now() - began}
	if err != nil || res.Interim() || res.Status == 101 {
		is.status = 502
		return is, true
	}
	for is.size <= copySize {
		data, err := l.next()
		is.size += int64(len(data))
		if err != nil {
			if whole = errors.Is(err, io.EOF); !whole {
				is.status = 502
			}
			return is, true
		}
	}
	return is, false
}

// idlest is the one with the fewest requests of those that may serve.
func (p pool) idlest() *instance {
	var best *instance
	for _, inst := range p {
		if inst.eligible() && (best == nil || inst.door.inside() < best.door.inside()) {
			best = inst
		}
	}
	return best
}
