package router

import (
	"encoding/binary"
	"math/rand/v2"
	"net/http"
	"net/netip"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/match"
	"github.com/slipway-paas/slipway/internal/rules"
)

// encodersPerCore is how many answers are compressed at the same time: more than
// a core can do anything for at once, since clients take their time.
const encodersPerCore = 64

// judgement is what the team's rules need to know of a request, and what they
// said of it last.
type judgement struct {
	visit   rules.Visit
	verdict rules.Refusal
}

// address is the client's, the zero value when it has none.
func (v *visit) address() netip.Addr {
	if !v.judged.visit.Client.IsValid() {
		v.judged.visit.Client, _ = netip.ParseAddr(v.client)
	}
	return v.judged.visit.Client
}

// denied reports whether the client is in a network that the team denies.
func (rt *route) denied(v *visit) bool {
	return rt.rules != nil && rt.rules.Denied(v.address())
}

// denies is denied for a connection to a port of the edge.
func (rt *route) denies(client string) bool {
	if rt.rules == nil {
		return false
	}
	addr, err := netip.ParseAddr(client)
	return err == nil && rt.rules.Denied(addr)
}

// judge asks the team's rules whether a request may go on.
func (rt *route) judge(v *visit) refusal {
	if rt.rules == nil {
		return admitted
	}
	j := &v.judged
	j.visit.HTTPS, j.visit.Host = v.https, v.host
	v.address()
	if rt.rules.Paths() && j.visit.Path == "" {
		j.visit.Path, _ = match.CleanPath(v.path())
	}
	j.verdict = rt.rules.Refuse(v.req, &j.visit, v.router.proofs, v.router.now())
	switch {
	case j.verdict == rules.Refusal{}:
		return admitted
	case j.verdict.Prove:
		return unproven
	}
	return ruled
}

// matched is the process type that the request's headers and cookies lead to,
// empty for the main one.
func (rt *route) matched(v *visit) (process string, ok bool) {
	if rt.rules == nil {
		return "", false
	}
	process, ok = rt.rules.Process(v.req)
	return mainAs(process), ok
}

// ruledPage is what the team's rules answer with.
func (x *exchange) ruledPage() page {
	verdict := &x.visit.judged.verdict
	p := page{status: verdict.Status, title: http.StatusText(verdict.Status), to: verdict.Location, challenge: verdict.Challenge, retry: verdict.Retry}
	switch p.status {
	case http.StatusUnauthorized:
		p.title, p.text = "Password needed", "This app asks for a name and a password."
	case http.StatusTooManyRequests:
		p.title, p.text = "Too many passwords", "Too many names and passwords that are wrong came from here. Try again in a moment."
	case http.StatusRequestEntityTooLarge:
		return tooLarge(x.route.rules.MaxBody())
	default:
		p.title, p.text = "Moved", "What was asked for is somewhere else."
	}
	return p
}

// prove finds out whether a password is right, which takes a while.
func (x *exchange) prove() step {
	if x.route != nil && x.route.rules != nil {
		x.router.proofs.Prove(x.client.gone(), x.route.rules, x.req, &x.visit.judged.visit, x.router.now)
	}
	return x.next()
}

// tell readies what the app is told besides who asked.
func (x *exchange) tell(dst []byte) []byte {
	x.told.Set(x.route.rules, x.req, x.origin.id)
	return x.told.Append(dst, x.router.start.Add(x.began), anyBytes)
}

// anyBytes fills p with what nobody foresees. Nothing secret rests on it.
func anyBytes(p []byte) {
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, rand.Uint64()) //nolint:gosec // see above
	}
}

// dropOnward reports whether a field of the request is not handed on.
func (x *exchange) dropOnward(name []byte) bool {
	return isOurs(name, x.origin.vouched) || x.told.Drop(name)
}

// dropBack is dropOnward for an answer.
func (x *exchange) dropBack(name []byte) bool { return isForUs(name) || x.shown.Drop(name) }

// show decides what the client is shown of an answer besides what the app
// wrote, and puts what compresses its body in its way.
func (x *exchange) show(res *h1.Response) (length int64) {
	x.shown.Set(x.route.rules, x.req, res, x.visit.https)
	if !x.shown.Coded() {
		return res.Length
	}
	if res.Bodiless(x.req.Method) {
		return 0
	}
	encoder := x.router.encoders.Begin(&x.shown, toClient{x.client})
	if encoder == nil {
		x.shown.Plain()
		return res.Length
	}
	x.coder = coder{encoder, x.client}
	x.sink = &x.coder
	return h1.Chunked
}

// uncode gives back what compressed an answer that has no end.
func (x *exchange) uncode() {
	if x.coder.encoder != nil {
		x.coder.encoder.Abort()
		x.coder = coder{}
	}
}

// coder is a sink that compresses.
type coder struct {
	encoder *rules.Encoder
	client  sink
}

func (c *coder) write(p []byte) error {
	_, err := c.encoder.Write(p)
	return err
}

func (c *coder) flush() error {
	if err := c.encoder.Flush(); err != nil {
		return err
	}
	return c.client.flush()
}

func (c *coder) end(trailers []byte) error {
	err := c.encoder.Close()
	to := c.client
	if *c = (coder{}); err != nil {
		return err
	}
	return to.end(trailers)
}

// toClient is a sink as a writer.
type toClient struct{ sink sink }

func (c toClient) Write(p []byte) (int, error) {
	if err := c.sink.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}
