package h2_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/h2"
)

// tape is a connection that has the bytes of a client and takes all answers.
type tape struct{ io.Reader }

func (c *tape) Write(p []byte) (int, error)    { return len(p), nil }
func (*tape) Close() error                     { return nil }
func (*tape) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*tape) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*tape) SetDeadline(time.Time) error      { return nil }
func (*tape) SetReadDeadline(time.Time) error  { return nil }
func (*tape) SetWriteDeadline(time.Time) error { return nil }

// FuzzFrames: whatever comes after the preface, nothing panics, what is kept
// stays within its bounds, every request ends and so does the connection.
func FuzzFrames(f *testing.F) {
	for _, seed := range seeds() {
		f.Add(seed)
	}
	opt := h2.Options{
		MaxStreams: 3, HeaderList: 1 << 10, Buffered: 64 << 10,
		Resets: 50, Controls: 200, StallTimeout: time.Second,
	}
	f.Fuzz(func(t *testing.T, frames []byte) {
		var c *h2.Conn
		handler := func(s *h2.Stream) {
			if used := c.Held(); used > opt.Buffered+4<<20 {
				t.Errorf("%d bytes are kept", used)
			}
			if len(s.Request().Method)%2 == 0 {
				return // in the middle of all
			}
			_ = s.Answer(head(200), h1.Back{Length: h1.Chunked})
			_, _ = io.Copy(s, s)
			_ = s.End(s.Trailers())
		}
		c = h2.NewConn(&tape{Reader: io.MultiReader(bytes.NewReader([]byte(http2.ClientPreface)), bytes.NewReader(frames))}, opt, handler)
		_ = c.Serve()
		if c.Streams() != 0 || c.Held() > 1<<20+64<<10 {
			t.Errorf("%d streams and %d bytes are left", c.Streams(), c.Held())
		}
	})
}

func seeds() (all [][]byte) {
	record := func(do func(*peer)) {
		var buf bytes.Buffer
		p := &peer{Framer: http2.NewFramer(&buf, nil)}
		p.AllowIllegalWrites = true
		p.enc = newEncoder(p)
		_ = p.WriteSettings()
		do(p)
		all = append(all, buf.Bytes())
	}
	record(func(p *peer) { p.head(1, true, asGet...) })
	record(func(p *peer) {
		p.head(1, false, with("content-length: 5", "cookie: a", "cookie: b")...)
		_ = p.WriteDataPadded(1, false, []byte("abc"), make([]byte, 3))
		_ = p.WriteData(1, true, []byte("de"))
	})
	record(func(p *peer) {
		p.head(1, false, asGet...)
		_ = p.WriteWindowUpdate(1, 100)
		_ = p.WriteWindowUpdate(0, 100)
		_ = p.WriteRSTStream(1, http2.ErrCodeCancel)
		_ = p.WritePing(false, [8]byte{1})
		_ = p.WriteGoAway(0, http2.ErrCodeNo, nil)
		p.head(3, false, asGet...)
		p.head(3, true, "x: trailer")
	})
	for _, trailer := range []string{"x: a\r\n\r\nb", "x: a\r\ny: b", "\r\n: a", "x\x00: a"} {
		record(func(p *peer) {
			p.head(1, false, asGet...)
			p.head(1, true, trailer)
		})
	}
	record(func(p *peer) {
		_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: p.fields(asGet...)})
		_ = p.WriteContinuation(1, true, p.fields("x: y"))
	})
	return all
}
