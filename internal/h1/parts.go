package h1

// Reset empties the head, so that it can be put together from parts.
func (r *Request) Reset() {
	r.reset()
	r.Method, r.Target, r.Host, r.authority = nil, nil, nil, nil
	r.Expect, r.Trailers, r.hosts = false, false, 0
}

// Check does for a head that was put together from parts, as HTTP/2 carries
// them, what Parse does for bytes. Method, Target in origin form or "*", Host
// and Fields are set. Open says that a body follows, whose end the framing
// tells: it is Chunked, if there is no Content-Length.
func (r *Request) Check(limits Limits, open bool) error {
	r.Minor = 1
	if len(r.Host) > 0 {
		r.authority = r.Host
	}
	switch {
	case !IsToken(r.Method):
		return errMethod
	case len(r.Target) > limits.Target:
		return errTargetSize
	case len(r.Target) == 0 || !all(r.Target, targetByte):
		return errTarget
	case string(r.Method) == "CONNECT":
		return errConnect
	case r.Target[0] != '/' && (string(r.Target) != "*" || string(r.Method) != "OPTIONS"):
		return errTargetForm
	}
	if err := checkFields(r.Fields, limits); err != nil {
		return err
	}
	for i := range r.Fields {
		if err := r.note(&r.Fields[i]); err != nil {
			return err
		}
	}
	if open && r.lengths == 0 {
		r.Length = Chunked
	}
	if r.authority != nil && r.hosts == 0 {
		r.hosts, r.Host = 1, r.authority
	}
	return r.settleHost()
}

// Reset empties the head, so that it can be put together from parts.
func (r *Response) Reset() {
	r.reset()
	r.Status, r.Reason = 0, nil
}

// Check is Request.Check for a response; Status and Fields are set. An *Error
// is always 502.
func (r *Response) Check(method []byte, limits Limits, open bool) error {
	r.Minor, r.Length = 1, UntilClose
	if r.Status < 100 || r.Status > 599 {
		return errStatusLine
	}
	if err := checkFields(r.Fields, limits); err != nil {
		return fromServer(err)
	}
	for i := range r.Fields {
		if err := r.note(&r.Fields[i]); err != nil {
			return fromServer(err)
		}
	}
	r.frame(method)
	if r.Length == UntilClose {
		r.Length = 0
		if open {
			r.Length = Chunked
		}
	}
	r.Close = false
	return nil
}

func checkFields(fields []Field, limits Limits) error {
	if len(fields) > limits.Fields {
		return errFieldCount
	}
	for i := range fields {
		if err := checkField(&fields[i]); err != nil {
			return err
		}
	}
	return nil
}

func checkField(f *Field) error {
	if !IsToken(f.Name) {
		return errName
	}
	if !all(f.Value, valueByte) || len(Trim(f.Value)) != len(f.Value) {
		return errValue
	}
	return nil
}

// CheckTrailer refuses a trailer that breaks a rule or is one that only a head
// may have: framing, routing, and who somebody is (RFC 9110, 6.5.1).
func CheckTrailer(f Field) error {
	if err := checkField(&f); err != nil {
		return err
	}
	return checkTrailer(f)
}

// NextField cuts the first line off lines, whose rules were checked.
func NextField(lines []byte) (field Field, rest []byte, ok bool) {
	text, n, err := line(lines)
	if n == 0 || err != nil || len(text) == 0 {
		return Field{}, nil, false
	}
	field, err = parseField(text)
	return field, lines[n:], err == nil
}

// ForbiddenTrailer reports whether what CheckTrailer found is a field that a
// trailer may not be, well-formed otherwise: it may be left out.
func ForbiddenTrailer(err error) bool { return err == error(errTrailer) } //nolint:errorlint // one of the above, as it is
