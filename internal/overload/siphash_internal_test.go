package overload

import "testing"

// The vectors are of the reference implementation (Aumasson and Bernstein):
// the key is 00 01 .. 0f, the message 00 01 .. of each length.
func TestTheHashIsSipHash24(t *testing.T) {
	var key Key
	for i := range key {
		key[i] = byte(i)
	}
	text := make([]byte, 16)
	for i := range text {
		text[i] = byte(i)
	}
	for length, want := range map[int]uint64{
		0: 0x726fdb47dd0e0e31, 1: 0x74f839c593dc67fd, 7: 0xab0200f58b01d137, 8: 0x93f5f5799a932462, 15: 0xa129ca6149be45e5,
	} {
		if got := key.sip(0, text[:length]); got != want {
			t.Errorf("of %d bytes: %x, want %x", length, got, want)
		}
	}
}
