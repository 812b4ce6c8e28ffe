package router

import (
	"bytes"
	"net/netip"
	"testing"
)

func TestAPROXYHeaderIsReadByItsRulesAlone(t *testing.T) {
	for _, c := range []struct {
		text, from string
		ok         bool
	}{
		{"PROXY TCP4 1.2.3.4 5.6.7.8 0 65535\r\n", "1.2.3.4:0", true},
		{"PROXY TCP6 ::1 2001:db8::1 1 2\r\n", "[::1]:1", true},
		{"PROXY UNKNOWN ffff:f::1 ::1 65535 65535\r\n", "", true},
		{"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", "", false},
		{"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", "", false},
		{"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", "", false},
		{"PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n", "", false},
		{"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", "", false},
		{"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", "", false},
		{"PROXY TCP6 ::1%lo ::1 1 2\r\n", "", false},
		{"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", "", false},
		{"PROXY UNKNOWNX 1.2.3.4\r\n", "", false},
		{"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n       ", "", false},
		{"\r\n\r\n\x00\r\nQUIT\n\x11\x11\x00\x00", "", false},
		{"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x04abcd", "", false},
		{"\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\x02ab", "", true}, // a socket of a file
		{"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", "", false},
		{"GET / HTTP/1.1\r\n", "", false},
	} {
		from, need, err := parseProxyHeader([]byte(c.text))
		want, _ := netip.ParseAddrPort(c.from)
		if (err == nil) != c.ok || err == nil && need != 0 || from != want {
			t.Errorf("%q: %v, %d, %v", c.text, from, need, err)
		}
	}
}

// FuzzProxyHeader holds the parser to what its caller rests on: it never asks
// for a byte that may be the next protocol's, nor forever.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02GET /"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		rd := bytes.NewReader(text)
		from, err := readProxyHeader(rd)
		took := text[:len(text)-rd.Len()]
		if len(took) > maxProxy2 {
			t.Fatalf("it took %d bytes", len(took))
		}
		if err != nil {
			if from.IsValid() {
				t.Fatalf("%v and %v", from, err)
			}
			return
		}
		again, need, err := parseProxyHeader(took)
		if again != from || need != 0 || err != nil {
			t.Fatalf("read alone it is %v, %d, %v; it was %v", again, need, err, from)
		}
		for n := range took { // and no part of it was enough
			if _, need, err := parseProxyHeader(took[:n]); need <= n || need > len(took) || err != nil {
				t.Fatalf("%d of its %d bytes: %d, %v", n, len(took), need, err)
			}
		}
	})
}
