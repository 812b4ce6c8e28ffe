package h2_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/slipway-paas/slipway/internal/h2"
)

// peer is a client that may break every rule.
type peer struct {
	t  *testing.T
	nc net.Conn
	*http2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
	dec   *hpack.Decoder
}

func (s *site) raw() *peer {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	p := newPeer(s.t, nc)
	_, _ = io.WriteString(nc, http2.ClientPreface)
	return p
}

func newPeer(t *testing.T, nc net.Conn) *peer {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	p := &peer{t: t, nc: nc, Framer: http2.NewFramer(nc, nc)}
	p.AllowIllegalWrites = true
	p.enc = newEncoder(p)
	p.dec = hpack.NewDecoder(4096, nil)
	return p
}

// fields is a header block of "name: value" lines.
func (p *peer) fields(lines ...string) []byte {
	p.block.Reset()
	for _, line := range lines {
		at := strings.Index(line[1:], ":") + 1
		_ = p.enc.WriteField(hpack.HeaderField{Name: line[:at], Value: strings.TrimPrefix(line[at+1:], " ")})
	}
	return bytes.Clone(p.block.Bytes())
}

var asGet = []string{":method: GET", ":scheme: http", ":path: /", ":authority: a.test"}

func with(lines ...string) []string { return append(slices.Clone(asGet), lines...) }

// head sends a whole header block.
func (p *peer) head(id uint32, end bool, lines ...string) {
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndStream: end, EndHeaders: true, BlockFragment: p.fields(lines...)})
}

// said is what came of it: how streams and the connection ended, in order.
// It reads until the connection ends, or a PING of its own has come back and as
// many answers.
func (p *peer) said(answers int) string {
	p.t.Helper()
	_ = p.WritePing(false, [8]byte{'e', 'n', 'd'})
	_ = p.nc.SetReadDeadline(time.Now().Add(5 * time.Minute)) // for a test that would hang
	var said []string
	ponged := false
	for {
		f, err := p.ReadFrame()
		switch f := f.(type) {
		case *http2.RSTStreamFrame:
			said = append(said, fmt.Sprintf("reset %d %v", f.StreamID, f.ErrCode))
		case *http2.GoAwayFrame:
			said = append(said, fmt.Sprintf("goaway %d %v", f.LastStreamID, f.ErrCode))
		case *http2.HeadersFrame:
			said = append(said, fmt.Sprintf("%d %s", f.StreamID, p.status(f)))
			answers--
		case *http2.PingFrame:
			ponged = ponged || f.IsAck() && f.Data == [8]byte{'e', 'n', 'd'}
		}
		if ponged && answers <= 0 {
			return strings.Join(said, ", ")
		}
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				p.t.Errorf("nothing came after %v", said)
			}
			return strings.Join(append(said, "closed"), ", ")
		}
	}
}

func (p *peer) status(f *http2.HeadersFrame) string {
	fields, err := p.dec.DecodeFull(f.HeaderBlockFragment())
	if err != nil || len(fields) == 0 {
		return fmt.Sprint(err)
	}
	return fields[0].Value
}

// wait answers when the stream is cut off, or its body has ended.
func wait(s *h2.Stream) {
	if _, err := io.Copy(io.Discard, s); err == nil {
		answer(s, 200, "x")
	}
}

func TestWhatBreaksARuleIsToldWhich(t *testing.T) {
	const protocol, flow, size, closed, calm, compression = "PROTOCOL_ERROR", "FLOW_CONTROL_ERROR", "FRAME_SIZE_ERROR", "STREAM_CLOSED", "ENHANCE_YOUR_CALM", "COMPRESSION_ERROR"
	connection := func(last int, code string) string { return fmt.Sprintf("goaway %d %s, closed", last, code) }
	stream := func(code string) string { return "reset 1 " + code }
	settings := func(id http2.SettingID, value uint32) func(*peer) {
		return func(p *peer) { _ = p.WriteSettings(http2.Setting{ID: id, Val: value}) }
	}
	get := func(lines ...string) func(*peer) { return func(p *peer) { p.head(1, true, lines...) } }
	post := func(lines ...string) func(*peer) { return func(p *peer) { p.head(1, false, lines...) } }
	then := func(all ...func(*peer)) func(*peer) {
		return func(p *peer) {
			for _, f := range all {
				f(p)
			}
		}
	}
	data := func(id uint32, end bool, n int) func(*peer) {
		return func(p *peer) { _ = p.WriteData(id, end, make([]byte, n)) }
	}
	raw := func(kind http2.FrameType, flags http2.Flags, id uint32, payload ...byte) func(*peer) {
		return func(p *peer) { _ = p.WriteRawFrame(kind, flags, id, payload) }
	}
	window := func(id, more uint32) func(*peer) {
		return func(p *peer) {
			_ = p.WriteRawFrame(http2.FrameWindowUpdate, 0, id, binary.BigEndian.AppendUint32(nil, more))
		}
	}
	for _, c := range []struct {
		clause, name string
		do           func(*peer)
		want         string
	}{
		{"4.1", "a frame of a type nobody knows", then(raw(0x77, 0xff, 1, 1, 2), get(asGet...)), "1 200"},
		{"4.2", "a frame larger than allowed", raw(http2.FrameData, 0, 1, make([]byte, 16385)...), connection(0, size)},
		{"4.3", "a block that HPACK cannot read", raw(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, 0xff, 0xff, 0xff), connection(1, compression)},
		{"4.3", "another frame inside a block", then(raw(http2.FrameHeaders, 0, 1, 0x82), raw(http2.FramePing, 0, 0, make([]byte, 8)...)), connection(1, protocol)},
		{"4.3", "a block that goes on for another stream", then(raw(http2.FrameHeaders, 0, 1, 0x82), raw(http2.FrameContinuation, 4, 3, 0x82)), connection(1, protocol)},
		{"5.1", "DATA for a stream that is not open", data(1, true, 1), connection(0, protocol)},
		{"5.1", "RST_STREAM for one", raw(http2.FrameRSTStream, 0, 1, 0, 0, 0, 8), connection(0, protocol)},
		{"5.1", "WINDOW_UPDATE for one", window(1, 1), connection(0, protocol)},
		{"5.1", "CONTINUATION out of nowhere", raw(http2.FrameContinuation, 4, 1, 0x82), connection(0, protocol)},
		{"5.1", "DATA after the end of the stream", then(get(asGet...), data(1, true, 1)), stream(closed)},
		{"5.1", "HEADERS after the end of the stream", then(get(with("x: stuck")...), get(asGet...)), stream(closed)},
		{"5.1", "WINDOW_UPDATE for a stream that was reset", then(post(asGet...), raw(http2.FrameRSTStream, 0, 1, 0, 0, 0, 8), window(1, 1)), ""},
		{"5.1.1", "an even stream", func(p *peer) { p.head(2, true, asGet...) }, connection(0, protocol)},
		{"5.1.1", "a lower stream than before", func(p *peer) { p.head(5, true, asGet...); p.head(3, true, asGet...) }, connection(5, protocol)},
		{"5.1.1", "the highest stream there is", func(p *peer) { p.head(1<<31-1, true, asGet...) }, "2147483647 200"},
		{"5.1.1", "one after the highest there is", func(p *peer) { p.head(1<<31-1, false, with("x: stuck")...); p.head(1, true, asGet...) }, connection(1<<31-1, protocol)},
		{"5.1.2", "more streams than allowed", func(p *peer) {
			for id := uint32(1); id < 7; id += 2 {
				p.head(id, false, asGet...)
			}
		}, "reset 5 REFUSED_STREAM"},
		{"5.3.2", "PRIORITY is ignored", then(raw(http2.FramePriority, 0, 1, 0, 0, 0, 0, 1), get(asGet...)), "1 200"},
		{"5.3.1", "a stream that depends on itself (CVE-2015-8659)", func(p *peer) {
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, EndHeaders: true, Priority: http2.PriorityParam{StreamDep: 1}, BlockFragment: p.fields(asGet...)})
		}, "1 200"},
		{"5.3.1", "two that depend on each other", then(post(asGet...), raw(http2.FramePriority, 0, 1, 0, 0, 0, 3, 1), raw(http2.FramePriority, 0, 3, 0, 0, 0, 1, 1), data(1, true, 0)), "1 200"},
		{"5.4.1", "HEADERS of an unpaddable length", raw(http2.FrameHeaders, http2.FlagHeadersPadded|4, 1, 9, 0x82), connection(0, protocol)},
		{"6.1", "DATA for stream 0", raw(http2.FrameData, 0, 0, 1), connection(0, protocol)},
		{"6.1", "DATA of more padding than length", then(post(asGet...), raw(http2.FrameData, http2.FlagDataPadded, 1, 9, 1)), connection(1, protocol)},
		{"6.1", "padding is no body", then(post(with("content-length: 1")...), raw(http2.FrameData, http2.FlagDataPadded|1, 1, 2, 'x', 0, 0)), "1 200"},
		{"6.2", "HEADERS for stream 0", raw(http2.FrameHeaders, 4, 0, 0x82), connection(0, protocol)},
		{"6.4", "RST_STREAM for stream 0", raw(http2.FrameRSTStream, 0, 0, 0, 0, 0, 8), connection(0, protocol)},
		{"6.4", "RST_STREAM of 3 bytes", then(post(asGet...), raw(http2.FrameRSTStream, 0, 1, 0, 0, 8)), connection(1, size)},
		{"6.5", "SETTINGS for a stream", raw(http2.FrameSettings, 0, 1), connection(0, protocol)},
		{"6.5", "SETTINGS of 5 bytes", raw(http2.FrameSettings, 0, 0, 1, 2, 3, 4, 5), connection(0, size)},
		{"6.5", "an ACK with content", raw(http2.FrameSettings, 1, 0, 0, 1, 0, 0, 0, 0), connection(0, size)},
		{"6.5.2", "ENABLE_PUSH is 2", settings(http2.SettingEnablePush, 2), connection(0, protocol)},
		{"6.5.2", "INITIAL_WINDOW_SIZE is 2^31", settings(http2.SettingInitialWindowSize, 1<<31), connection(0, flow)},
		{"6.5.2", "MAX_FRAME_SIZE is too small", settings(http2.SettingMaxFrameSize, 16383), connection(0, protocol)},
		{"6.6", "PUSH_PROMISE", then(post(asGet...), raw(http2.FramePushPromise, 4, 1, 0, 0, 0, 2, 0x82)), connection(1, protocol)},
		{"6.7", "PING for a stream", raw(http2.FramePing, 0, 1, make([]byte, 8)...), connection(0, protocol)},
		{"6.7", "PING of 7 bytes", raw(http2.FramePing, 0, 0, make([]byte, 7)...), connection(0, size)},
		{"6.8", "GOAWAY for a stream", raw(http2.FrameGoAway, 0, 1, make([]byte, 8)...), connection(0, protocol)},
		{"6.9", "WINDOW_UPDATE by 0", window(0, 0), connection(0, protocol)},
		{"6.9", "WINDOW_UPDATE of a stream by 0", then(post(asGet...), window(1, 0)), stream(protocol)},
		{"6.9", "WINDOW_UPDATE of 3 bytes", raw(http2.FrameWindowUpdate, 0, 0, 0, 0, 1), connection(0, size)},
		{"6.9.1", "the connection's window overflows", window(0, 1<<31-1), connection(0, flow)},
		{"6.9.1", "a stream's window overflows", then(post(asGet...), window(1, 1<<31-1)), stream(flow)},
		{"6.9.1", "more than the stream's window", func(p *peer) {
			p.head(1, false, with("x: stuck")...)
			for range 5 {
				_ = p.WriteData(1, false, make([]byte, 16384))
			}
		}, stream(flow)},
		{"6.9.2", "SETTINGS overflow a stream's window", then(post(asGet...), window(1, 1<<31-1-65535), settings(http2.SettingInitialWindowSize, 65536)), connection(1, flow)},
		{"8.1", "trailers that do not end the stream", then(post(asGet...), func(p *peer) { p.head(1, false, "x: y") }), stream(protocol)},
		{"8.1", "trailers with a pseudo-header field", then(post(asGet...), func(p *peer) { p.head(1, true, ":path: /") }), stream(protocol)},
		{"8.2.1", "a trailer with a line's end", then(post(asGet...), func(p *peer) { p.head(1, true, "x: a\r\ny: b") }), stream(protocol)},
		{"8.2.1", "a trailer with the end of a head", then(post(asGet...), func(p *peer) { p.head(1, true, "x: a\r\n\r\nb") }), stream(protocol)},
		{"8.2.1", "a trailer whose name is a line's end", then(post(asGet...), func(p *peer) { p.head(1, true, "\r\n: b") }), stream(protocol)},
		{"8.1.1", "a body shorter than Content-Length", then(post(with("content-length: 2")...), data(1, true, 1)), stream(protocol)},
		{"8.1.1", "a body longer than Content-Length", then(post(with("content-length: 2")...), data(1, false, 3)), stream(protocol)},
		{"8.1.1", "no body, and a Content-Length", get(with("content-length: 2")...), stream(protocol)},
		{"8.1.1", "trailers before the end of Content-Length", then(post(with("content-length: 2")...), func(p *peer) { p.head(1, true, "x: y") }), stream(protocol)},
		{"8.1.1", "two Content-Lengths", post(with("content-length: 2", "content-length: 2")...), stream(protocol)},
		{"8.1.1", "a Content-Length with a sign", post(with("content-length: +2")...), stream(protocol)},
		{"8.2.1", "a name of no bytes (CVE-2019-9516)", get(with(": x")...), stream(protocol)},
		{"8.2.1", "a name with a capital", get(with("X-One: 1")...), stream(protocol)},
		{"8.2.1", "a name with a space", get(with("x one: 1")...), stream(protocol)},
		{"8.2.1", "a value with a line's end", get(with("x: a\r\ny: b")...), stream(protocol)},
		{"8.2.1", "a value with NUL", get(with("x: a\x00b")...), stream(protocol)},
		{"8.2.1", "a value that begins with a space", get(with("x:  a")...), stream(protocol)},
		{"8.2.2", "Connection", get(with("connection: close")...), stream(protocol)},
		{"8.2.2", "Transfer-Encoding", post(with("transfer-encoding: chunked")...), stream(protocol)},
		{"8.2.2", "Upgrade", get(with("upgrade: websocket")...), stream(protocol)},
		{"8.2.2", "Keep-Alive", get(with("keep-alive: 1")...), stream(protocol)},
		{"8.2.2", "Proxy-Connection", get(with("proxy-connection: close")...), stream(protocol)},
		{"8.2.2", "TE of more than trailers", get(with("te: gzip")...), stream(protocol)},
		{"8.3", "a pseudo-header field after another", get(":method: GET", ":scheme: http", "x: y", ":path: /", ":authority: a"), stream(protocol)},
		{"8.3", "an unknown pseudo-header field", get(with(":x: y")...), stream(protocol)},
		{"8.3", "two :path", get(with(":path: /b")...), stream(protocol)},
		{"8.3", ":protocol without CONNECT", get(with(":protocol: websocket")...), stream(protocol)},
		{"8.3.1", ":status in a request", get(with(":status: 200")...), stream(protocol)},
		{"8.3.1", "no :method", get(asGet[1:]...), stream(protocol)},
		{"8.3.1", "no :path", get(":method: GET", ":scheme: http", ":authority: a"), stream(protocol)},
		{"8.3.1", "an empty :path", get(":method: GET", ":scheme: http", ":path:", ":authority: a"), stream(protocol)},
		{"8.3.1", "a :path without a slash", get(":method: GET", ":scheme: http", ":path: x", ":authority: a"), stream(protocol)},
		{"8.3.1", "a :path with a line's end", get(":method: GET", ":scheme: http", ":path: /a\r\nb", ":authority: a"), stream(protocol)},
		{"8.3.1", "no :scheme", get(":method: GET", ":path: /", ":authority: a"), stream(protocol)},
		{"8.3.1", "neither :authority nor Host", get(asGet[:3]...), stream(protocol)},
		{"8.3.1", "Host alone", get(append(slices.Clone(asGet[:3]), "host: a.test")...), "1 200"},
		{"8.3.1", "Host is another than :authority", get(with("host: b.test")...), stream(protocol)},
		{"8.3.1", ":authority with a user", get(":method: GET", ":scheme: http", ":path: /", ":authority: u@a"), stream(protocol)},
		{"8.3.1", "a method that is no token", get(":method: G T", ":scheme: http", ":path: /", ":authority: a"), stream(protocol)},
		{"8.5", "CONNECT", get(":method: CONNECT", ":authority: a:443"), "1 405"},
		{"8.5", "CONNECT with :path", get(":method: CONNECT", ":authority: a:443", ":path: /"), stream(protocol)},
		{"10.5.1", "a head over the limit", get(with("x: " + strings.Repeat("x", 3<<10))...), "1 431"},
		{"10.5.1", "the connection goes on after it", func(p *peer) {
			p.head(1, true, with("x: "+strings.Repeat("x", 3<<10))...)
			p.head(3, true, asGet...)
		}, "1 431, 3 200"},
		{"10.5.1", "a path over the limit", get(":method: GET", ":scheme: http", ":path: /"+strings.Repeat("x", 300), ":authority: a"), "1 414"},
		{"10.5.1", "more fields than allowed", get(with(strings.Split(strings.Repeat("x: ,", 30), ",")[:30]...)...), "1 431"},
		{"10.5.1", "a head of CONTINUATIONs without end (CVE-2024-27316, CVE-2023-45288)", func(p *peer) {
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, BlockFragment: p.fields(asGet...)})
			for range 100 {
				_ = p.WriteContinuation(1, false, nil)
			}
		}, connection(1, calm)},
		{"10.5", "a flood of SETTINGS (CVE-2019-9515)", func(p *peer) {
			for range 200 {
				_ = p.WriteSettings()
			}
		}, connection(0, calm)},
		{"10.5", "a flood of PING (CVE-2019-9512)", func(p *peer) {
			for range 200 {
				_ = p.WritePing(false, [8]byte{})
			}
		}, connection(0, calm)},
		{"10.5", "a flood of empty DATA (CVE-2019-9518)", func(p *peer) {
			p.head(1, false, asGet...)
			for range 200 {
				_ = p.WriteData(1, false, nil)
			}
		}, connection(1, calm)},
		{"10.5", "a flood of resets (CVE-2023-44487)", func(p *peer) {
			for id := uint32(1); id < 400; id += 2 {
				p.head(id, false, asGet...)
				_ = p.WriteRSTStream(id, http2.ErrCodeCancel)
			}
		}, "goaway # ENHANCE_YOUR_CALM, closed"},
		{"10.5", "a flood of requests that are to be reset (CVE-2019-9514)", func(p *peer) {
			for id := uint32(1); id < 400; id += 2 {
				p.head(id, false, with("connection: close")...)
			}
		}, "goaway # ENHANCE_YOUR_CALM, closed"},
	} {
		breaks := func(t *testing.T, parked bool) {
			on := serve
			if parked {
				on = serveParked
			}
			s := on(t, h2.Options{MaxStreams: 2, HeaderList: 2 << 10, MaxTarget: 256, MaxFields: 20, Resets: 20, Controls: 50}, func(s *h2.Stream) {
				if why := s.Refusal(); why != nil {
					answer(s, why.Status, "x")
					return
				}
				if s.Request().Get("x") != nil {
					<-s.Done()
					return
				}
				wait(s)
			})
			p := s.raw()
			_ = p.WriteSettings()
			if parked {
				_ = p.said(0)
				s.lot().untilParked()
			}
			c.do(p)
			got := p.said(strings.Count(c.want, " 200") + strings.Count(c.want, " 4"))
			if strings.Contains(c.want, "#") {
				if !strings.Contains(got, "ENHANCE_YOUR_CALM, closed") {
					t.Errorf("got %q", got)
				}
				return
			}
			// An answer of one of the streams may come before or not at all.
			if !slices.Contains([]string{c.want, "1 200, " + c.want, "5 200, " + c.want}, got) && got != turned(c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		}
		t.Run(c.clause+" "+c.name, func(t *testing.T) { breaks(t, false) })
		t.Run(c.clause+" "+c.name+", parked", func(t *testing.T) { breaks(t, true) })
	}
}

// turned is two answers in the other order.
func turned(want string) string {
	first, second, _ := strings.Cut(want, ", ")
	return second + ", " + first
}

func newEncoder(p *peer) *hpack.Encoder { return hpack.NewEncoder(&p.block) }
