package h1_test

import (
	"errors"
	"testing"

	"github.com/slipway-paas/slipway/internal/h1"
)

func TestAResponseThatBreaksARuleIsABadGateway(t *testing.T) {
	for name, text := range map[string]string{
		"no version":                 "200 OK\r\n\r\n",
		"another protocol":           "ICY/1.1 200 OK\r\n\r\n",
		"HTTP/2 in text":             "HTTP/2.0 200 OK\r\n\r\n",
		"a status of two digits":     "HTTP/1.1 20 OK\r\n\r\n",
		"a status of four digits":    "HTTP/1.1 2000 OK\r\n\r\n",
		"a status below 100":         "HTTP/1.1 099 OK\r\n\r\n",
		"a status above 599":         "HTTP/1.1 600 OK\r\n\r\n",
		"a bare line feed":           "HTTP/1.1 200 OK\nX: a\r\n\r\n",
		"a control character":        "HTTP/1.1 200 O\x01K\r\n\r\n",
		"a split header":             crlf("HTTP/1.1 200 OK", "X: a\rSet-Cookie: b"),
		"a folded line":              crlf("HTTP/1.1 200 OK", "X: a", " b"),
		"two lengths":                crlf("HTTP/1.1 200 OK", "Content-Length: 1", "Content-Length: 2"),
		"a length and chunks":        crlf("HTTP/1.1 200 OK", "Content-Length: 1", "Transfer-Encoding: chunked"),
		"a coding nobody asked for":  crlf("HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked"),
		"chunks of an old server":    crlf("HTTP/1.0 200 OK", "Transfer-Encoding: chunked"),
		"a head without an end":      "HTTP/1.1 200 OK\r\nX: " + string(make([]byte, 2000)),
		"a space before the colon":   crlf("HTTP/1.1 200 OK", "Content-Length : 1"),
		"something for a length":     crlf("HTTP/1.1 200 OK", "Content-Length: 1a"),
		"a second status after tabs": "HTTP/1.1\t200 OK\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var r h1.Response
			_, err := r.Parse([]byte(text), []byte("GET"), limits)
			var broken *h1.Error
			if !errors.As(err, &broken) || broken.Status != 502 {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAResponseSaysHowItsBodyEnds(t *testing.T) {
	for _, c := range []struct {
		name, method, in string
		length           int64
		closes           bool
		back             string
	}{
		{"a length", "GET", crlf("HTTP/1.1 200 OK", "Content-Length: 5"), 5, false, crlf("HTTP/1.1 200 OK", "Content-Length: 5")},
		{"chunks", "GET", crlf("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), h1.Chunked, false, crlf("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")},
		{"until close", "GET", crlf("HTTP/1.1 200 OK"), h1.UntilClose, true, crlf("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")},
		{"HEAD", "HEAD", crlf("HTTP/1.1 200 OK", "Content-Length: 5"), 0, false, crlf("HTTP/1.1 200 OK", "Content-Length: 5")},
		{"HEAD of chunks", "HEAD", crlf("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), 0, false, crlf("HTTP/1.1 200 OK")},
		{"no content", "GET", crlf("HTTP/1.1 204 No Content", "Content-Length: 5"), 0, false, crlf("HTTP/1.1 204 No Content")},
		{"not modified", "GET", crlf("HTTP/1.1 304 Not Modified", "Content-Length: 5"), 0, false, crlf("HTTP/1.1 304 Not Modified", "Content-Length: 5")},
		{"early hints", "GET", crlf("HTTP/1.1 103 Early Hints", "Link: </a>"), 0, false, crlf("HTTP/1.1 103 Early Hints", "Link: </a>")},
		{"no reason", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 0, false, crlf("HTTP/1.1 200 ", "Content-Length: 0")},
		{"a protocol agreed to", "GET", crlf("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: websocket"), 0, false, crlf("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket")},
		{"this connection's own fields", "GET", crlf("HTTP/1.1 200 OK", "Connection: close, X-Own", "X-Own: 1", "Keep-Alive: timeout=5", "Content-Length: 0"), 0, true, crlf("HTTP/1.1 200 OK", "Content-Length: 0")},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r h1.Response
			n, err := r.Parse([]byte(c.in), []byte(c.method), limits)
			if err != nil || n != len(c.in) || r.Length != c.length || r.Close != c.closes {
				t.Fatalf("%d bytes, length %d, close %t, %v", n, r.Length, r.Close, err)
			}
			length := r.Length
			if length == h1.UntilClose {
				length = h1.Chunked
			}
			back := h1.AppendResponse(nil, &r, h1.Back{Length: length, Bodiless: r.Bodiless([]byte(c.method))})
			if string(back) != c.back {
				t.Errorf("it went back as\n%q, want\n%q", back, c.back)
			}
		})
	}
}
