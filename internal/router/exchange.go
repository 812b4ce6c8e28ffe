package router

import (
	"bytes"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/balance"
	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/overload"
	"github.com/slipway-paas/slipway/internal/rules"
)

// statusClientGone is what the access log says of a request whose client left
// before its answer.
const statusClientGone = 499

// exchange is what is decided about one request. It decides without waiting:
// each of its steps says what is to be done next, and whoever moves the bytes
// does it: see walk. One is used again for the next request of its client.
type exchange struct {
	router *Router
	from   *peer
	req    *h1.Request
	proto  string // HTTP/1.1

	began   time.Duration // on the router's clock
	origin  origin
	host    string
	app     *app
	visit   visit
	guest   *guest        // nil: it never had to wait
	held    time.Duration // how long it did
	route   *route        // of the last attempt
	inst    *instance     // of the last attempt
	berth   berth         // there
	mayPass bool          // its client's connection can pass to another router
	inside  bool          // of its instance's door, and counted as open
	sent    time.Duration // when the last attempt began
	verdict balance.Result
	tried   []*instance // they refused
	last    *instance   // the one that is better not tried next
	repeats int         // since the request last had to wait
	died    bool        // an instance that had taken it ended the connection

	attempts  int
	uncounted bool // no request of any release

	// What came of it.
	status   int           // that the client was told; 0: none yet
	bytes    int64         // of the answer's body
	answered time.Duration // when the answer's head came; 0: it has not
	broken   bool          // the app broke its answer off

	told     rules.Told
	shown    rules.Shown
	notTold  func([]byte) bool // dropOnward, made once
	notShown func([]byte) bool // dropBack

	memo memo
	admission
	set []byte // lines for a head, written anew each time
	walk
}

// memo is where the last host led: a connection mostly asks for one.
type memo struct {
	raw  []byte
	host string
	app  *app
	at   uint64 // version of the table
}

// step is what is to be done next about a request.
type step struct {
	do    action
	place *place // toSend: where to; then sent or failed is called
	page  page   // toAnswer
	guest *guest // toWait: until its let is closed, or until; then waited is called. nil: for a slot
	until time.Time
}

type action uint8

const (
	toSend action = iota
	toAnswer
	toWait
	toProve // prove is called, which may take long
	toCut   // nobody can be told anything: cut the client off visibly
)

func answerWith(p page) step { return step{do: toAnswer, page: p} }

// begin readies the exchange for a request, whose head holds until it ends.
func (x *exchange) begin(req *h1.Request, proto string) {
	if x.notTold == nil {
		x.notTold, x.notShown = x.dropOnward, x.dropBack
	}
	x.req, x.proto = req, proto
	x.began = x.router.now()
	x.host, x.app, x.guest, x.held = "", nil, nil, 0
	x.route, x.inst, x.berth, x.inside, x.tried, x.last = nil, nil, berth{}, false, x.tried[:0], nil
	x.attempts, x.repeats, x.died, x.uncounted = 0, 0, false, false
	x.status, x.bytes, x.answered, x.broken = 0, 0, 0, false
	x.admission.begin()
	x.origin.read(req, x.from, x.router.opt.TrustedProxies)
	x.visit = visit{client: x.origin.client, https: x.origin.proto == "https", written: req.Path(), router: x.router, conn: x.from.tls, req: req}
	x.limits()
}

// limits takes what is no business of the app's out of the head.
func (x *exchange) limits() {
	if x.req.Upgrade != nil && (x.req.Minor == 0 || bodyOf(x.req) || bytes.Contains(bytes.ToLower(x.req.Upgrade), []byte("h2c"))) {
		// An app that took h2c up would speak HTTP/2 past the router; who
		// speaks HTTP/1.0 cannot ask (RFC 9110, 7.8); and a body would have to
		// end before the other protocol begins.
		x.req.Upgrade = nil
	}
}

// bodyOf reports whether a request has a body, if only of no bytes.
func bodyOf(req *h1.Request) bool { return req.Length != 0 }

// first finds the app and says where the request goes.
func (x *exchange) first() step {
	if bytes.IndexByte(x.visit.written, '%') >= 0 && !validEscapes(x.visit.written) {
		return answerWith(badPath())
	}
	if !x.lookup() {
		return answerWith(badHost())
	}
	if answer, ours := x.router.proof(x.host, &x.visit); ours {
		return answerWith(proven(answer))
	}
	if x.app == nil {
		return answerWith(unknownHost(x.host))
	}
	if x.app.control {
		x.origin.settle()
	}
	return x.next()
}

func validEscapes(path []byte) bool {
	_, err := url.PathUnescape(string(path))
	return err == nil
}

// lookup finds the host's app. It reports false when the host is none.
func (x *exchange) lookup() (ok bool) {
	m, at := &x.memo, x.router.changes.Load()
	if m.at != at || m.host == "" || !bytes.Equal(m.raw, x.req.Host) {
		host, ok := normalHost(string(x.req.Host))
		if !ok {
			return false
		}
		*m = memo{raw: append(m.raw[:0], x.req.Host...), host: host, app: x.router.find(host), at: at}
	}
	x.host, x.app = m.host, m.app
	x.visit.host = x.host
	return true
}

// repeatable reports whether sending the request twice does no harm (RFC 9110,
// 9.2.2), by its method or by its client's word.
func (x *exchange) repeatable() bool {
	switch string(x.req.Method) {
	case "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE":
		return true
	}
	return len(x.req.Get("idempotency-key")) > 0 || len(x.req.Get("x-idempotency-key")) > 0
}

// next says which instance the request goes to now, which it has entered then:
// left is to be called.
func (x *exchange) next() step {
	for {
		if x.behind() {
			return x.queue()
		}
		x.visit.app = x.app
		now := x.router.now()
		rt, at, why := x.app.acquire(now, x.tried, x.last, &x.visit)
		if why == gone {
			if next := x.router.find(x.host); next != nil && next != x.app {
				x.app = next // the host was handed over after it was looked up
				continue
			}
		}
		if rt != nil {
			x.route = rt
		}
		switch {
		case why == empty && rt.hold:
			x.giveBack() // for others, and in is asked for again then
			x.in = false
			return x.queue()
		case why == empty && x.lingers(now):
			return x.linger(now)
		case why == unproven:
			return step{do: toProve}
		case at.inst == nil:
			return answerWith(x.refuse(why))
		}
		if s, ok := x.admitted(); !ok {
			at.inst.door.leave()
			at.entry.Undo()
			return s
		}
		return x.enter(at, now)
	}
}

// enter has the request counted as open, and sends it to the instance whose
// door it is in.
func (x *exchange) enter(at berth, now time.Duration) step {
	x.inst, x.berth, x.inside, x.sent, x.verdict = at.inst, at, true, now, balance.Unknown
	x.bind()
	if x.attempts++; x.attempts == 1 {
		at.group.balancer().Begin()
		at.group.series() // of one that has had no request before
	}
	if x.route.tally != nil {
		x.route.tally.open.Add(1)
	}
	place := at.inst.place.Load()
	if place == nil {
		return x.failed(errRefused, true)
	}
	return step{do: toSend, place: place}
}

// left ends that the request is open at its instance.
func (x *exchange) left() {
	if !x.inside {
		return
	}
	x.inside = false
	x.unbind()
	if x.broken {
		x.verdict = balance.Failed
	}
	x.berth.group.balancer().Done(x.berth.entry, x.router.now(), x.verdict, -1)
	if x.route.tally != nil {
		x.route.tally.open.Add(-1) // before whoever waits at the door looks at it
	}
	x.inst.door.leave()
}

// onward is how the head goes to the instance.
func (x *exchange) onward() h1.Onward {
	x.origin.bearer = x.route.clients.bearer(x.from.tls)
	x.set = x.tell(x.levelLine(x.origin.lines(x.set[:0])))
	return h1.Onward{Length: x.req.Length, Body: x.hasBody || x.req.Framed(), Drop: x.notTold, Set: x.set}
}

// back is how an answer's head goes to the client, and takes note that it came.
func (x *exchange) back(res *h1.Response) h1.Back {
	x.answered, x.status = x.router.now(), res.Status
	x.judge(res)
	length := x.show(res)
	x.set = x.setCookie(res, x.shown.Append(x.origin.idLine(x.set[:0])))
	x.set = x.sayAltSvc(x.set, res)
	if res.Get("date") == nil && res.Status >= 200 {
		x.set = x.router.date(x.set)
	}
	return h1.Back{
		Length: length, Bodiless: res.Bodiless(x.req.Method), OldPeer: x.req.Minor == 0,
		Close: x.parts(), Drop: x.notShown, Set: x.set,
	}
}

// isForUs reports whether a field of an answer is for the router alone, or
// written by it.
func isForUs(name []byte) bool {
	return h1.Is(name, "x-request-id") || h1.Is(name, loadLevel)
}

// failed says what is done about a request whose attempt ended without a byte
// of an answer; whole says that its body could be sent again.
func (x *exchange) failed(err error, whole bool) step {
	x.verdict = resultOf(err)
	x.left()
	x.blame(err)
	if !errors.Is(err, errGone) && whole {
		if s, ok := x.again(err); ok {
			return s
		}
	}
	x.router.log.Debug("request had no answer", "app", x.app.name, "instance", x.inst.id, "request_id", string(x.origin.id), "err", err)
	switch {
	case errors.Is(err, errGone):
		x.status = statusClientGone
		return step{do: toCut}
	case errors.Is(err, errSlow):
		return answerWith(slowBody())
	case errors.Is(err, errTooLarge):
		x.uncounted = true
		return answerWith(tooLarge(x.route.rules.MaxBody()))
	case errors.Is(err, errClient):
		return answerWith(badBody(err))
	case x.app.control:
		return answerWith(controlDown())
	case errors.Is(err, errRefused):
		return answerWith(unreachable(x.app.name))
	case errors.Is(err, errTimeout):
		return answerWith(tooSlow(x.app.name))
	case errors.Is(err, errGarbage):
		return answerWith(garbled(x.app.name))
	}
	return answerWith(brokeOff(x.app.name))
}

// blame keeps the next attempt from what made this one fail: the instance when
// it cannot be reached, its old connections when one of them was closed.
func (x *exchange) blame(err error) {
	switch {
	case errors.Is(err, errRefused) && !errors.Is(err, errGone):
		x.tried = append(x.tried, x.inst)
	case errors.Is(err, errUnsent), errors.Is(err, errStale), errors.Is(err, errLost), errors.Is(err, errDied):
		x.last = x.inst
		if place := x.inst.place.Load(); place != nil {
			place.plain().close()
		}
	}
}

// finish counts the request, however it ended.
func (x *exchange) finish() {
	if x.guest != nil {
		x.router.onItsWay(x.guest)
	}
	x.giveBack()
	x.admission.held.Release()
	now := x.router.now()
	failed := x.broken || x.status >= 500 && x.shed == overload.None
	if x.app != nil {
		x.app.last.Store(int64(max(now, 1)))
	}
	if x.route != nil && x.route.tally != nil && !x.uncounted {
		x.count(now, failed)
	}
	x.measure(now, failed)
	x.note(now, failed)
}

func (x *exchange) count(now time.Duration, failed bool) {
	latency := time.Duration(-1)
	if x.answered > 0 {
		latency = x.answered - x.began - x.held - x.queued
	}
	x.route.tally.add(now, latency, failed)
	if c := x.app.cutover.Load(); c != nil {
		c.add(now, x.route.tally, latency, failed)
		if x.held > 0 {
			c.waited(x.held)
		}
		x.mirror(c, latency)
	}
}

// secure is the address of the same thing by HTTPS.
func (x *exchange) secure() string {
	host := x.host
	if named, ok := normalHost(string(x.origin.host)); ok {
		host = named
	}
	to := "https://" + x.router.atHTTPS(host)
	if target := string(x.req.Target); strings.HasPrefix(target, "/") {
		return to + target
	}
	return to + "/" // OPTIONS *
}
