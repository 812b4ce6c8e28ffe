package h1

import "bytes"

// Request is the head of a request. Its slices are parts of the buffer it was
// parsed from and hold as long as that is left as it is. The zero value is
// ready; reuse one for many heads.
type Request struct {
	head
	Method []byte
	// Target is in origin form, or "*": an absolute form's scheme and host are
	// cut off.
	Target []byte
	// Host is Host's value, with its port; empty for HTTP/1.0 without one.
	Host []byte
	// Expect: the client waits for 100 (Continue) before it sends the body.
	Expect bool
	// Trailers: the client takes trailers (TE: trailers).
	Trailers bool

	authority []byte // of an absolute form
	hosts     int
}

// Path is the target without its query.
func (r *Request) Path() []byte {
	if i := bytes.IndexByte(r.Target, '?'); i >= 0 {
		return r.Target[:i]
	}
	return r.Target
}

// Parse reads one head from the start of buf and returns how many bytes it
// took, or 0 when its end has not come yet: then Parse is called again with
// more, from the start. An *Error says how to answer before closing.
func (r *Request) Parse(buf []byte, limits Limits) (n int, err error) {
	r.Reset()
	n, err = r.parse(buf[:min(len(buf), limits.Head)], limits)
	if n == 0 && err == nil && len(buf) >= limits.Head {
		return 0, r.tooLarge(buf, limits)
	}
	return n, err
}

// tooLarge says what of a head that has no end within its limit is too large.
func (r *Request) tooLarge(buf []byte, limits Limits) error {
	if _, took, err := line(buf[:limits.Head]); took == 0 && err == nil {
		return errTargetSize
	}
	return errHeadSize
}

func (r *Request) parse(buf []byte, limits Limits) (n int, err error) {
	skipped := 0
	if bytes.HasPrefix(buf, crlf) { // one empty line may stand before: RFC 9112, 2.2
		skipped, buf = 2, buf[2:]
	}
	text, n, err := line(buf)
	if n == 0 || err != nil {
		return 0, err
	}
	if err := r.requestLine(text, limits); err != nil {
		return 0, err
	}
	took, err := r.fields(buf[n:], limits)
	if took == 0 || err != nil {
		return 0, err
	}
	for i := range r.Fields {
		if err := r.note(&r.Fields[i]); err != nil {
			return 0, err
		}
	}
	if err := r.settle(); err != nil {
		return 0, err
	}
	return skipped + n + took, r.settleHost()
}

func (r *Request) requestLine(text []byte, limits Limits) error {
	first := bytes.IndexByte(text, ' ')
	last := bytes.LastIndexByte(text, ' ')
	if first < 1 || last <= first+1 || bytes.IndexByte(text[first+1:last], ' ') >= 0 {
		return errRequestLine
	}
	r.Method, r.Target = text[:first], text[first+1:last]
	if !all(r.Method, tokenByte) {
		return errMethod
	}
	if len(r.Target) > limits.Target {
		return errTargetSize
	}
	if !all(r.Target, targetByte) {
		return errTarget
	}
	minor, err := version(text[last+1:])
	if err != nil {
		return err
	}
	r.Minor = minor
	return r.targetForm()
}

// version reads HTTP/1.0 or HTTP/1.1. A higher minor version is 1.1 to us
// (RFC 9110, 2.5).
func version(text []byte) (minor int, err error) {
	if len(text) != 8 || string(text[:5]) != "HTTP/" || text[6] != '.' || text[5] < '0' || text[5] > '9' || text[7] < '0' || text[7] > '9' {
		return 0, errRequestLine
	}
	if text[5] != '1' {
		return 0, errVersion
	}
	return min(int(text[7]-'0'), 1), nil
}

// targetForm brings the target into origin form.
func (r *Request) targetForm() error {
	switch {
	case string(r.Method) == "CONNECT":
		return errConnect
	case r.Target[0] == '/':
		return nil
	case len(r.Target) == 1 && r.Target[0] == '*' && string(r.Method) == "OPTIONS":
		return nil
	}
	return r.absoluteForm()
}

func (r *Request) absoluteForm() error {
	rest, ok := cutScheme(r.Target)
	if !ok {
		return errTargetForm
	}
	end := len(rest)
	for i, b := range rest {
		if b == '/' || b == '?' || b == '#' {
			end = i
			break
		}
	}
	r.authority, r.Target = rest[:end], rest[end:]
	if len(r.authority) == 0 || !all(r.authority, hostByte) {
		return errTargetForm // an empty host, or user information
	}
	switch {
	case len(r.Target) == 0 && string(r.Method) == "OPTIONS":
		r.Target = asterisk
	case len(r.Target) == 0:
		r.Target = slash
	case r.Target[0] == '#':
		return errTargetForm
	case r.Target[0] == '?': // rare enough to allocate
		r.Target = append([]byte("/"), r.Target...)
	}
	return nil
}

var slash, asterisk = []byte("/"), []byte("*")

func cutScheme(target []byte) (rest []byte, ok bool) {
	for _, scheme := range [...]string{"http://", "https://"} {
		if len(target) > len(scheme) && Is(target[:len(scheme)], scheme) {
			return target[len(scheme):], true
		}
	}
	return nil, false
}

// note takes note of a field that this side of a proxy must understand.
func (r *Request) note(f *Field) error {
	if known, err := r.common(f); known || err != nil {
		if err == nil && Is(f.Name, "te") {
			r.te(f.Value)
		}
		return err
	}
	switch {
	case Is(f.Name, "host"):
		if r.hosts++; r.hosts > 1 {
			return errHosts
		}
		f.Hop = true // written anew
		r.Host = f.Value
	case Is(f.Name, "expect"):
		if !Is(f.Value, "100-continue") {
			return errExpect
		}
		r.Expect = r.Minor > 0 // of HTTP/1.0 it is ignored: RFC 9110, 10.1.1
	case Is(f.Name, "http2-settings"), Is(f.Name, "proxy-authorization"), Is(f.Name, "proxy-authenticate"):
		f.Hop = true
	}
	return nil
}

func (r *Request) te(value []byte) {
	for element, rest, ok := next(value); ok; element, rest, ok = next(rest) {
		r.Trailers = r.Trailers || Is(element, "trailers")
	}
}

func (r *Request) settleHost() error {
	switch {
	case r.hosts == 0 && r.Minor > 0:
		return errNoHost
	case !all(r.Host, hostByte):
		return errHost
	case r.authority != nil && r.hosts > 0 && !bytes.EqualFold(r.authority, r.Host):
		return errHostConflict
	case r.authority != nil:
		r.Host = r.authority
	case r.hosts > 0 && len(r.Host) == 0:
		return errHost // empty is for targets without an authority, which are not served
	}
	return nil
}
