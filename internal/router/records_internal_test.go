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

func TestRecordsAreHandedOnOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 400), 1, 6).Draw(t, "sizes")
		var text []byte
		ends := map[int]bool{0: true}
		for i, n := range sizes {
			text = append(append(text, 23, 3, 3, byte(n>>8), byte(n)), bytes.Repeat([]byte{byte(i)}, n)...)
			ends[len(text)] = true
		}
		socket := reading{from: iotest.OneByteReader(bytes.NewReader(text))}
		if rapid.Bool().Draw(t, "at once") {
			socket = reading{from: bytes.NewReader(text)}
		}
		r := newRecords(socket, socket, &slabs{})
		var got []byte
		for len(got) < len(text) {
			p := make([]byte, rapid.IntRange(1, 600).Draw(t, "size"))
			n, err := r.Read(p)
			for at := len(got) + 1; at < len(got)+n; at++ {
				if ends[at] {
					t.Fatalf("a read of %d bytes at %d goes over a record's end at %d", n, len(got), at)
				}
			}
			got = append(got, p[:n]...)
			if all := len(got) + r.in.w - r.in.r; err != nil || r.between() != (ends[len(got)] && all == len(got)) {
				t.Fatalf("after %d of %d bytes: between %v, %v", len(got), len(text), r.between(), err)
			}
		}
		if !bytes.Equal(got, text) {
			t.Fatal("other bytes came")
		}
	})
}
