package h1

import "bytes"

// Response is the head of a response. Its slices are parts of the buffer it
// was parsed from. The zero value is ready; reuse one for many heads.
type Response struct {
	head
	Status int
	Reason []byte
}

// Interim reports whether another head follows for the same request: any 1xx
// but 101.
func (r *Response) Interim() bool { return r.Status < 200 && r.Status != 101 }

// Parse reads one head from the start of buf and returns how many bytes it
// took, or 0 when its end has not come yet. The method is the request's: it
// decides whether a body follows. An *Error is always 502: what else comes on
// that connection belongs to nobody.
func (r *Response) Parse(buf []byte, method []byte, limits Limits) (n int, err error) {
	r.Reset()
	n, err = r.parse(buf[:min(len(buf), limits.Head)], limits)
	switch {
	case err != nil:
		return 0, fromServer(err)
	case n == 0 && len(buf) >= limits.Head:
		return 0, fromServer(errHeadSize)
	case n > 0:
		r.frame(method)
	}
	return n, nil
}

func (r *Response) parse(buf []byte, limits Limits) (n int, err error) {
	text, n, err := line(buf)
	if n == 0 || err != nil {
		return 0, err
	}
	if err := r.statusLine(text); err != nil {
		return 0, err
	}
	r.Length = UntilClose
	took, err := r.fields(buf[n:], limits)
	if took == 0 || err != nil {
		return 0, err
	}
	for i := range r.Fields {
		if err := r.note(&r.Fields[i]); err != nil {
			return 0, err
		}
	}
	return n + took, r.settle()
}

// statusLine reads "HTTP/1.1 200 OK". The reason may be missing, with the
// space before it too, as servers send it.
func (r *Response) statusLine(text []byte) error {
	if len(text) < 12 || text[8] != ' ' {
		return errStatusLine
	}
	minor, err := version(text[:8])
	if err != nil {
		return errStatusLine
	}
	r.Minor = minor
	for _, b := range text[9:12] {
		if b < '0' || b > '9' {
			return errStatusLine
		}
		r.Status = r.Status*10 + int(b-'0')
	}
	if r.Status < 100 || r.Status > 599 || len(text) > 12 && text[12] != ' ' {
		return errStatusLine
	}
	r.Reason = text[min(13, len(text)):]
	if !all(r.Reason, valueByte) {
		return errStatusLine
	}
	return nil
}

func (r *Response) note(f *Field) error {
	known, err := r.common(f)
	if !known && err == nil && (Is(f.Name, "proxy-authenticate") || Is(f.Name, "proxy-authentication-info")) {
		f.Hop = true
	}
	return err
}

// frame says how the body ends (RFC 9112, 6.3). A length that describes what a
// HEAD or a 304 would have had is kept in its field.
func (r *Response) frame(method []byte) {
	bodiless := r.Status < 200 || r.Status == 204 || r.Status == 304 || string(method) == "HEAD"
	if r.Length == UntilClose && !bodiless {
		r.Close = true
	}
	if !bodiless {
		return
	}
	if r.Status == 304 || string(method) == "HEAD" {
		r.keepLength()
	}
	r.Length = 0
}

func (r *Response) keepLength() {
	for i := range r.Fields {
		if Is(r.Fields[i].Name, "content-length") {
			r.Fields[i].Hop = false
		}
	}
}

// Bodiless reports whether nothing follows the head, whatever it says.
func (r *Response) Bodiless(method []byte) bool {
	return r.Status < 200 || r.Status == 204 || r.Status == 304 || bytes.Equal(method, []byte("HEAD"))
}
