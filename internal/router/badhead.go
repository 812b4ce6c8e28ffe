package router

import (
	"strconv"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
)

// badHead is the answer to what is no request: its head breaks a rule or a
// limit, or did not come in time.
type badHead struct {
	res  h1.Response
	back h1.Back
	body string
}

// badHead is what a client is told whose head is refused by a protocol before
// there is an exchange: with the page that p is, counted and written down. What
// of the request was understood is in req, and may be anything.
func (r *Router) badHead(from *peer, proto string, req *h1.Request, p page) badHead {
	var o origin
	o.read(req, from, r.opt.TrustedProxies)
	var t badHead
	t.body = p.head(&t.res, string(req.Get("accept")), string(o.id))
	t.back = h1.Back{Length: t.res.Length, Close: true, Set: r.date(o.idLine(nil))}
	if string(req.Method) == "HEAD" {
		t.back.Bodiless = true
		t.back.Set = append(t.back.Set, "Content-Length: "+strconv.Itoa(len(t.body))+"\r\n"...)
		t.body = ""
	}
	r.tellRefused(&o, proto, req, p.status, len(t.body))
	return t
}

// tellRefused counts a refused head and has it written down.
func (r *Router) tellRefused(o *origin, proto string, req *h1.Request, status, sent int) {
	r.metrics.Refused(proto, status)
	opt := &r.opt
	if opt.Access == nil || opt.Sampled != nil && !opt.Sampled(nil, false) {
		return
	}
	opt.Access(Access{
		Time: time.Now(), Client: o.client, Host: cutShort(req.Host), Method: cutShort(req.Method), Path: cutShort(req.Path()),
		Proto: proto, Scheme: o.proto, Status: status, Bytes: int64(sent), RequestID: string(o.id), Why: "protocol",
	})
}

// cutShort is what is written down of what nobody has checked.
func cutShort(text []byte) string { return string(text[:min(len(text), 256)]) }
