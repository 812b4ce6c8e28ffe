package rules

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
)

// maxCorrelation bounds what is taken over of X-Correlation-Id, in bytes.
const maxCorrelation = 256

// Told is what an app is told with one request besides who asked: of its trace,
// its ids and its time, and what is kept from it. The zero value tells nothing;
// reuse one for many requests.
type Told struct {
	trace     verdict
	state     bool // tracestate goes on
	begin     bool
	start     bool
	password  bool // it was for the router
	correlate []byte
	id        []byte
}

// verdict is about the traceparent that came.
type verdict int

const (
	absent verdict = iota
	sound
	broken
)

// Set reads a request that goes to an instance; id is its X-Request-Id.
func (t *Told) Set(r *Rules, req *h1.Request, id []byte) {
	*t = Told{id: id}
	if r != nil {
		t.start, t.password = r.start, r.auth != nil
	}
	t.readTrace(req.Fields)
	t.begin = t.trace != sound && r != nil && r.traces
	for i := range req.Fields {
		f := &req.Fields[i]
		if h1.Is(f.Name, "x-correlation-id") {
			if t.correlate = f.Value; !harmless(f.Value, maxCorrelation) {
				t.correlate = nil
			}
			break
		}
	}
}

// Drop reports whether a field of the request is not handed on: it was for the
// router, what Append writes replaces it, or it says what only the router may
// say. An underscore counts as a hyphen, for servers that hand fields on as
// variables take them for the same.
func (t *Told) Drop(name []byte) bool {
	switch len(name) {
	case len("tracestate"):
		return !t.state && same(name, "tracestate")
	case len("traceparent"):
		return t.trace != sound && same(name, "traceparent")
	case len("authorization"):
		if t.password && same(name, "authorization") {
			return true
		}
	case len("x-request-start"):
		if same(name, "x-request-start") {
			return true
		}
	case len("x-correlation-id"):
		if same(name, "x-correlation-id") {
			return true
		}
	}
	const cert = "x-client-cert" // -Verified, -Subject and more: the router's word alone
	return len(name) >= len(cert) && (name[0] == 'x' || name[0] == 'X') && same(name[:len(cert)], cert)
}

// same is match.Is, but for an underscore in a hyphen's place.
func same(text []byte, name string) bool {
	if len(text) != len(name) {
		return false
	}
	for i := range name {
		b := text[i]
		if b >= 'A' && b <= 'Z' {
			b += 'a' - 'A'
		}
		if b != name[i] && (b != '_' || name[i] != '-') {
			return false
		}
	}
	return true
}

// Append appends the lines that the app is told. came is when the request's
// head had come; random is the start of 24 bytes that nobody can guess, asked
// for only when a trace is begun.
func (t *Told) Append(dst []byte, came time.Time, random func([]byte)) []byte {
	dst = append(dst, "X-Correlation-Id: "...)
	if len(t.correlate) > 0 {
		dst = append(append(dst, t.correlate...), ", "...)
	}
	dst = append(append(dst, t.id...), "\r\n"...)
	if t.start {
		dst = append(dst, "X-Request-Start: t="...)
		dst = strconv.AppendInt(dst, came.UnixMilli(), 10)
		dst = append(dst, "\r\n"...)
	}
	if t.begin {
		dst = appendTrace(dst, random)
	}
	return dst
}

// appendTrace begins a trace: sampled, so that apps that follow their parent do
// what they would do without one, and with a random id (flags 01 and 02).
func appendTrace(dst []byte, random func([]byte)) []byte {
	var ids [24]byte
	random(ids[:])
	ids[0] |= 1 // neither id is ever all zeroes
	ids[16] |= 1
	dst = append(dst, "traceparent: 00-"...)
	dst = hex.AppendEncode(dst, ids[:16])
	dst = append(dst, '-')
	dst = hex.AppendEncode(dst, ids[16:])
	return append(dst, "-03\r\n"...)
}

// harmless reports whether text is short, not empty, and has printable ASCII
// only, so that it can stand in a log.
func harmless(text []byte, most int) bool {
	if len(text) == 0 || len(text) > most {
		return false
	}
	for _, b := range text {
		if b <= ' ' && b != ' ' || b >= 0x7f {
			return false
		}
	}
	return true
}
