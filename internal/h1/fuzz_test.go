package h1_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/h1"
)

// What is accepted means to Go's own server what it means here, and what goes
// on means the same again.
func FuzzARequestMeansTheSameToOthers(f *testing.F) {
	for _, seed := range []string{
		crlf("GET /a?b HTTP/1.1", "Host: a", "X: y"), crlf("POST / HTTP/1.1", "Host: a", "Content-Length: 3") + "abc",
		crlf("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n",
		crlf("GET http://a/ HTTP/1.1", "Host: a"), crlf("GET / HTTP/1.0", "Connection: keep-alive, x", "X: 1"),
		crlf("GET / HTTP/1.1", "Host: a", "Connection: upgrade", "Upgrade: websocket", "TE: trailers", "Expect: 100-continue"),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var r h1.Request
		n, err := r.Parse(in, limits)
		if n == 0 || err != nil {
			return
		}
		length := r.Length
		out := h1.AppendRequest(nil, &r, h1.Onward{Length: r.Length, Body: r.Length != 0})
		var again h1.Request
		took, err := again.Parse(out, h1.Limits{Head: 1 << 20, Target: 1 << 20, Fields: 1000})
		if r.Host != nil && (took != len(out) || err != nil || again.Length != length) {
			t.Fatalf("%q went on as %q, which is %d bytes, %v", in[:n], out, took, err)
		}
		other, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(append(bytes.TrimPrefix(in[:n:n], []byte("\r\n")), strings.Repeat("0", 100)...))))
		if err != nil {
			return // stricter still
		}
		want := length
		if other.ContentLength != want && (want != h1.Chunked || other.ContentLength != -1) {
			t.Fatalf("%q has length %d here and %d there", in[:n], want, other.ContentLength)
		}
		if len(r.Host) > 0 && other.Host != string(r.Host) {
			t.Fatalf("%q is for %q here and %q there", in[:n], r.Host, other.Host)
		}
	})
}

// Nothing depends on how a head comes.
func FuzzARequestInPiecesMeansWhatItMeansWhole(f *testing.F) {
	f.Add([]byte("\r\n"+crlf("GET /a?b HTTP/1.1", "Host: a", "X: y")), 1)
	f.Add([]byte(crlf("POST / HTTP/1.1", "Host: a", "Content-Length: 3")+"abc"), 7)
	f.Fuzz(func(t *testing.T, in []byte, size int) {
		if size >= 1 && len(in) <= 1<<12 {
			comes(t, in, min(size, 1<<12))
		}
	})
}

func FuzzAResponseIsRefusedOrFramed(f *testing.F) {
	f.Add([]byte(crlf("HTTP/1.1 200 OK", "Content-Length: 3")), "GET")
	f.Add([]byte(crlf("HTTP/1.1 304 Not Modified", "Content-Length: 3")), "GET")
	f.Add([]byte(crlf("HTTP/1.0 200", "Connection: keep-alive")), "HEAD")
	f.Fuzz(func(t *testing.T, in []byte, method string) {
		var r h1.Response
		n, err := r.Parse(in, []byte(method), limits)
		if n == 0 || err != nil {
			return
		}
		bodiless := r.Bodiless([]byte(method))
		out := h1.AppendResponse(nil, &r, h1.Back{Length: r.Length, Bodiless: bodiless})
		var again h1.Response
		took, err := again.Parse(out, []byte(method), h1.Limits{Head: 1 << 20, Fields: 1000})
		if took != len(out) || err != nil || again.Length != r.Length || again.Status != r.Status {
			t.Fatalf("%q went back as %q: %d, %v", in[:n], out, took, err)
		}
	})
}

// However chunks are cut, they are the same data; and Go's own reader, where it
// accepts them, reads the same.
func FuzzChunksDoNotDependOnHowTheyCome(f *testing.F) {
	f.Add("5\r\nhello\r\n0\r\n\r\n", 1)
	f.Add("5;a=b\r\nhello\r\n0\r\nX: a\r\n\r\n", 3)
	f.Fuzz(func(t *testing.T, in string, size int) {
		if size < 1 || size > 1<<16 {
			return
		}
		data, trailers, _, err := decode(in, size)
		whole, alsoTrailers, _, wholeErr := decode(in, 1<<20)
		if (err == nil) != (wholeErr == nil) || err == nil && (data != whole || trailers != alsoTrailers) {
			t.Fatalf("%q by %d is %q, %v; whole it is %q, %v", in, size, data, err, whole, wholeErr)
		}
		if err != nil {
			return
		}
		other, err := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(in)))
		if err == nil && string(other) != data {
			t.Fatalf("%q is %q here and %q there", in, data, other)
		}
	})
}
