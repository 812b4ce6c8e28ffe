package platform

import (
	mathbits "math/bits"
	"net/netip"
	"strconv"
	"strings"
)

// MaxNetwork is the longest text of a network, in bytes.
const MaxNetwork = 50

// ParseNetwork reads an address (10.0.0.5), a network (10.0.0.0/8) or an interface
// (10.0.0.5/8), of IPv4 or IPv6, the prefix as a length or, for IPv4, as a
// mask. It returns the network that is meant, without host bits.
func ParseNetwork(entry string) (netip.Prefix, bool) {
	text, length, long := strings.Cut(entry, "/")
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" || len(entry) > MaxNetwork {
		return netip.Prefix{}, false
	}
	bits := address.BitLen()
	if long {
		var ok bool
		if bits, ok = prefixLength(length, address); !ok {
			return netip.Prefix{}, false
		}
	}
	// Routers compare clients by their IPv4 address where they have one.
	if address.Is4In6() && bits >= 96 {
		address, bits = address.Unmap(), bits-96
	}
	prefix, err := address.Prefix(bits)
	return prefix, err == nil
}

// prefixLength reads 8, or 255.0.0.0, or 0.255.255.255.
func prefixLength(text string, address netip.Addr) (bits int, ok bool) {
	if text != "" && strings.Trim(text, "0123456789") == "" {
		bits, err := strconv.Atoi(text)
		return bits, err == nil && bits <= address.BitLen()
	}
	mask, err := netip.ParseAddr(text)
	if err != nil || !mask.Is4() || !address.Is4() {
		return 0, false
	}
	raw := mask.As4()
	number := uint32(raw[0])<<24 | uint32(raw[1])<<16 | uint32(raw[2])<<8 | uint32(raw[3])
	for _, mask := range []uint32{number, ^number} { // 0.0.0.0 is a mask before it is the inverse of one
		if bits := mathbits.LeadingZeros32(^mask); mask == ^uint32(0)<<(32-bits) {
			return bits, true
		}
	}
	return 0, false
}
