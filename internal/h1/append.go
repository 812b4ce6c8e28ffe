package h1

import "strconv"

// Onward is what a proxy says of a request besides what it hands on.
type Onward struct {
	// Length of the body as it is sent on: bytes, or Chunked. Meaningless where
	// Body is not set.
	Length int64
	Body   bool // there is one, if only of no bytes
	// Drop reports whether a field is left out although it may go on: those that
	// Set and the caller's own words replace. Nil: none.
	Drop func(name []byte) bool
	// Set are fields added at the end, whole lines: "X-Forwarded-Proto: https\r\n".
	Set []byte
}

// AppendRequest appends the head as it goes on to the next server: the target
// in origin form, Host as it was, the framing written anew, nothing of this
// connection's own.
func AppendRequest(dst []byte, r *Request, o Onward) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, r.Target...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, r.Host...)
	dst = append(dst, crlf...)
	dst = appendFields(dst, r.Fields, o.Drop)
	if r.Upgrade != nil {
		dst = appendUpgrade(dst, r.Upgrade)
	}
	if r.Trailers {
		dst = append(dst, "TE: trailers\r\n"...)
	}
	if o.Body {
		dst = appendFraming(dst, o.Length)
	}
	dst = append(dst, o.Set...)
	return append(dst, crlf...)
}

// Back is what a proxy says of a response besides what it hands back.
type Back struct {
	// Length of the body as it is sent back: bytes, Chunked, or UntilClose.
	Length int64
	// Bodiless: nothing follows, and no framing is written: see Response.Bodiless.
	Bodiless bool
	Close    bool // the connection to the client is closed after it
	OldPeer  bool // the client speaks HTTP/1.0
	Drop     func(name []byte) bool
	Set      []byte
}

// AppendResponse appends the head as it goes back to the client.
func AppendResponse(dst []byte, r *Response, b Back) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, ' ')
	dst = append(dst, r.Reason...)
	dst = append(dst, crlf...)
	dst = appendFields(dst, r.Fields, b.Drop)
	switch {
	case r.Status == 101:
		dst = appendUpgrade(dst, r.Upgrade)
	case b.Close:
		dst = append(dst, "Connection: close\r\n"...)
	case b.OldPeer:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	if !b.Bodiless {
		dst = appendFraming(dst, b.Length)
	}
	dst = append(dst, b.Set...)
	return append(dst, crlf...)
}

func appendFields(dst []byte, fields []Field, drop func([]byte) bool) []byte {
	for i := range fields {
		f := &fields[i]
		if f.Hop || drop != nil && drop(f.Name) {
			continue
		}
		dst = append(dst, f.Name...)
		dst = append(dst, ": "...)
		dst = append(dst, f.Value...)
		dst = append(dst, crlf...)
	}
	return dst
}

func appendUpgrade(dst, protocol []byte) []byte {
	dst = append(dst, "Connection: Upgrade\r\nUpgrade: "...)
	dst = append(dst, protocol...)
	return append(dst, crlf...)
}

func appendFraming(dst []byte, length int64) []byte {
	switch length {
	case Chunked:
		return append(dst, "Transfer-Encoding: chunked\r\n"...)
	case UntilClose:
		return dst
	}
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, length, 10)
	return append(dst, crlf...)
}
