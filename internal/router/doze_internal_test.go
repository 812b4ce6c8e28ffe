package router

import (
	"bytes"
	"net"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

type reading struct {
	net.Conn
	from interface{ Read(p []byte) (int, error) }
}

func (r reading) Read(p []byte) (int, error) { return r.from.Read(p) }

func TestRecordsAreWholeAtTheirEndsAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 400), 1, 6).Draw(t, "sizes")
		var text []byte
		ends := map[int]bool{0: true}
		for _, n := range sizes {
			text = append(append(text, 23, 3, 3, byte(n>>8), byte(n)), make([]byte, n)...)
			ends[len(text)] = true
		}
		r := &records{Conn: reading{from: iotest.OneByteReader(bytes.NewReader(text))}}
		if rapid.Bool().Draw(t, "at once") {
			r.Conn = reading{from: bytes.NewReader(text)}
		}
		for at := 0; at < len(text); {
			n, err := r.Read(make([]byte, rapid.IntRange(1, 300).Draw(t, "size")))
			if at += n; err != nil || r.whole() != ends[at] {
				t.Fatalf("after %d of %d bytes: whole %v, %v", at, len(text), r.whole(), err)
			}
		}
	})
}
