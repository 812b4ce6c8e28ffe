package h1

import "bytes"

// Limits bound a head. A caller that leaves one at 0 has none of it through.
type Limits struct {
	Head   int // bytes, its first line and its last CR LF included
	Target int // bytes
	Fields int
}

// Unlimited framing of a body.
const (
	// Chunked says that a body comes in chunks.
	Chunked = -1
	// UntilClose says that a response's body ends with its connection.
	UntilClose = -2
)

// Field is one line of a head.
type Field struct {
	Name, Value []byte
	// Hop: it concerns this connection alone and is not handed on (RFC 9110, 7.6.1).
	Hop bool
}

// head is what requests and responses have in common. Its slices are parts of
// the buffer that was parsed.
type head struct {
	Minor  int // of the version: 0 or 1
	Fields []Field
	// Length of the body in bytes, Chunked or UntilClose.
	Length int64
	// Close: the sender wants the connection closed after this message.
	Close bool
	// Upgrade is the protocol that the sender asks for, or has agreed to.
	Upgrade []byte

	lengths, codings int
	keepAlive        bool
	upgradeNamed     bool
	nominated        bool // Connection names fields besides
}

func (h *head) reset() {
	*h = head{Fields: h.Fields[:0]}
}

var crlf = []byte("\r\n")

// line cuts one line off buf: what is before its CR LF, and how many bytes it
// took. n is 0 when its end has not come yet.
func line(buf []byte) (text []byte, n int, err error) {
	end := bytes.IndexByte(buf, '\n')
	switch {
	case end < 0:
		return nil, 0, nil
	case end == 0 || buf[end-1] != '\r':
		return nil, 0, errLineEnd
	}
	return buf[:end-1], end + 1, nil
}

// fields reads the lines after the first, up to and with the empty one.
func (h *head) fields(buf []byte, limits Limits) (n int, err error) {
	for {
		text, took, err := line(buf[n:])
		if took == 0 || err != nil {
			return 0, err
		}
		n += took
		if len(text) == 0 {
			return n, nil
		}
		if len(h.Fields) == limits.Fields {
			return 0, errFieldCount
		}
		field, err := parseField(text)
		if err != nil {
			return 0, err
		}
		h.Fields = append(h.Fields, field)
	}
}

func parseField(text []byte) (Field, error) {
	if len(text) > 0 && (text[0] == ' ' || text[0] == '\t') {
		return Field{}, errFold
	}
	colon := bytes.IndexByte(text, ':')
	if colon < 1 || !all(text[:colon], tokenByte) {
		return Field{}, errName
	}
	value := Trim(text[colon+1:])
	if !all(value, valueByte) {
		return Field{}, errValue
	}
	return Field{Name: text[:colon], Value: value}, nil
}

// common takes note of a field that means the same in both directions, and
// reports whether it was one.
func (h *head) common(f *Field) (known bool, err error) {
	switch len(f.Name) {
	case len("te"):
		if Is(f.Name, "te") {
			f.Hop = true
			return true, nil
		}
	case len("upgrade"):
		switch {
		case Is(f.Name, "upgrade"):
			f.Hop = true
			h.Upgrade = f.Value
			return true, nil
		case Is(f.Name, "trailer"): // end to end: RFC 9110, 6.6.2
			return true, nil
		}
	case len("connection"):
		switch {
		case Is(f.Name, "connection"):
			f.Hop = true
			return true, h.connection(f.Value)
		case Is(f.Name, "keep-alive"):
			f.Hop = true
			return true, nil
		}
	case len("content-length"):
		if Is(f.Name, "content-length") {
			f.Hop = true // written anew
			return true, h.contentLength(f.Value)
		}
	case len("transfer-encoding"):
		if Is(f.Name, "transfer-encoding") {
			f.Hop = true // written anew
			return true, h.transferEncoding(f.Value)
		}
	case len("proxy-connection"):
		if Is(f.Name, "proxy-connection") {
			f.Hop = true
			return true, nil
		}
	}
	return false, nil
}

// contentLength reads digits only: no sign, no list, no more than 18 of them.
func (h *head) contentLength(value []byte) error {
	if h.lengths++; h.lengths > 1 {
		return errLengths
	}
	if len(value) == 0 || len(value) > 18 {
		return errLength
	}
	var n int64
	for _, b := range value {
		if b < '0' || b > '9' {
			return errLength
		}
		n = n*10 + int64(b-'0')
	}
	h.Length = n
	return nil
}

// transferEncoding accepts chunked, once, alone.
func (h *head) transferEncoding(value []byte) error {
	chunked, other := 0, 0
	for element, rest, ok := next(value); ok; element, rest, ok = next(rest) {
		if Is(element, "chunked") {
			chunked++
		} else {
			other++
		}
	}
	h.codings += chunked
	switch {
	case chunked > 0 && other > 0, h.codings > 1:
		return errCodings
	case other > 0:
		return errCoding
	}
	return nil
}

func (h *head) connection(value []byte) error {
	for element, rest, ok := next(value); ok; element, rest, ok = next(rest) {
		switch {
		case len(element) == 0: // empty elements count for nothing: RFC 9110, 5.6.1
		case Is(element, "close"):
			h.Close = true
		case Is(element, "keep-alive"):
			h.keepAlive = true
		case Is(element, "upgrade"):
			h.upgradeNamed = true
		case !IsToken(element):
			return errValue
		default:
			h.nominated = true
		}
	}
	return nil
}

// settle decides what only the whole head tells.
func (h *head) settle() error {
	switch {
	case h.codings > 0 && h.lengths > 0:
		return errBothFramings
	case h.codings > 0 && h.Minor == 0:
		return errOldCoding
	case h.codings > 0:
		h.Length = Chunked
	}
	if h.Minor == 0 && !h.keepAlive {
		h.Close = true
	}
	if !h.upgradeNamed {
		h.Upgrade = nil
	}
	if h.nominated {
		h.markNominated()
	}
	return nil
}

// markNominated takes the fields that Connection names for this connection's
// own. It is rare, and may cost the square of a bounded number.
func (h *head) markNominated() {
	for i := range h.Fields {
		if !Is(h.Fields[i].Name, "connection") {
			continue
		}
		for element, rest, ok := next(h.Fields[i].Value); ok; element, rest, ok = next(rest) {
			h.nominate(element)
		}
	}
}

func (h *head) nominate(name []byte) {
	for i := range h.Fields {
		f := &h.Fields[i]
		if bytes.EqualFold(f.Name, name) && !Is(f.Name, "host") {
			f.Hop = true
		}
	}
}

// Framed reports whether the head says how long its body is, if only that it
// has no bytes.
func (h *head) Framed() bool { return h.lengths+h.codings > 0 }

// Get is the value of the first field of that name, in lower case; nil: none.
func (h *head) Get(name string) []byte {
	for i := range h.Fields {
		if Is(h.Fields[i].Name, name) {
			return h.Fields[i].Value
		}
	}
	return nil
}
