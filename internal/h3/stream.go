package h3

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/slipway-paas/slipway/internal/h1"
)

// piece is how much of a body is read at once.
const piece = 16 << 10

// Stream is one request, and the answer to it.
type Stream struct {
	opt     *Options
	w       http.ResponseWriter
	control *http.ResponseController
	in      *http.Request
	req     h1.Request
	buf     []byte
	first   []byte // of the body, when it had to be waited for
	over    bool   // the body is
	stopped atomic.Pointer[error]
	refusal *h1.Error
	broken  bool
	socket  bool
}

// begin makes the head, and reports whether there is one to be answered.
func (s *Stream) begin() bool {
	open, err := s.open()
	if err == nil {
		err = s.head(open)
	}
	s.broken = err != nil && !errors.As(err, &s.refusal)
	return !s.broken
}

// Refusal is the rule or the limit that the head breaks; nil: none.
func (s *Stream) Refusal() *h1.Error { return s.refusal }

// open finds out whether a body follows. A request does not say so, it ends or
// it does not (RFC 9114, 4.1): where a body is not usual, its first piece or the
// end is waited for.
func (s *Stream) open() (bool, error) {
	switch {
	case s.in.ContentLength >= 0:
		return s.in.ContentLength > 0, nil
	case s.in.Method == "POST", s.in.Method == "PUT", s.in.Method == "PATCH", s.in.Method == "CONNECT":
		return true, nil
	}
	_ = s.control.SetReadDeadline(time.Now().Add(s.opt.HeaderTimeout)) // one that fails fails the read
	s.buf = make([]byte, 512)                                          // mostly nothing comes
	first, err := s.Next()
	_ = s.control.SetReadDeadline(time.Time{})
	s.first, s.buf = first, nil
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return err == nil, nil
}

var errConnect = &h1.Error{Status: 405, Clause: "RFC 9114, 4.4", Reason: "CONNECT is not served"}

// head makes the head of what quic-go has read, and checked as RFC 9114, 4.1.2 to
// 4.3.1 asks: names in lower case, no field of HTTP/1.1's connections, each
// pseudo-header field once and first, :authority that is what Host says, cookies
// in one, a body as long as Content-Length says.
func (s *Stream) head(open bool) error {
	r, in := &s.req, s.in
	r.Reset()
	r.Method, r.Target, r.Host = []byte(in.Method), []byte(in.RequestURI), []byte(in.Host)
	if in.Method == "CONNECT" {
		if in.Proto == "HTTP/3.0" {
			return errConnect
		}
		r.Method, s.socket = []byte("GET"), true
	}
	for name, values := range in.Header {
		name := []byte(strings.ToLower(name))
		for _, value := range values {
			r.Fields = append(r.Fields, h1.Field{Name: name, Value: []byte(value)})
		}
	}
	if len(in.Trailer) > 0 { // quic-go took the field away
		var names []string
		for name := range in.Trailer {
			names = append(names, strings.ToLower(name))
		}
		slices.Sort(names)
		r.Fields = append(r.Fields, h1.Field{Name: []byte("trailer"), Value: []byte(strings.Join(names, ", "))})
	}
	if err := r.Check(s.opt.Limits, open && !s.socket); err != nil {
		return err
	}
	if s.socket {
		return s.upgrade()
	}
	return nil
}

// upgrade makes the head of a WebSocket (RFC 9220), whose key HTTP/3 does not have.
func (s *Stream) upgrade() error {
	if s.in.Proto != "websocket" {
		return &h1.Error{Status: 501, Clause: "RFC 9220, 3", Reason: "the protocol is not websocket"}
	}
	s.req.Upgrade = []byte("websocket")
	if s.req.Get("sec-websocket-key") == nil {
		var nonce [16]byte
		_, _ = rand.Read(nonce[:]) // never fails
		s.req.Fields = append(s.req.Fields, h1.Field{Name: []byte("sec-websocket-key"), Value: base64.StdEncoding.AppendEncode(nil, nonce[:])})
	}
	return nil
}

// Request is the head. It holds until the request has ended.
func (s *Stream) Request() *h1.Request { return &s.req }

// Next brings more of the body, which holds until the next call; io.EOF at its end.
func (s *Stream) Next() ([]byte, error) {
	if len(s.first) > 0 {
		first := s.first
		s.first = nil
		return first, nil
	}
	for !s.over {
		if s.buf == nil {
			s.buf = make([]byte, piece)
		}
		n, err := s.in.Body.Read(s.buf)
		s.over = errors.Is(err, io.EOF)
		switch why := s.stopped.Load(); {
		case err != nil && !s.over && why != nil:
			return nil, *why
		case err != nil && !s.over: // the last piece of a body that is too long is none
			return nil, fmt.Errorf("read a request's body: %w", err)
		case n > 0:
			return s.buf[:n], nil
		}
	}
	return nil, io.EOF
}

// Trailers are lines, once the body has ended. What only a head may have is left
// out.
func (s *Stream) Trailers() (lines []byte) {
	for name, values := range s.in.Trailer {
		for _, value := range values {
			f := h1.Field{Name: []byte(strings.ToLower(name)), Value: []byte(value)}
			if h1.CheckTrailer(f) == nil {
				lines = fmt.Appendf(lines, "%s: %s\r\n", f.Name, f.Value)
			}
		}
	}
	return lines
}

// Patience is until when Next may wait; zero: for ever.
func (s *Stream) Patience(until time.Time) { _ = s.control.SetReadDeadline(until) }

// StopReading has Next fail, also one that waits, with why.
func (s *Stream) StopReading(why error) {
	s.stopped.CompareAndSwap(nil, &why)
	_ = s.control.SetReadDeadline(time.Unix(1, 0))
}

// Interim sends a head that another follows.
func (s *Stream) Interim(res *h1.Response) {
	s.fields(res, &h1.Back{})
	s.w.WriteHeader(res.Status)
	clear(s.w.Header())
}

// Answer sends the head of the answer.
func (s *Stream) Answer(res *h1.Response, back *h1.Back) error {
	status := res.Status
	if status == http.StatusSwitchingProtocols {
		status = http.StatusOK // RFC 9220, 3
	}
	h := s.fields(res, back)
	if _, typed := h["Content-Type"]; !typed {
		h["Content-Type"] = nil // else one is guessed
	}
	if back.Length >= 0 && !back.Bodiless {
		h.Set("Content-Length", strconv.FormatInt(back.Length, 10))
	}
	s.w.WriteHeader(status)
	if !back.Bodiless && back.Length != 0 && !s.socket {
		return nil
	}
	return s.Flush() // else a length is made up
}

func (s *Stream) fields(res *h1.Response, back *h1.Back) http.Header {
	h := s.w.Header()
	for i := range res.Fields {
		if f := &res.Fields[i]; !f.Hop && (back.Drop == nil || !back.Drop(f.Name)) {
			h.Add(string(f.Name), string(f.Value))
		}
	}
	for set := back.Set; ; {
		f, rest, ok := h1.NextField(set)
		if !ok {
			return h
		}
		h.Add(string(f.Name), string(f.Value))
		set = rest
	}
}

// Write sends a piece of the body. It blocks while the client does not take it.
func (s *Stream) Write(p []byte) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.opt.WriteTimeout))
	_, err := s.w.Write(p)
	return err
}

// Flush sends what was kept back.
func (s *Stream) Flush() error {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.opt.WriteTimeout))
	return s.control.Flush()
}

// End says which trailers there are. The answer ends when its handler returns.
func (s *Stream) End(trailers []byte) {
	for {
		f, rest, ok := h1.NextField(trailers)
		if !ok {
			return
		}
		s.w.Header().Add(http.TrailerPrefix+string(f.Name), string(f.Value))
		trailers = rest
	}
}

// Reset has the client see that the answer is not whole.
func (s *Stream) Reset() { s.broken = true }

// Done is closed when the client has left.
func (s *Stream) Done() <-chan struct{} { return s.in.Context().Done() }

// Socket is the stream as a connection, once a WebSocket was answered; nil: it
// cannot be had.
func (s *Stream) Socket() net.Conn {
	taker, ok := s.w.(http3.HTTPStreamer)
	if !ok || !s.socket {
		return nil
	}
	stream, err := taker.HTTPStream()
	if err != nil {
		return nil
	}
	_ = stream.SetWriteDeadline(time.Time{})
	return &socket{stream}
}

// socket is a stream as a connection.
type socket struct{ *http3.Stream }

// CloseWrite ends our direction.
func (s *socket) CloseWrite() error { return s.Stream.Close() }

// Close ends both.
func (s *socket) Close() error {
	s.CancelRead(http3ErrCancelled)
	return s.Stream.Close()
}

const http3ErrCancelled = 0x10c // H3_REQUEST_CANCELLED

// LocalAddr and RemoteAddr are nobody's: nobody asks a tunnel for them.
func (s *socket) LocalAddr() net.Addr  { return &net.UDPAddr{} }
func (s *socket) RemoteAddr() net.Addr { return &net.UDPAddr{} }
