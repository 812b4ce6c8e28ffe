package h2

import (
	"strconv"

	"golang.org/x/net/http2/hpack"

	"github.com/slipway-paas/slipway/internal/h1"
)

// block is a header block as it comes out of HPACK. Names and values lie in
// one buffer that fields are cut from when all is there.
type block struct {
	buf    []byte
	fields []span
	pseudo [pseudos]span
	have   [pseudos]bool
	cookie int // how many fields are Cookie
	size   int // as SETTINGS_MAX_HEADER_LIST_SIZE counts
	limit  int
	most   int // fields
	over   bool
	fault  error // the first rule it breaks
}

type span struct{ at, name, value int }

// The pseudo-header fields.
const (
	pMethod = iota
	pScheme
	pAuthority
	pPath
	pProtocol
	pStatus
	pseudos
)

func (b *block) reset(o *Options) {
	*b = block{buf: b.buf[:0], fields: b.fields[:0], limit: o.HeaderList, most: o.MaxFields}
}

func (b *block) name(s span) []byte { return b.buf[s.at : s.at+s.name : s.at+s.name] }
func (b *block) value(s span) []byte {
	return b.buf[s.at+s.name : s.at+s.name+s.value : s.at+s.name+s.value]
}

// add is HPACK's callback. What goes over the limit is dropped, for the rest
// of the block must be decoded all the same.
func (b *block) add(f hpack.HeaderField) {
	if b.size += len(f.Name) + len(f.Value) + 32; b.size > b.limit || len(b.fields) > b.most {
		b.over = true
	}
	if b.over || b.fault != nil {
		return
	}
	s := span{len(b.buf), len(f.Name), len(f.Value)}
	b.buf = append(append(b.buf, f.Name...), f.Value...)
	if len(f.Name) > 0 && f.Name[0] == ':' {
		b.addPseudo(f.Name, s)
		return
	}
	b.fault = checkName(f.Name, f.Value)
	if f.Name == "cookie" {
		b.cookie++
	}
	b.fields = append(b.fields, s)
}

func (b *block) addPseudo(name string, s span) {
	kind := -1
	switch name {
	case ":method":
		kind = pMethod
	case ":scheme":
		kind = pScheme
	case ":authority":
		kind = pAuthority
	case ":path":
		kind = pPath
	case ":protocol":
		kind = pProtocol
	case ":status":
		kind = pStatus
	}
	switch {
	case kind < 0:
		b.fault = malformed("8.3", "there is an unknown pseudo-header field")
	case len(b.fields) > 0:
		b.fault = malformed("8.3", "a pseudo-header field stands after a regular one")
	case b.have[kind]:
		b.fault = malformed("8.3", "there are two of one pseudo-header field")
	default:
		b.pseudo[kind], b.have[kind] = s, true
	}
}

// checkName refuses what HTTP/2 alone does not allow: capitals, and the fields
// that say something of a connection.
func checkName(name, value string) error {
	for i := range len(name) {
		if name[i] >= 'A' && name[i] <= 'Z' {
			return malformed("8.2.1", "a field's name has a capital letter")
		}
	}
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return malformed("8.2.2", "there is a field of HTTP/1.1's connections")
	case "te":
		if value != "trailers" {
			return malformed("8.2.2", "TE says more than trailers")
		}
	}
	return nil
}

// request makes the head of a request. Its slices are parts of the block.
func (b *block) request(r *h1.Request, limits h1.Limits, open bool) error {
	r.Reset()
	r.Method, r.Target, r.Host = b.value(b.pseudo[pMethod]), b.value(b.pseudo[pPath]), b.value(b.pseudo[pAuthority])
	if b.fault != nil {
		return b.fault
	}
	if b.over {
		return errListSize
	}
	if err := b.requestPseudo(); err != nil {
		return err
	}
	socket := b.have[pProtocol]
	if socket {
		r.Method = get
	}
	r.Fields = b.cut(r.Fields)
	if err := r.Check(limits, open && !socket); err != nil {
		return err
	}
	if socket {
		return b.socket(r)
	}
	if !open && r.Length > 0 {
		return malformed("8.1.1", "Content-Length is not the length of the body")
	}
	return nil
}

var errListSize = &h1.Error{Status: 431, Clause: "RFC 9113, 10.5.1", Reason: "the head is too large"}

var get, websocket = []byte("GET"), []byte("websocket")

func (b *block) requestPseudo() error {
	tunnel := string(b.value(b.pseudo[pMethod])) == "CONNECT"
	switch {
	case b.have[pStatus]:
		return malformed("8.3.1", "a request has :status")
	case !b.have[pMethod]:
		return malformed("8.3.1", "there is no :method")
	case tunnel && !b.have[pProtocol]:
		if b.have[pPath] || b.have[pScheme] {
			return malformed("8.5", "CONNECT has :path or :scheme")
		}
		return errConnect
	case b.have[pProtocol] && !tunnel:
		return malformed("8.3", "there is :protocol without CONNECT") // RFC 8441, 4
	case !b.have[pScheme]:
		return malformed("8.3.1", "there is no :scheme")
	case !b.have[pPath] || b.pseudo[pPath].value == 0:
		return malformed("8.3.1", "there is no :path")
	case b.have[pAuthority] && b.pseudo[pAuthority].value == 0:
		return malformed("8.3.1", ":authority is empty")
	}
	return nil
}

var errConnect = &h1.Error{Status: 405, Clause: "RFC 9113, 8.5", Reason: "CONNECT is not served"}

// cut appends the fields to dst, the cookies as one (RFC 9113, 8.2.3).
func (b *block) cut(dst []h1.Field) []h1.Field {
	var joined span
	if b.cookie > 1 {
		joined = b.joinCookies()
	}
	for _, s := range b.fields {
		f := h1.Field{Name: b.name(s), Value: b.value(s)}
		if b.cookie > 1 && string(f.Name) == "cookie" {
			if joined.at < 0 {
				continue
			}
			f.Value = b.value(joined)
			joined.at = -1
		}
		dst = append(dst, f)
	}
	return dst
}

func (b *block) joinCookies() span {
	joined := span{at: len(b.buf)}
	for _, s := range b.fields {
		if string(b.name(s)) != "cookie" {
			continue
		}
		if len(b.buf) > joined.at {
			b.buf = append(b.buf, "; "...)
		}
		b.buf = append(b.buf, b.value(s)...)
	}
	joined.value = len(b.buf) - joined.at
	return joined
}

// response makes the head of a response.
func (b *block) response(r *h1.Response, method []byte, limits h1.Limits, open bool) error {
	switch {
	case b.fault != nil:
		return b.fault
	case b.over:
		return malformed("10.5.1", "the head is too large")
	case !b.have[pStatus] || b.pseudo[pStatus].value != 3:
		return malformed("8.3.2", "there is no :status")
	case b.have[pMethod] || b.have[pScheme] || b.have[pAuthority] || b.have[pPath] || b.have[pProtocol]:
		return malformed("8.3.2", "a response has a pseudo-header field of requests")
	}
	r.Reset()
	status, err := strconv.ParseUint(string(b.value(b.pseudo[pStatus])), 10, 16)
	if err != nil {
		return malformed("8.3.2", ":status is no number")
	}
	r.Status = int(status)
	r.Reason = reason
	r.Fields = b.cut(r.Fields)
	if err := r.Check(method, limits, open); err != nil {
		return err
	}
	switch {
	case r.Status == 101:
		return malformed("8.6", "101 is not of HTTP/2")
	case r.Status < 200 && !open:
		return malformed("8.1", "the stream ends with an interim response")
	case !open && r.Length > 0:
		return malformed("8.1.1", "Content-Length is not the length of the body")
	}
	return nil
}

// reason stands in for what HTTP/2 does not carry.
var reason = []byte{}

// trailers appends the block as lines. What only a head may have is left out.
func (b *block) trailers(dst []byte, most int) ([]byte, error) {
	if b.fault != nil {
		return dst, b.fault
	}
	for _, have := range b.have {
		if have {
			return dst, malformed("8.1", "trailers have a pseudo-header field")
		}
	}
	if b.over || b.size > most {
		return dst, malformed("10.5.1", "the trailers are too large")
	}
	for _, s := range b.fields {
		f := h1.Field{Name: b.name(s), Value: b.value(s)}
		if err := h1.CheckTrailer(f); h1.ForbiddenTrailer(err) {
			continue
		} else if err != nil {
			return dst, malformed("8.2.1", "a trailer has a byte that no field has")
		}
		dst = append(append(dst, f.Name...), ": "...)
		dst = append(append(dst, f.Value...), "\r\n"...)
	}
	return dst, nil
}
