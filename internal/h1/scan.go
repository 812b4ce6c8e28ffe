package h1

import "bytes"

// Scan is how far a request's head was looked at that comes in pieces, so that a
// piece costs what it is long, however much came before. The zero value has seen
// nothing.
type Scan struct {
	line, seen int32 // of the bytes: where the last line begins, and those looked at
	lines      int32
}

// Parse is r.Parse for a head of which more may have come since it was called
// last: buf begins with what it was given then, wherever that is by now.
func (s *Scan) Parse(r *Request, buf []byte, limits Limits) (n int, err error) {
	if *s != (Scan{}) && !s.ready(buf, limits) {
		return 0, nil
	}
	if n, err = r.Parse(buf, limits); n > 0 || err != nil {
		*s = Scan{}
		return n, err
	}
	s.ready(buf, limits)
	return 0, nil
}

// ready reports whether a head is whole, or known to be none by its lines so far.
func (s *Scan) ready(buf []byte, limits Limits) bool {
	if len(buf) >= limits.Head {
		return true
	}
	for {
		end := bytes.IndexByte(buf[s.seen:], '\n')
		if end < 0 {
			s.seen = int32(len(buf)) //nolint:gosec // below limits.Head
			return false
		}
		line := buf[s.line : int(s.seen)+end]
		if len(line) == 0 || line[len(line)-1] != '\r' || !s.passes(line[:len(line)-1], limits) {
			return true
		}
		s.seen += int32(end) + 1 //nolint:gosec // below limits.Head
		s.line = s.seen
	}
}

// passes reports whether a line is one after which others come.
func (s *Scan) passes(text []byte, limits Limits) bool {
	if len(text) == 0 && s.line == 0 { // one empty line may stand before
		return true
	}
	if s.lines++; s.lines == 1 {
		return new(Request).requestLine(text, limits) == nil
	}
	_, err := parseField(text)
	return err == nil && int(s.lines)-1 <= limits.Fields // the empty one is no field
}
