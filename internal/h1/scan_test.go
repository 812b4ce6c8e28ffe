package h1_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/h1"
)

// comes checks that a head which comes size bytes at a time means at each moment
// what it means to who looks at all of it.
func comes(t *testing.T, in []byte, size int) {
	var s h1.Scan
	for n := 0; n < len(in); {
		n = min(n+size, len(in))
		var whole, pieces h1.Request
		want, wantErr := whole.Parse(in[:n], limits)
		got, err := s.Parse(&pieces, in[:n], limits)
		if got != want || !errors.Is(err, wantErr) || got > 0 && (string(pieces.Target) != string(whole.Target) || len(pieces.Fields) != len(whole.Fields)) {
			t.Fatalf("%q by %d: after %d bytes %d, %v; whole %d, %v", in, size, n, got, err, want, wantErr)
		}
		if want > 0 || wantErr != nil {
			return
		}
	}
}

func TestAHeadInPiecesMeansWhatItMeansWhole(t *testing.T) {
	long := strings.Repeat("x", 1<<11)
	for _, in := range []string{
		crlf("GET / HTTP/1.1", "Host: a", "X: y"), "\r\n" + crlf("GET / HTTP/1.1", "Host: a"), "\r\n\r\n", "\n", "\r\n\n", "GET / HTTP/1.1\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost : a\r\n", "GET /\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nX: a\r\n b\r\n", "\x16\x03\x01\n", crlf("CONNECT a HTTP/1.1"),
		"GET /" + long, "GET / HTTP/1.1\r\nX: " + long, "GET / HTTP/1.1\r\n" + strings.Repeat("X: y\r\n", 30), crlf("GET http://a/ HTTP/1.1", "Host: b"),
	} {
		for _, size := range []int{1, 2, 7, 1 << 20} {
			comes(t, []byte(in), size)
		}
	}
}

func BenchmarkAHeadThatDrips(b *testing.B) {
	head := []byte("GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: "+strings.Repeat("x", 100)+"\r\n", 150))
	large := h1.Limits{Head: 1 << 16, Target: 1 << 14, Fields: 200}
	b.SetBytes(int64(len(head)))
	b.ReportAllocs()
	for b.Loop() {
		var s h1.Scan
		var r h1.Request
		for n := range head {
			if _, err := s.Parse(&r, head[:n], large); err != nil {
				b.Fatal(err)
			}
		}
	}
}
