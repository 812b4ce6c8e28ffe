package h1_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/h1"
)

var limits = h1.Limits{Head: 1 << 10, Target: 256, Fields: 20}

// crlf makes a head of lines.
func crlf(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

func TestARequestIsRefusedByTheRuleItBreaks(t *testing.T) {
	const host = "Host: a"
	for _, c := range []struct {
		name, text string
		status     int
	}{
		{"a bare line feed ends a line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
		{"a bare line feed ends the head", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
		{"a bare carriage return in a value", crlf("GET / HTTP/1.1", host, "X: a\rb"), 400},
		{"a bare carriage return in the target", crlf("GET /a\rb HTTP/1.1", host), 400},
		{"NUL in a value", crlf("GET / HTTP/1.1", host, "X: a\x00b"), 400},
		{"NUL in a name", crlf("GET / HTTP/1.1", host, "X\x00: a"), 400},
		{"a line folded", crlf("GET / HTTP/1.1", host, "X: a", " b"), 400},
		{"a line folded by a tab", crlf("GET / HTTP/1.1", host, "X: a", "\tb"), 400},
		{"a fold before the first field", crlf("GET / HTTP/1.1", " Host: a"), 400},
		{"a space before the colon", crlf("GET / HTTP/1.1", "Host : a"), 400},
		{"a tab before the colon", crlf("GET / HTTP/1.1", host, "Transfer-Encoding\t: chunked"), 400},
		{"no colon", crlf("GET / HTTP/1.1", host, "X"), 400},
		{"no name", crlf("GET / HTTP/1.1", host, ": x"), 400},
		{"a name in quotes", crlf("GET / HTTP/1.1", host, `"X": x`), 400},
		{"two spaces after the method", crlf("GET  / HTTP/1.1", host), 400},
		{"a tab for a space", crlf("GET\t/ HTTP/1.1", host), 400},
		{"a space in the target", crlf("GET /a b HTTP/1.1", host), 400},
		{"no version", crlf("GET /", host), 400},
		{"no target", crlf("GET HTTP/1.1", host), 400},
		{"a trailing space", crlf("GET / HTTP/1.1 ", host), 400},
		{"a version in lower case", crlf("GET / http/1.1", host), 400},
		{"a version of three digits", crlf("GET / HTTP/1.10", host), 400},
		{"HTTP/2.0 in text", crlf("GET / HTTP/2.0", host), 505},
		{"HTTP/0.9", "GET /\r\n\r\n", 400},
		{"a method with a colon", crlf("G:T / HTTP/1.1", host), 400},
		{"two empty lines before", "\r\n\r\n" + crlf("GET / HTTP/1.1", host), 400},
		{"CONNECT", crlf("CONNECT a:443 HTTP/1.1", host), 405},
		{"a target without a slash", crlf("GET a HTTP/1.1", host), 400},
		{"an asterisk for GET", crlf("GET * HTTP/1.1", host), 400},
		{"another scheme", crlf("GET ftp://a/ HTTP/1.1", host), 400},
		{"an absolute form without a host", crlf("GET http:/// HTTP/1.1", host), 400},
		{"an absolute form with a user", crlf("GET http://u@a/ HTTP/1.1", host), 400},
		{"an absolute form that names another host", crlf("GET http://b/ HTTP/1.1", host), 400},
		{"a control character in the target", crlf("GET /\x01 HTTP/1.1", host), 400},
		{"a byte beyond ASCII in the target", crlf("GET /\xe9 HTTP/1.1", host), 400},
		{"no Host", crlf("GET / HTTP/1.1", "X: a"), 400},
		{"two Hosts", crlf("GET / HTTP/1.1", host, host), 400},
		{"an empty Host", crlf("GET / HTTP/1.1", "Host:"), 400},
		{"a Host with a path", crlf("GET / HTTP/1.1", "Host: a/b"), 400},
		{"a Host with a user", crlf("GET / HTTP/1.1", "Host: u@a"), 400},
		{"a Host with a space", crlf("GET / HTTP/1.1", "Host: a b"), 400},
		{"two lengths", crlf("POST / HTTP/1.1", host, "Content-Length: 5", "Content-Length: 5"), 400},
		{"a list of lengths", crlf("POST / HTTP/1.1", host, "Content-Length: 5, 5"), 400},
		{"a length with a sign", crlf("POST / HTTP/1.1", host, "Content-Length: +5"), 400},
		{"a negative length", crlf("POST / HTTP/1.1", host, "Content-Length: -5"), 400},
		{"a length in hexadecimal", crlf("POST / HTTP/1.1", host, "Content-Length: 0x5"), 400},
		{"an empty length", crlf("POST / HTTP/1.1", host, "Content-Length:"), 400},
		{"a length beyond all numbers", crlf("POST / HTTP/1.1", host, "Content-Length: 9999999999999999999"), 400},
		{"a length with an underscore", crlf("POST / HTTP/1.1", host, "Content-Length: 1_0"), 400},
		{"a length and chunks", crlf("POST / HTTP/1.1", host, "Content-Length: 5", "Transfer-Encoding: chunked"), 400},
		{"chunks and a length", crlf("POST / HTTP/1.1", host, "Transfer-Encoding: chunked", "Content-Length: 5"), 400},
		{"an unknown coding", crlf("POST / HTTP/1.1", host, "Transfer-Encoding: xchunked"), 501},
		{"identity", crlf("POST / HTTP/1.1", host, "Transfer-Encoding: identity"), 501},
		{"chunked, then identity", crlf("POST / HTTP/1.1", host, "Transfer-Encoding: chunked, identity"), 400},
		{"gzip, then chunked", crlf("POST / HTTP/1.1", host, "Transfer-Encoding: gzip, chunked"), 400},
		{"chunked twice", crlf("POST / HTTP/1.1", host, "Transfer-Encoding: chunked, chunked"), 400},
		{"chunked in two fields", crlf("POST / HTTP/1.1", host, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400},
		{"chunked with a vertical tab", crlf("POST / HTTP/1.1", host, "Transfer-Encoding: \vchunked"), 400},
		{"chunked in quotes", crlf("POST / HTTP/1.1", host, `Transfer-Encoding: "chunked"`), 501},
		{"chunks in HTTP/1.0", crlf("POST / HTTP/1.0", host, "Transfer-Encoding: chunked"), 400},
		{"an unknown expectation", crlf("POST / HTTP/1.1", host, "Expect: 200-ok"), 417},
		{"a quoted Connection", crlf("GET / HTTP/1.1", host, `Connection: "close"`), 400},
		{"too many fields", crlf("GET / HTTP/1.1", host, strings.Repeat("X: a\r\n", 20)+"X: a"), 431},
		{"too large a head", crlf("GET / HTTP/1.1", host, "X: "+strings.Repeat("a", 2000)), 431},
		{"too long a target", crlf("GET /"+strings.Repeat("a", 300)+" HTTP/1.1", host), 414},
		{"a target without an end", "GET /" + strings.Repeat("a", 3000), 414},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r h1.Request
			_, err := r.Parse([]byte(c.text), limits)
			var broken *h1.Error
			if !errors.As(err, &broken) || broken.Status != c.status || broken.Clause == "" {
				t.Errorf("it was answered %v, want %d", err, c.status)
			}
		})
	}
}

func TestAHeadGoesOnAsItWasMeant(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"as it came", crlf("GET /a?b=c HTTP/1.1", "Host: a.example:80", "Accept: */*"), crlf("GET /a?b=c HTTP/1.1", "Host: a.example:80", "Accept: */*")},
		{"one empty line before", "\r\n" + crlf("GET / HTTP/1.1", "Host: a"), crlf("GET / HTTP/1.1", "Host: a")},
		{"white space around a value", crlf("GET / HTTP/1.1", "Host: a", "X:\t b c \t"), crlf("GET / HTTP/1.1", "Host: a", "X: b c")},
		{"an empty value", crlf("GET / HTTP/1.1", "Host: a", "X:"), crlf("GET / HTTP/1.1", "Host: a", "X: ")},
		{"the absolute form", crlf("GET http://A.example/x HTTP/1.1", "Host: a.example"), crlf("GET /x HTTP/1.1", "Host: A.example")},
		{"the absolute form without a path", crlf("GET https://a HTTP/1.1", "Host: a"), crlf("GET / HTTP/1.1", "Host: a")},
		{"the absolute form with a query alone", crlf("GET http://a?q HTTP/1.1", "Host: a"), crlf("GET /?q HTTP/1.1", "Host: a")},
		{"OPTIONS of the server", crlf("OPTIONS * HTTP/1.1", "Host: a"), crlf("OPTIONS * HTTP/1.1", "Host: a")},
		{"OPTIONS of the server in absolute form", crlf("OPTIONS http://a HTTP/1.1", "Host: a"), crlf("OPTIONS * HTTP/1.1", "Host: a")},
		{"an address of version 6", crlf("GET / HTTP/1.1", "Host: [::1]:80"), crlf("GET / HTTP/1.1", "Host: [::1]:80")},
		{"this connection's own fields", crlf("GET / HTTP/1.1", "Host: a", "Connection: keep-alive, X-Secret", "Keep-Alive: 5", "X-Secret: s", "Proxy-Connection: x", "TE: gzip", "Upgrade: h2c", "X: kept"), crlf("GET / HTTP/1.1", "Host: a", "X: kept")},
		{"Host cannot be nominated", crlf("GET / HTTP/1.1", "Host: a", "Connection: host"), crlf("GET / HTTP/1.1", "Host: a")},
		{"TE: trailers", crlf("GET / HTTP/1.1", "Host: a", "TE: trailers, deflate;q=0.5", "Connection: TE"), crlf("GET / HTTP/1.1", "Host: a", "TE: trailers")},
		{"a protocol asked for", crlf("GET / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket"), crlf("GET / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket")},
		{"bytes beyond ASCII in a value", crlf("GET / HTTP/1.1", "Host: a", "X: \xc3\xa4"), crlf("GET / HTTP/1.1", "Host: a", "X: \xc3\xa4")},
		{"a later version of HTTP/1", crlf("GET / HTTP/1.7", "Host: a"), crlf("GET / HTTP/1.1", "Host: a")},
		{"an old client", crlf("GET / HTTP/1.0", "Host: a"), crlf("GET / HTTP/1.1", "Host: a")},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r h1.Request
			n, err := r.Parse([]byte(c.in+"rest"), limits)
			if err != nil || n != len(c.in) {
				t.Fatalf("it took %d of %d bytes: %v", n, len(c.in), err)
			}
			if got := string(h1.AppendRequest(nil, &r, h1.Onward{})); got != c.want {
				t.Errorf("it went on as\n%q, want\n%q", got, c.want)
			}
		})
	}
}

func TestAHeadSaysHowItsBodyEnds(t *testing.T) {
	for _, c := range []struct {
		name, in string
		length   int64
		closes   bool
	}{
		{"none", crlf("GET / HTTP/1.1", "Host: a"), 0, false},
		{"a length", crlf("POST / HTTP/1.1", "Host: a", "Content-Length: 0042"), 42, false},
		{"chunks", crlf("POST / HTTP/1.1", "Host: a", "Transfer-Encoding:  Chunked "), h1.Chunked, false},
		{"an empty element besides", crlf("POST / HTTP/1.1", "Host: a", "Connection: , close"), 0, true},
		{"an old client", crlf("GET / HTTP/1.0"), 0, true},
		{"an old client that stays", crlf("GET / HTTP/1.0", "Connection: Keep-Alive"), 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r h1.Request
			n, err := r.Parse([]byte(c.in), limits)
			if err != nil || n != len(c.in) || r.Length != c.length || r.Close != c.closes {
				t.Errorf("%d bytes, length %d, close %t, %v", n, r.Length, r.Close, err)
			}
		})
	}
}

func TestAHeadMayComeByteByByte(t *testing.T) {
	text := []byte(crlf("POST /a HTTP/1.1", "Host: a", "Content-Length: 3") + "abc")
	var r h1.Request
	for n := range len(text) - 3 {
		if took, err := r.Parse(text[:n], limits); took != 0 || err != nil {
			t.Fatalf("of %d bytes it took %d: %v", n, took, err)
		}
	}
	if took, err := r.Parse(text, limits); took != len(text)-3 || err != nil || r.Length != 3 {
		t.Errorf("it took %d: %v", took, err)
	}
}

func TestParsingAllocatesNothing(t *testing.T) {
	text := []byte(crlf("GET /path?query=1 HTTP/1.1", "Host: app.example.com", "User-Agent: test", "Accept: */*", "Cookie: a=b", "Connection: keep-alive"))
	var r h1.Request
	out := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		_, _ = r.Parse(text, limits)
		out = h1.AppendRequest(out[:0], &r, h1.Onward{})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkARequestsHead(b *testing.B) {
	text := []byte(crlf("GET /path?query=1 HTTP/1.1", "Host: app.example.com", "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "Accept: text/html,application/xhtml+xml", "Accept-Language: en", "Accept-Encoding: gzip, br", "Cookie: session=0123456789abcdef", "Connection: keep-alive"))
	var r h1.Request
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Parse(text, limits); err != nil {
			b.Fatal(err)
		}
		out = h1.AppendRequest(out[:0], &r, h1.Onward{})
	}
}
