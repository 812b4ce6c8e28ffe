package router

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
)

// maxRetries is how often a request that may be sent again is.
const maxRetries = 2

// statusClientGone is what the access log says of a request whose client left
// before its answer.
const statusClientGone = 499

// exchange is one request on its way through the router.
type exchange struct {
	router  *Router
	w       *recorder
	req     *http.Request
	body    *body
	began   time.Time
	host    string
	app     *app
	visit   visit
	passage passage

	guest     *guest        // nil: it never had to wait
	held      time.Duration // how long it did
	route     *route        // of the last attempt
	inst      *instance     // of the last attempt
	tried     []*instance
	attempts  int
	uncounted bool // no request of any release
}

// serve finds the app and sends the request to it.
func (x *exchange) serve() {
	if x.req.Method == http.MethodConnect {
		x.answer(noTunnel())
		return
	}
	host, ok := normalHost(x.req.Host)
	if !ok {
		x.answer(badHost())
		return
	}
	x.host = host
	if answer, ours := x.router.proof(host, x.req.URL.Path); ours {
		writeProof(x.w, answer)
		return
	}
	if x.app = x.router.find(host); x.app == nil {
		x.answer(unknownHost(host))
		return
	}
	if x.app.control {
		x.passage.origin.settle()
	}
	x.prepare()
	for x.attempt() {
	}
}

// prepare makes the request one that can be sent, more than once if need be.
func (x *exchange) prepare() {
	req := x.req.WithContext(x.req.Context())
	if strings.EqualFold(req.Header.Get("Upgrade"), "h2c") {
		// An app that took this up would speak HTTP/2 past the router.
		req.Header = req.Header.Clone()
		req.Header.Del("Upgrade")
		req.Header.Del("Http2-Settings")
	}
	if req.Body != nil && req.Body != http.NoBody {
		x.body = newBody(req, repeatable(req))
	}
	x.req = req
	x.visit = visit{client: x.passage.origin.client, https: x.passage.origin.proto == "https", path: req.URL.Path, router: x.router, conn: req.TLS}
}

// repeatable reports whether sending the request twice does no harm (RFC 9110,
// 9.2.2), by its method or by its client's word.
func repeatable(req *http.Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodTrace:
		return true
	}
	return req.Header.Get("Idempotency-Key") != "" || req.Header.Get("X-Idempotency-Key") != ""
}

// attempt sends the request to one instance and reports whether it should be
// sent again.
func (x *exchange) attempt() (again bool) {
	if x.behind() {
		return x.wait()
	}
	x.visit.app = x.app
	rt, inst, why := x.app.acquire(x.router.now(), x.tried, &x.visit)
	if why == gone {
		if next := x.router.find(x.host); next != nil && next != x.app {
			x.app = next // the host was handed over after it was looked up
			return true
		}
	}
	if rt != nil {
		x.route = rt
	}
	if why == empty && rt.hold {
		return x.wait()
	}
	if inst == nil {
		x.answer(x.refuse(why))
		return false
	}
	x.inst = inst
	x.attempts++
	err := x.carry(rt, inst)
	if err == nil {
		return false
	}
	x.blame(err)
	if x.req.Context().Err() == nil && x.attempts <= maxRetries && x.mayRepeat(err) {
		return true
	}
	x.fail(err)
	return false
}

// carry holds the instance's door and the release's count for as long as the
// request is open, also when the handler is aborted.
func (x *exchange) carry(rt *route, inst *instance) error {
	defer inst.door.leave()
	if rt.tally != nil {
		rt.tally.open.Add(1)
		defer rt.tally.open.Add(-1)
	}
	place := inst.place.Load()
	if place == nil {
		return errRefused
	}
	if x.body != nil {
		x.req.Body = x.body.attempt()
	}
	x.passage.origin.bearer = rt.clients.bearer(x.req.TLS)
	return place.carrier.carry(x.w, x.req, &x.passage)
}

func (x *exchange) mayRepeat(err error) bool {
	if x.w.touched() || x.body != nil && !x.body.replayable() {
		return false
	}
	return errors.Is(err, errRefused) || errors.Is(err, errUnsent) || errors.Is(err, errStale) && repeatable(x.req)
}

// blame keeps the next attempt from what made this one fail: the instance when
// it cannot be reached, its old connections when one of them was closed.
func (x *exchange) blame(err error) {
	switch {
	case errors.Is(err, errRefused) && x.req.Context().Err() == nil:
		x.inst.suspect.Store(int64(x.router.now() + suspicion))
		x.tried = append(x.tried, x.inst)
	case errors.Is(err, errUnsent), errors.Is(err, errStale):
		if place := x.inst.place.Load(); place != nil {
			place.carrier.close()
		}
	}
}

// fail answers a request that was sent, or could not be, and has no answer.
func (x *exchange) fail(err error) {
	if x.w.hijacked {
		return // and the connection is closed
	}
	if x.w.touched() {
		panic(http.ErrAbortHandler) // in the middle of something: cut it off visibly
	}
	if x.req.Context().Err() != nil || errors.Is(err, context.Canceled) {
		x.w.status = statusClientGone
		panic(http.ErrAbortHandler)
	}
	x.router.log.Debug("request had no answer", "app", x.app.name, "instance", x.inst.id,
		"request_id", x.passage.origin.id, "err", err)
	switch {
	case errors.Is(err, errClient):
		x.answer(badBody())
	case x.app.control:
		x.answer(controlDown())
	case errors.Is(err, errRefused):
		x.answer(unreachable(x.app.name))
	case errors.Is(err, errTimeout):
		x.answer(tooSlow(x.app.name))
	default:
		x.answer(brokeOff(x.app.name))
	}
}

// answer ends the exchange with a page of the router's own.
func (x *exchange) answer(p page) {
	if x.router.draining.Load() {
		x.w.Header().Set("Connection", "close")
	}
	p.write(x.w, x.req, x.passage.origin.id)
}

// finish counts the request, however it ended.
func (x *exchange) finish() {
	if x.guest != nil {
		x.router.onItsWay(x.guest)
	}
	now := x.router.now()
	failed := x.passage.broken || x.w.status >= 500
	if x.app != nil {
		x.app.last.Store(int64(max(now, 1)))
	}
	if x.route != nil && x.route.tally != nil && !x.uncounted {
		x.count(now, failed)
	}
	if access := x.router.opt.Access; access != nil {
		access(x.access(failed))
	}
}

func (x *exchange) count(now time.Duration, failed bool) {
	latency := time.Duration(-1)
	if !x.passage.answered.IsZero() {
		latency = x.passage.answered.Sub(x.began) - x.held
	}
	x.route.tally.add(now, latency, failed)
	if c := x.app.cutover.Load(); c != nil {
		c.add(x.route.tally, latency, failed)
		if x.held > 0 {
			c.waited(x.held)
		}
	}
}

func (x *exchange) access(failed bool) Access {
	a := Access{
		Time: x.began, Duration: time.Since(x.began), Client: x.passage.origin.client,
		Host: x.host, Method: x.req.Method, Path: x.req.URL.Path, Proto: x.req.Proto,
		Status: x.w.status, Bytes: x.w.bytes, Attempts: x.attempts,
		RequestID: x.passage.origin.id, Failed: failed,
	}
	if x.app != nil {
		a.App = x.app.name
	}
	if x.route != nil {
		a.Release = x.route.release
	}
	if x.inst != nil {
		a.Instance = x.inst.id
	}
	return a
}
