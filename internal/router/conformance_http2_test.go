package router_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/slipway-paas/slipway/internal/access"
	"github.com/slipway-paas/slipway/internal/router"
)

// framed is a probe of a request by HTTP/2, most of which would be two requests,
// or another one, to an app that gets it as HTTP/1.1. What frames alone can break
// is in the tests of h2.
type framed struct {
	name, clause string
	head         []string // "name: value" each
	body         []string // DATA frames
	trailers     []string // after them
	// want is the answer's status or how the stream was reset; a request behind
	// it on the same connection must always be answered.
	want        string
	early       bool     // or the app's answer, where that comes before what breaks the request
	sees, hides []string // parts of what the app gets
	says        string   // a part of what the client gets
}

const broken = "PROTOCOL_ERROR"

func asks(method, path string, more ...string) []string {
	return append([]string{":method: " + method, ":scheme: http", ":path: " + path, ":authority: blog.test"}, more...)
}

var framedRequests = []framed{
	// What would end a line, or a head, in HTTP/1.1.
	{name: "CR LF in a value", clause: "RFC 9113, 8.2.1; H2.TE", head: asks("GET", "/", "x: a\r\ntransfer-encoding: chunked"), want: broken},
	{name: "LF in a value", clause: "RFC 9113, 8.2.1", head: asks("GET", "/", "x: a\nhost: other.test"), want: broken},
	{name: "CR in a value", clause: "RFC 9113, 8.2.1", head: asks("GET", "/", "x: a\rb"), want: broken},
	{name: "NUL at the end of a value", clause: "RFC 9113, 8.2.1", head: asks("GET", "/", "x: a\x00"), want: broken},
	{name: "a whole request in a value", clause: "RFC 9113, 8.2.1; H2 response queue poisoning", head: asks("GET", "/", "x: a\r\n\r\n"+smuggled), want: broken},
	{name: "a tab at the end of a value", clause: "RFC 9113, 8.2.1", head: asks("GET", "/", "x: a\t"), want: broken},
	{name: "a space at the end of a value", clause: "RFC 9113, 8.2.1", head: asks("GET", "/", "x: a "), want: broken},
	{name: "CR LF in a name", clause: "RFC 9113, 8.2.1", head: asks("GET", "/", "x\r\nhost; other.test: b"), want: broken},
	{name: "LF at the end of a name", clause: "RFC 9113, 8.2.1", head: asks("GET", "/", "x\n: b"), want: broken},
	{name: "NUL in a name", clause: "RFC 9113, 8.2.1", head: asks("GET", "/", "x\x00y: b"), want: broken},
	{name: "a colon in a name", clause: "RFC 9113, 8.2.1; H2.TE by the name", head: asks("GET", "/", "transfer-encoding; chunked\x00: b"), want: broken},
	{name: "a byte above 127 in a name", clause: "RFC 9113, 8.2.1", head: asks("GET", "/", "x\xff: b"), want: broken},
	{name: "a bracket in a name", clause: "RFC 9110, 5.1", head: asks("GET", "/", "x(: b"), want: broken},
	{name: "one capital in the last letter of a name", clause: "RFC 9113, 8.2.1", head: asks("GET", "/", "content-lengtH: 0"), want: broken},
	{name: "bytes above 127 in a value", clause: "RFC 9110, 5.5", head: asks("GET", "/", "x: \xe9\xff"), want: "200", sees: []string{"x: \xe9\xff\r\n"}},
	{name: "an empty value", clause: "RFC 9110, 5.5", head: asks("GET", "/", "x:"), want: "200", sees: []string{"x: \r\n"}},

	// The request line, of pseudo-header fields.
	{name: "CR LF in :method", clause: "RFC 9113, 8.3; request line injection", head: asks("GET / HTTP/1.1\r\nHost: blog.test\r\n\r\nGET /smuggled HTTP/1.1\r\nx", "/"), want: broken},
	{name: "a space in :method", clause: "RFC 9110, 9.1", head: asks("GET /smuggled", "/"), want: broken},
	{name: "an empty :method", clause: "RFC 9110, 9.1", head: asks("", "/"), want: broken},
	{name: "CR LF in :path", clause: "RFC 9113, 8.3.1; request line injection", head: asks("GET", "/ HTTP/1.1\r\n\r\n"+smuggled), want: broken},
	{name: "a space in :path", clause: "RFC 9113, 8.3.1; request line injection", head: asks("GET", "/a HTTP/1.1"), want: broken},
	{name: "NUL in :path", clause: "RFC 3986, 2", head: asks("GET", "/a\x00b"), want: broken},
	{name: "a fragment in :path", clause: "RFC 9113, 8.3.1", head: asks("GET", "/a#b"), want: broken},
	{name: "a byte above 127 in :path", clause: "RFC 3986, 2", head: asks("GET", "/\xff"), want: broken},
	{name: "an absolute :path", clause: "RFC 9113, 8.3.1; request routing confusion", head: asks("GET", "http://other.test/"), want: broken},
	{name: "a :path that begins with a query", clause: "RFC 9113, 8.3.1", head: asks("GET", "?a"), want: broken},
	{name: "a :path of an asterisk", clause: "RFC 9113, 8.3.1", head: asks("GET", "*"), want: broken},
	{name: "OPTIONS of an asterisk", clause: "RFC 9113, 8.3.1", head: asks("OPTIONS", "*"), want: "200", sees: []string{"OPTIONS * HTTP/1.1\r\n"}},
	{name: "a :path with two slashes goes on as it is", clause: "RFC 9110, 7.7", head: asks("GET", "//other.test/"), want: "200", sees: []string{"GET //other.test/ HTTP/1.1\r\nHost: blog.test\r\n"}},
	{name: "a :scheme with a prefix of a URL", clause: "RFC 9113, 8.3.1; cache poisoning by :scheme", head: []string{":method: GET", ":scheme: http://other.test/a?", ":path: /b", ":authority: blog.test"}, want: "200", sees: []string{"GET /b HTTP/1.1\r\nHost: blog.test\r\n", "X-Forwarded-Proto: http\r\n"}, hides: []string{"other.test"}},
	{name: ":scheme https in clear text is not believed", clause: "RFC 9110, 7.4", head: []string{":method: GET", ":scheme: https", ":path: /", ":authority: blog.test"}, want: "200", sees: []string{"X-Forwarded-Proto: http\r\n"}},
	{name: "two :method", clause: "RFC 9113, 8.3", head: asks("GET", "/", ":method: POST"), want: broken},
	{name: "two :authority", clause: "RFC 9113, 8.3", head: asks("GET", "/", ":authority: blog.test"), want: broken},
	{name: "two :scheme", clause: "RFC 9113, 8.3", head: asks("GET", "/", ":scheme: http"), want: broken},
	{name: "a pseudo-header field after a cookie", clause: "RFC 9113, 8.3", head: []string{":method: GET", ":scheme: http", "cookie: a", ":authority: blog.test", ":path: /"}, want: broken},
	{name: "a pseudo-header field in capitals", clause: "RFC 9113, 8.3", head: asks("GET", "/", ":Path: /b"), want: broken},
	{name: "a name of a colon alone", clause: "RFC 9113, 8.3", head: asks("GET", "/", ":: b"), want: broken},

	// Host.
	{name: "Host is :authority", clause: "RFC 9113, 8.3.1", head: asks("GET", "/", "host: blog.test"), want: "200", sees: []string{"Host: blog.test\r\n"}},
	{name: "Host is another", clause: "RFC 9113, 8.3.1; request routing confusion", head: asks("GET", "/", "host: other.test"), want: broken},
	{name: "two Hosts", clause: "RFC 9110, 7.2", head: asks("GET", "/", "host: blog.test", "host: blog.test"), want: broken},
	{name: "two Hosts and no :authority", clause: "RFC 9110, 7.2", head: []string{":method: GET", ":scheme: http", ":path: /", "host: blog.test", "host: other.test"}, want: broken},
	{name: "Host alone", clause: "RFC 9113, 8.3.1", head: []string{":method: GET", ":scheme: http", ":path: /", "host: blog.test"}, want: "200", sees: []string{"Host: blog.test\r\n"}},
	{name: ":authority with CR LF", clause: "RFC 9113, 8.3.1", head: []string{":method: GET", ":scheme: http", ":path: /", ":authority: blog.test\r\nx: y"}, want: broken},
	{name: ":authority with a path", clause: "RFC 9110, 7.2", head: []string{":method: GET", ":scheme: http", ":path: /", ":authority: blog.test/a"}, want: broken},
	{name: ":authority of a list", clause: "RFC 9110, 7.2", head: []string{":method: GET", ":scheme: http", ":path: /", ":authority: blog.test, other.test"}, want: broken},
	{name: ":authority of a host that nobody has", clause: "RFC 9110, 15.5.5", head: []string{":method: GET", ":scheme: http", ":path: /", ":authority: nobody.test"}, want: "404"},

	// Length.
	{name: "a body of its length", clause: "RFC 9113, 8.1.1", head: asks("POST", "/", "content-length: 5"), body: []string{"hel", "lo"}, want: "200", sees: []string{"Content-Length: 5\r\n", "\r\n\r\nhello"}, says: "[POST /]hello"},
	{name: "a length of less", clause: "RFC 9113, 8.1.1; H2.CL", head: asks("POST", "/", "content-length: 0"), body: []string{smuggled}, want: broken, early: true},
	{name: "a length of more", clause: "RFC 9113, 8.1.1; H2.CL", head: asks("POST", "/", "content-length: 500"), body: []string{"x"}, want: broken},
	{name: "a length of more, and trailers", clause: "RFC 9113, 8.1.1", head: asks("POST", "/", "content-length: 500"), body: []string{"x"}, trailers: []string{"sum: 1"}, want: broken},
	{name: "two lengths", clause: "RFC 9110, 8.6", head: asks("POST", "/", "content-length: 5", "content-length: 6"), body: []string{"hello"}, want: broken},
	{name: "a list of lengths", clause: "RFC 9110, 8.6", head: asks("POST", "/", "content-length: 5, 5"), body: []string{"hello"}, want: broken},
	{name: "a hexadecimal length", clause: "RFC 9110, 8.6", head: asks("POST", "/", "content-length: 0x5"), body: []string{"hello"}, want: broken},
	{name: "a length past 64 bits", clause: "RFC 9110, 8.6", head: asks("POST", "/", "content-length: 18446744073709551621"), body: []string{"hello"}, want: broken},
	{name: "an empty length", clause: "RFC 9110, 8.6", head: asks("POST", "/", "content-length:"), body: []string{"hello"}, want: broken},
	{name: "no length, and a request for a body", clause: "RFC 9113, 8.1; H2.TE", head: asks("POST", "/"), body: []string{"0\r\n\r\n" + "GET /inside HTTP/1.1\r\n\r\n"}, want: "200", says: "[POST /]0\r\n\r\nGET /inside"},
	{name: "an empty body of no length", clause: "RFC 9113, 8.1", head: asks("POST", "/"), body: []string{""}, want: "200", says: "[POST /]"},
	{name: "a GET with a body", clause: "RFC 9110, 9.3.1", head: asks("GET", "/"), body: []string{"hello"}, want: "200", says: "[GET /]hello"},

	// Fields of a connection of HTTP/1.1, and expectations.
	{name: "Transfer-Encoding", clause: "RFC 9113, 8.2.2; H2.TE", head: asks("POST", "/", "transfer-encoding: chunked"), body: []string{"0\r\n\r\n" + smuggled}, want: broken},
	{name: "Transfer-Encoding of identity", clause: "RFC 9113, 8.2.2", head: asks("POST", "/", "transfer-encoding: identity"), body: []string{"x"}, want: broken},
	{name: "Transfer-Encoding by an underscore is another field", clause: "RFC 9110, 5.1", head: asks("POST", "/", "transfer_encoding: chunked", "content-length: 1"), body: []string{"x"}, want: "200", sees: []string{"Content-Length: 1\r\n"}},
	{name: "TE of trailers", clause: "RFC 9113, 8.2.2", head: asks("GET", "/", "te: trailers"), want: "200"},
	{name: "TE of trailers and more", clause: "RFC 9113, 8.2.2", head: asks("GET", "/", "te: trailers, gzip"), want: broken},
	{name: "Connection that names a field", clause: "RFC 9113, 8.2.2", head: asks("GET", "/", "connection: x-forwarded-for"), want: broken},
	{name: "HTTP2-Settings does not reach the app", clause: "RFC 9113, 3.1; h2c smuggling", head: asks("GET", "/", "http2-settings: AAMAAABkAAQCAAAAAAIAAAAA"), want: "200", hides: []string{"settings"}},
	{name: "an unknown expectation", clause: "RFC 9110, 10.1.1", head: asks("POST", "/", "expect: more"), body: []string{"x"}, want: "417", says: "RFC 9110, 10.1.1"},

	// Cookies.
	{name: "crumbs of a cookie", clause: "RFC 9113, 8.2.3", head: asks("GET", "/", "cookie: a=1", "x: y", "cookie: b=2", "cookie: c=3"), want: "200", sees: []string{"cookie: a=1; b=2; c=3\r\n"}},
	{name: "an empty crumb", clause: "RFC 9113, 8.2.3", head: asks("GET", "/", "cookie: a=1", "cookie:", "cookie: b=2"), want: "200", sees: []string{"cookie: a=1; ; b=2\r\n"}},
	{name: "a crumb with CR LF", clause: "RFC 9113, 8.2.1", head: asks("GET", "/", "cookie: a=1", "cookie: b\r\nx: y"), want: broken},

	// Trailers.
	{name: "trailers", clause: "RFC 9113, 8.1", head: asks("POST", "/"), body: []string{"hello"}, trailers: []string{"sum: 1"}, want: "200", sees: []string{"sum: 1\r\n"}},
	{name: "a pseudo-header field in trailers", clause: "RFC 9113, 8.1", head: asks("POST", "/"), body: []string{"hello"}, trailers: []string{":path: /smuggled"}, want: broken},
	{name: "Content-Length in trailers", clause: "RFC 9110, 6.5.1", head: asks("POST", "/"), body: []string{"hello"}, trailers: []string{"content-length: 9", "sum: 1"}, want: "200", sees: []string{"sum: 1\r\n"}, hides: []string{"content-length: 9"}},
	{name: "Transfer-Encoding in trailers", clause: "RFC 9113, 8.2.2", head: asks("POST", "/"), body: []string{"hello"}, trailers: []string{"transfer-encoding: chunked"}, want: broken},
	{name: "Host in trailers", clause: "RFC 9110, 6.5.1", head: asks("POST", "/"), body: []string{"hello"}, trailers: []string{"host: other.test"}, want: "200", hides: []string{"other.test"}},
	{name: "Authorization in trailers", clause: "RFC 9110, 6.5.1", head: asks("POST", "/"), body: []string{"hello"}, trailers: []string{"authorization: me"}, want: "200", hides: []string{"authorization"}},
	{name: "CR LF in trailers", clause: "RFC 9113, 8.2.1", head: asks("POST", "/"), body: []string{"hello"}, trailers: []string{"sum: 1\r\n\r\n" + smuggled}, want: broken},
	{name: "a line in a trailer", clause: "RFC 9113, 8.2.1; hidden field", head: asks("POST", "/"), body: []string{"hello"}, trailers: []string{"sum: 1\r\nauthorization: me"}, want: broken},
	{name: "a line in a trailer's name", clause: "RFC 9113, 8.2.1", head: asks("POST", "/"), body: []string{"hello"}, trailers: []string{"sum\r\n\r\nget: 1"}, want: broken},
	{name: "capitals in trailers", clause: "RFC 9113, 8.2.1", head: asks("POST", "/"), body: []string{"hello"}, trailers: []string{"Sum: 1"}, want: broken},

	// CONNECT.
	{name: "CONNECT", clause: "RFC 9113, 8.5", head: []string{":method: CONNECT", ":authority: 127.0.0.1:22"}, want: "405", says: "CONNECT is not served"},
	{name: "CONNECT with DATA", clause: "RFC 9113, 8.5", head: []string{":method: CONNECT", ":authority: 127.0.0.1:22"}, body: []string{smuggled}, want: "405"},
	{name: "CONNECT with :scheme", clause: "RFC 9113, 8.5", head: []string{":method: CONNECT", ":scheme: http", ":authority: 127.0.0.1:22"}, want: broken},
	{name: "an extended CONNECT of another protocol", clause: "RFC 8441, 4", head: append(asks("CONNECT", "/"), ":protocol: connect-udp"), want: "501", says: "not websocket"},
	{name: "an extended CONNECT without :path", clause: "RFC 8441, 4", head: []string{":method: CONNECT", ":protocol: websocket", ":scheme: http", ":authority: blog.test"}, want: broken},
	{name: "an extended CONNECT with CR LF in :protocol", clause: "RFC 8441, 4", head: append(asks("CONNECT", "/"), ":protocol: websocket\r\nx: y"), want: "501", says: "not websocket"},
	{name: ":protocol of a GET", clause: "RFC 8441, 4", head: append(asks("GET", "/"), ":protocol: websocket"), want: broken},

	// Limits.
	{name: "a head over its limit", clause: "RFC 6585, 5", head: asks("GET", "/", "x: "+strings.Repeat("a", 20<<10)), want: "431", says: "the head is too large"},
	{name: "a path over its limit", clause: "RFC 9110, 15.5.15", head: asks("GET", "/"+strings.Repeat("a", 2<<10)), want: "414", says: "the target is too long"},
	{name: "too many fields", clause: "RFC 6585, 5", head: asks("GET", "/", strings.Split(strings.Repeat("x: y,", 100), ",")[:99]...), want: "431"},
}

func TestConformanceOfRequestsByHTTP2(t *testing.T) {
	for _, p := range framedRequests {
		t.Run(p.name, func(t *testing.T) { t.Parallel(); p.run(t) })
	}
}

func (p framed) run(t *testing.T) {
	app := newScribe(t, nil)
	e := serve(t, router.Options{MaxHeaderBytes: 16 << 10, MaxTarget: 1 << 10, MaxFields: 50})
	e.SetRoute("blog", route("blog", 1, app.addr))
	c := dialFrames(t, e.addr)
	c.ask(1, p.head, p.body, p.trailers)
	c.ask(3, asks("GET", "/canary"), nil, nil)
	got := c.answers(1, 3)
	if got[1].ended != p.want && (!p.early || got[1].ended != "200") {
		t.Errorf("came to %q, want %q (%s): %.300q", got[1].ended, p.want, p.clause, got[1].text)
	}
	if !strings.Contains(got[1].text, p.says) {
		t.Errorf("the client got %.600q, want %q in it (%s)", got[1].text, p.says, p.clause)
	}
	if got[3].ended != "200" || !strings.Contains(got[3].text, "[GET /canary]") {
		t.Errorf("the request behind it came to %q: %.300q (%s)", got[3].ended, got[3].text, p.clause)
	}
	seen := app.text()
	for _, part := range p.sees {
		if !strings.Contains(seen, part) {
			t.Errorf("the app got %.600q, want %q in it (%s)", seen, part, p.clause)
		}
	}
	for _, part := range append(p.hides, "/smuggled") {
		if strings.Contains(strings.ToLower(seen), part) {
			t.Errorf("the app got %.600q, want no %q in it (%s)", seen, part, p.clause)
		}
	}
	if p.want == broken && strings.Contains(seen, " / HTTP/1.1") && len(p.body) == 0 {
		t.Errorf("the app got %.600q of what is no request (%s)", seen, p.clause)
	}
}

// frames is a client that sends any frame.
type frames struct {
	t testing.TB
	*http2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
}

func dialFrames(t *testing.T, addr string) *frames {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(hangs)) // for a test that would hang
	return framesOn(t, conn)
}

func framesOn(t testing.TB, conn net.Conn) *frames {
	t.Helper()
	c := &frames{t: t, Framer: http2.NewFramer(conn, conn)}
	c.enc = hpack.NewEncoder(&c.block)
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.AllowIllegalWrites = true
	_, _ = io.WriteString(conn, http2.ClientPreface)
	_ = c.WriteSettings()
	return c
}

func (c *frames) headers(id uint32, end bool, lines []string) {
	c.block.Reset()
	for _, line := range lines {
		name, value, _ := strings.Cut(line[1:], ":")
		_ = c.enc.WriteField(hpack.HeaderField{Name: line[:1] + name, Value: strings.TrimPrefix(value, " ")})
	}
	block := c.block.Bytes()
	first := block[:min(len(block), 16384)]
	_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndStream: end, EndHeaders: len(first) == len(block), BlockFragment: first})
	for rest := block[len(first):]; len(rest) > 0; {
		piece := rest[:min(len(rest), 16384)]
		rest = rest[len(piece):]
		_ = c.WriteContinuation(id, len(rest) == 0, piece)
	}
}

// ask sends a whole request.
func (c *frames) ask(id uint32, head, body, trailers []string) {
	c.headers(id, len(body) == 0 && trailers == nil, head)
	for i, piece := range body {
		_ = c.WriteData(id, i == len(body)-1 && trailers == nil, []byte(piece))
	}
	if trailers != nil {
		c.headers(id, true, trailers)
	}
}

// heard is what came of one stream: its status, or the code that it was reset with.
type heard struct {
	ended, text string
	fields      []hpack.HeaderField
}

// answers reads until each of the streams has ended.
func (c *frames) answers(ids ...uint32) map[uint32]heard {
	c.t.Helper()
	got := map[uint32]heard{}
	for open := slices.Clone(ids); len(open) > 0; {
		f, err := c.ReadFrame()
		if err != nil {
			c.t.Fatalf("%v after %v", err, got)
		}
		h, ends := got[f.Header().StreamID], false
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			h.ended, h.fields, ends = f.PseudoValue("status"), f.Fields, f.StreamEnded()
		case *http2.DataFrame:
			h.text, ends = h.text+string(f.Data()), f.StreamEnded()
		case *http2.RSTStreamFrame:
			if ends = f.ErrCode != http2.ErrCodeNo; ends {
				h.ended = f.ErrCode.String()
			}
		case *http2.GoAwayFrame:
			c.t.Fatalf("the connection ended: %v %s, after %v", f.ErrCode, f.DebugData(), got)
		}
		got[f.Header().StreamID] = h
		if ends { // an answered one may be reset, too
			open = slices.DeleteFunc(open, func(id uint32) bool { return id == f.Header().StreamID })
		}
	}
	return got
}

func TestWhatAProtocolRefusesHasAPageALineAndACount(t *testing.T) {
	long, fat := strings.Repeat("a", 2<<10), strings.Repeat("a", 20<<10)
	for _, c := range []struct {
		name   string
		status int
		text   string   // HTTP/1.1
		head   []string // HTTP/2; nil: it cannot be asked there
		reset  bool     // there it is no answer
	}{
		{"a head over its limit", 431, "GET /p HTTP/1.1\r\nHost: blog.test\r\nX: " + fat + "\r\n\r\n", asks("GET", "/p", "x: "+fat), false},
		{"a path over its limit", 414, "GET /" + long + " HTTP/1.1\r\nHost: blog.test\r\n\r\n", asks("GET", "/"+long), false},
		{"CONNECT", 405, "CONNECT blog.test:1 HTTP/1.1\r\nHost: blog.test\r\n\r\n", []string{":method: CONNECT", ":authority: blog.test:1"}, false},
		{"an expectation", 417, "GET /p HTTP/1.1\r\nHost: blog.test\r\nExpect: more\r\n\r\n", asks("GET", "/p", "expect: more"), false},
		{"a transfer coding", 501, "GET /p HTTP/1.1\r\nHost: blog.test\r\nTransfer-Encoding: gzip\r\n\r\n", nil, false},
		{"a protocol", 501, "", append(asks("CONNECT", "/p"), ":protocol: ftp"), false},
		{"two lengths", 400, "GET /p HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", asks("GET", "/p", "content-length: 1", "content-length: 1"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			told := make(chan router.Access, 10)
			e := serve(t, router.Options{MaxHeaderBytes: 16 << 10, MaxTarget: 1 << 10, Access: func(a router.Access) { told <- a }})
			check := func(proto, page string) {
				t.Helper()
				a := <-told
				if a.Status != c.status || a.Proto != proto || a.Client != "127.0.0.1" || a.Why != "protocol" || a.RequestID == "" || a.Bytes == 0 && page != "" {
					t.Errorf("the access log has %+v", a)
				}
				if page != "" && (!strings.Contains(page, fmt.Sprint(c.status, " ")) || !strings.Contains(page, "The request is refused: ") || !strings.Contains(page, "request "+a.RequestID)) {
					t.Errorf("the page is %q", page)
				}
				scraped := httptest.NewRecorder()
				access.NewExporter(e.Metrics(), nil, e.Snapshot).ServeHTTP(scraped, httptest.NewRequest("GET", "/", nil))
				if want := fmt.Sprintf("slipway_requests_refused_total{protocol=%q,status=\"%d\"} 1\n", proto, c.status); !strings.Contains(scraped.Body.String(), want) {
					t.Errorf("there is no %s", want)
				}
			}
			if c.text != "" {
				got := e.raw(c.text)
				_, page, _ := strings.Cut(got, "\r\n\r\n")
				check("HTTP/1.1", page)
				if !strings.Contains(got, "X-Request-Id: ") {
					t.Errorf("got %q", got)
				}
			}
			if c.head != nil {
				conn := dialFrames(t, e.addr)
				conn.ask(1, c.head, nil, nil)
				got := conn.answers(1)[1]
				if c.reset != (got.ended == broken) || !c.reset && got.ended != fmt.Sprint(c.status) {
					t.Errorf("came to %s", got.ended)
				}
				check("HTTP/2.0", got.text)
			}
		})
	}
}

func TestAHEADThatIsRefusedGetsNoPage(t *testing.T) {
	e := serve(t, router.Options{MaxTarget: 1 << 10})
	c := dialFrames(t, e.addr)
	c.ask(1, asks("HEAD", "/"+strings.Repeat("a", 2<<10)), nil, nil)
	if got := c.answers(1)[1]; got.ended != "414" || got.text != "" {
		t.Errorf("got %+v", got)
	}
}
