package rules

import (
	"github.com/slipway-paas/slipway/internal/h1"
)

// Shown is what a client is shown of one answer besides what the app wrote:
// the team's fields, HSTS, and the coding of the body. The zero value changes
// nothing; reuse one for many answers.
type Shown struct {
	rules  *Rules
	https  bool
	coding coding
	vary   bool   // it could have been another coding for another client
	etag   []byte // to be weakened
	length int64  // as the app wrote it
	stream bool
}

// Set reads the head of an app's answer. It must not be an interim one.
func (s *Shown) Set(r *Rules, req *h1.Request, res *h1.Response, https bool) {
	*s = Shown{rules: r, https: https, length: res.Length}
	if r != nil && len(r.codings) > 0 {
		s.code(req, res)
	}
}

// Own is Set for an answer of the router's own, which is not compressed.
func (s *Shown) Own(r *Rules, https bool) { *s = Shown{rules: r, https: https} }

// code decides whether the answer is compressed.
func (s *Shown) code(req *h1.Request, res *h1.Response) {
	if req.Minor == 0 || !transformable(req, res) {
		return
	}
	kind := res.Get("content-type")
	if res.Status != 304 && !compressible(kind) {
		return
	}
	s.vary = !varies(res)
	wanted := readAccepted(req.Fields)
	chosen := wanted.choose(s.rules.codings)
	if chosen == identity {
		return
	}
	s.etag = strongETag(res)
	if res.Status == 304 {
		return // of what was compressed, or might have been: RFC 9110, 15.4.5
	}
	s.coding, s.stream = chosen, stream(kind)
}

// transformable reports whether an answer's body may be given a coding: it is
// the whole of something (not a range), long enough, without a coding or a
// digest yet, and nobody forbade it (RFC 9111, 5.2.1.6 and 5.2.2.6).
func transformable(req *h1.Request, res *h1.Response) bool {
	switch {
	case res.Status < 200, res.Status == 204, res.Status == 206:
		return false
	case res.Length >= 0 && res.Length < shortest && !res.Bodiless(req.Method):
		return false
	}
	for i := range res.Fields {
		switch f := &res.Fields[i]; len(f.Name) {
		case len("digest"):
			if h1.Is(f.Name, "digest") {
				return false
			}
		case len("content-md5"):
			if h1.Is(f.Name, "content-md5") || h1.Is(f.Name, "repr-digest") {
				return false
			}
		case len("cache-control"):
			if h1.Is(f.Name, "cache-control") && has(f.Value, "no-transform") || h1.Is(f.Name, "content-range") {
				return false
			}
		case len("content-digest"):
			if h1.Is(f.Name, "content-digest") || h1.Is(f.Name, "content-length") && short(f.Value) {
				return false
			}
		case len("content-encoding"):
			if h1.Is(f.Name, "content-encoding") {
				return false
			}
		}
	}
	return !has(req.Get("cache-control"), "no-transform")
}

// short is for the length that an answer to HEAD says.
func short(digits []byte) bool {
	n := 0
	for _, b := range digits {
		if b < '0' || b > '9' || n >= shortest {
			break
		}
		n = n*10 + int(b-'0')
	}
	return n < shortest
}

// varies reports whether the answer says by itself that it depends on
// Accept-Encoding.
func varies(res *h1.Response) bool {
	for i := range res.Fields {
		f := &res.Fields[i]
		if h1.Is(f.Name, "vary") && (has(f.Value, "accept-encoding") || has(f.Value, "*")) {
			return true
		}
	}
	return false
}

func strongETag(res *h1.Response) []byte {
	tag := res.Get("etag")
	if len(tag) > 1 && tag[0] == '"' {
		return tag
	}
	return nil
}

// Drop reports whether a field of the answer is not handed back: something
// takes its place, or its team does not want it.
func (s *Shown) Drop(name []byte) bool {
	if s.rules == nil {
		return false
	}
	switch {
	case s.etag != nil && h1.Is(name, "etag"):
		return true
	case s.coding != identity && (h1.Is(name, "content-length") || h1.Is(name, "accept-ranges")):
		return true
	case s.https && s.rules.hsts != nil && h1.Is(name, "strict-transport-security"):
		return true
	}
	for i := range s.rules.fields {
		if h1.Is(name, s.rules.fields[i].name) {
			return true
		}
	}
	return false
}

// Append appends the lines that the answer gets besides its own. HSTS is said
// over HTTPS alone (RFC 6797, 7.2).
func (s *Shown) Append(dst []byte) []byte {
	if s.rules == nil {
		return dst
	}
	if s.vary {
		dst = append(dst, "Vary: Accept-Encoding\r\n"...)
	}
	if s.coding != identity {
		dst = append(append(append(dst, "Content-Encoding: "...), tokens[s.coding]...), "\r\n"...)
	}
	if s.etag != nil {
		dst = append(append(append(dst, "ETag: W/"...), s.etag...), "\r\n"...)
	}
	for i := range s.rules.fields {
		dst = append(dst, s.rules.fields[i].line...)
	}
	if s.https {
		dst = append(dst, s.rules.hsts...)
	}
	return dst
}

// Coded reports whether the body is given a coding: then its length is unknown
// beforehand, and what the app sends goes through Encoders.Begin.
func (s *Shown) Coded() bool { return s.coding != identity }

// Plain takes a coding back, when Encoders.Begin had none to give. The answer
// still depends on Accept-Encoding.
func (s *Shown) Plain() { s.coding, s.etag = identity, nil }
