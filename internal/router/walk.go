package router

import (
	"errors"
	"io"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/rules"
)

// maxInterim is how many heads may come before the final one.
const maxInterim = 32

// walk is an exchange whose steps are done by a goroutine that waits: it is
// what all drivers but one on a poller of its own have in common. It knows a
// client and links, and no protocol.
type walk struct {
	client  client
	sink    sink // the client, or what stands before it
	coder   coder
	hasBody bool
	inline  []byte // the body, when all of it was there; else upload brings it
	stream  bool
	ended   bool
	upload  upload
	res     h1.Response
	sends   h1.Onward // how the head goes to the instance
	tells   h1.Back   // and the answer's to the client

	// What may be cut off by others: see allow.
	cutMu sync.Mutex
	link  link
	due   atomic.Int64 // when the link is cut, on the router's clock; 0: there is none to cut
	why   error        // it was
}

// Values of walk.due that are no time.
const (
	noDue   = 0
	cutOff  = -1
	noLimit = math.MaxInt64
)

// run leads one request to its end. The client is told an answer, or cut off.
func (x *exchange) run(c client) {
	x.client, x.sink, x.ended = c, c, false
	if !x.router.open.enter() {
		x.answer(leaving())
		_ = c.flush()
		return
	}
	defer x.router.open.leave()
	defer x.over() // whatever happens
	defer x.uncode()
	x.takeBody()
	s := x.first()
	for s.do == toSend || s.do == toWait || s.do == toProve {
		switch s.do {
		case toWait:
			s = x.await(s)
			continue
		case toProve:
			s = x.prove()
			continue
		case toSend, toAnswer, toCut:
		}
		err := x.attempt(s.place)
		if err == nil {
			break
		}
		s = x.failed(err, !x.stream || x.upload.replayable())
	}
	switch s.do {
	case toAnswer:
		x.answer(s.page)
	case toCut:
		c.abort()
	case toSend, toWait, toProve:
	}
	x.over()
	_ = c.flush() // who is gone needs none of it
	if x.stream {
		x.upload.stop()
	}
}

// over counts the request, before its client sees the answer's end.
func (x *exchange) over() {
	if !x.ended {
		x.ended = true
		x.left()
		x.finish()
	}
}

// takeBody looks at what there is of the body.
func (x *exchange) takeBody() {
	x.inline, x.stream = nil, false
	if x.hasBody = bodyOf(x.req); !x.hasBody {
		return
	}
	if body, ok := x.client.whole(); ok {
		x.inline = body
		return
	}
	x.stream = true
	x.upload.begin(x.client, x.origin.vouched, x.repeatable(), x.bodySent, x.interrupt)
}

// await has a request wait in its lobby, or in the queue of its gate.
func (x *exchange) await(s step) step {
	if s.guest == nil {
		return x.slotted(x.gate.Await(x.router.now, &x.waiter, x.ready, x.client.gone()))
	}
	late := time.NewTimer(time.Until(s.until))
	defer late.Stop()
	left := false
	select {
	case <-s.guest.let:
	case <-late.C:
	case <-x.client.gone():
		left = true
	}
	return x.waited(s.guest, left)
}

// attempt sends the request to one place and brings the answer back. An error
// means that the client was told nothing of an answer.
func (x *exchange) attempt(at *place) error {
	l, err := at.by(x.route.edge.Protocol).take(x.router.base, x.from, x.route.edge.Proxy, x.router.connectTime(x.route))
	if err != nil {
		return err
	}
	l = x.hedged(l)
	x.hold(l)
	more, err := x.converse(l)
	sent := !x.stream || x.upload.off()
	if cut := x.release(); cut != nil {
		more = false
		if err != nil {
			err = cut
		}
	}
	l.done(err == nil && more && sent)
	x.left()
	return err
}

// hold has l cut when the client leaves.
func (x *exchange) hold(l link) {
	x.link, x.why = l, nil
	x.due.Store(noLimit)
}

// release ends what hold began, and says why l was cut, if it was.
func (x *exchange) release() error {
	if x.due.Swap(noDue) != cutOff {
		x.link = nil
		return nil
	}
	x.cutMu.Lock() // until who cut it has done so
	defer x.cutMu.Unlock()
	x.link = nil
	return x.why
}

// interrupt cuts the link that the request is at, if it is at one.
func (x *exchange) interrupt(why error) {
	x.cutMu.Lock()
	defer x.cutMu.Unlock()
	if due := x.due.Load(); due > noDue && x.due.CompareAndSwap(due, cutOff) {
		x.why = why
		x.link.cut()
	}
}

// expire is interrupt when the answer has not begun in time.
func (x *exchange) expire(now time.Duration) {
	if due := x.due.Load(); due > noDue && due <= int64(now) {
		x.cutMu.Lock()
		defer x.cutMu.Unlock()
		if x.due.CompareAndSwap(due, cutOff) {
			x.why = errTimeout
			x.link.cut()
		}
	}
}

// bodySent has the time run that the app has to begin its answer.
func (x *exchange) bodySent() {
	if limit := x.patience(); limit > 0 {
		x.due.CompareAndSwap(noLimit, int64(x.router.now()+limit))
	}
}

// connectTime is how long it may take to reach an instance.
func (r *Router) connectTime(rt *route) time.Duration {
	if own := rt.edge.Timeouts.Connect; own > 0 {
		return own
	}
	return r.opt.ConnectTimeout
}

// patience is how long the app may take to begin its answer; 0: any time.
func (x *exchange) patience() time.Duration {
	switch {
	case x.app.control:
		return 0
	case x.route.edge.Timeouts.Answer > 0:
		return x.route.edge.Timeouts.Answer
	}
	return x.router.opt.AnswerTimeout
}

// converse sends the request over l and relays the answer; more says that l
// is as it was before. An error means that the client was told nothing.
func (x *exchange) converse(l link) (more bool, err error) {
	x.sends = x.onward()
	if !x.stream {
		x.bodySent() // in a moment
	}
	if err := l.send(x.req, &x.sends, x.inline, x.stream); err != nil {
		return false, err
	}
	if x.stream {
		x.upload.to(l, x.route.rules.MaxBody())
	}
	if err := x.head(l); err != nil {
		return false, err
	}
	// The answer began: it may take any time.
	if due := x.due.Load(); due != cutOff {
		x.due.CompareAndSwap(due, noLimit)
	}
	x.heard(&x.res)
	if x.res.Status == 101 {
		return false, x.upgrade(l)
	}
	return x.relay(l), nil
}

// head reads the answer's head, and relays those before it.
func (x *exchange) head(l link) error {
	for range maxInterim {
		if err := l.answer(&x.res); err != nil {
			return err
		}
		if !x.res.Interim() {
			return nil
		}
		if x.req.Minor == 0 || x.res.Status == 100 && !x.req.Expect {
			continue // that would be taken for the answer
		}
		if err := x.client.interim(&x.res); err != nil {
			return errGone
		}
	}
	return errGarbage
}

// relay hands an answer back as it comes. It reports whether it came whole.
func (x *exchange) relay(l link) (whole bool) {
	x.tells = x.back(&x.res)
	if x.client.answer(&x.res, &x.tells) != nil {
		return false
	}
	for {
		if !l.ready() && x.sink.flush() != nil {
			return false // and the client is gone
		}
		data, err := l.next()
		if errors.Is(err, io.EOF) {
			return x.sink.end(l.trailers()) == nil
		}
		if err != nil {
			x.breakOff()
			return false
		}
		x.bytes += int64(len(data))
		if x.sink.write(data) != nil {
			return false
		}
	}
}

// breakOff ends an answer that its app did not end.
func (x *exchange) breakOff() {
	if x.due.Load() != cutOff { // else it was the client that left
		x.broken = true
	}
	x.client.abort()
}

// answer tells the client a page of the router's own.
func (x *exchange) answer(p page) {
	var own *rules.Rules
	if x.route != nil {
		own = x.route.rules
		p.html = own.Page(p.status, p.resting)
	}
	body := p.head(&x.res, string(x.req.Get("accept")), string(x.origin.id))
	x.status = p.status
	x.shown.Own(own, x.visit.https)
	x.set = x.router.date(x.sayAltSvc(x.shown.Append(x.origin.idLine(x.set[:0])), &x.res))
	x.tells = h1.Back{Length: x.res.Length, Close: x.parts(), OldPeer: x.req.Minor == 0, Drop: x.notShown, Set: x.set}
	if string(x.req.Method) == "HEAD" {
		x.tells.Bodiless = true
		x.set = append(x.set, "Content-Length: "...)
		x.tells.Set = append(x.set, strconv.Itoa(len(body))+"\r\n"...)
		body = ""
	}
	err := x.client.answer(&x.res, &x.tells)
	if err == nil && body != "" {
		x.bytes = int64(len(body))
		err = x.client.write([]byte(body))
	}
	if err == nil {
		_ = x.client.end(nil) // who is gone needs no page
	}
}
