package overload

import (
	"encoding/binary"
	"math/bits"
)

// Key is what user levels and client buckets are hashed with. Routers that
// share one agree on who is served; who does not know it cannot choose a level.
type Key [16]byte

// sip is SipHash-2-4 (Aumasson and Bernstein) of text under the key, which has
// salt mixed into it.
func (k *Key) sip(salt uint64, text []byte) uint64 {
	k0 := binary.LittleEndian.Uint64(k[:8]) ^ salt
	k1 := binary.LittleEndian.Uint64(k[8:])
	s := sipState{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
	last := uint64(len(text)) << 56
	for len(text) >= 8 {
		s.block(binary.LittleEndian.Uint64(text))
		text = text[8:]
	}
	for i, b := range text {
		last |= uint64(b) << (8 * i)
	}
	s.block(last)
	s.c ^= 0xff
	for range 4 {
		s.round()
	}
	return s.a ^ s.b ^ s.c ^ s.d
}

type sipState struct{ a, b, c, d uint64 }

func (s *sipState) block(m uint64) {
	s.d ^= m
	s.round()
	s.round()
	s.a ^= m
}

func (s *sipState) round() {
	s.a += s.b
	s.b = bits.RotateLeft64(s.b, 13) ^ s.a
	s.a = bits.RotateLeft64(s.a, 32)
	s.c += s.d
	s.d = bits.RotateLeft64(s.d, 16) ^ s.c
	s.a += s.d
	s.d = bits.RotateLeft64(s.d, 21) ^ s.a
	s.c += s.b
	s.b = bits.RotateLeft64(s.b, 17) ^ s.c
	s.c = bits.RotateLeft64(s.c, 32)
}
