package match

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
)

// Networks are addresses. Immutable; nil holds none.
type Networks struct {
	wish  []string // as told
	spans []span   // by address, none touching another's
	wrong []string // what of wish is no network
}

// span is a range of addresses, both ends included.
type span struct{ from, to netip.Addr }

// NetworksAfter are the networks of a wish, nil when that is empty; when it is
// the one that old came from, old. An entry that is no network holds nobody and
// is named by Wrong. The cost is that of sorting the wish.
func NetworksAfter(old *Networks, wish []string) *Networks {
	if len(wish) == 0 {
		return nil
	}
	if old != nil && slices.Equal(old.wish, wish) {
		return old
	}
	n := &Networks{wish: slices.Clone(wish)}
	for _, text := range wish {
		prefix, ok := parseNetwork(text)
		if !ok {
			n.wrong = append(n.wrong, fmt.Sprintf("%q is no address and no network; nobody is in it", text))
			continue
		}
		n.spans = append(n.spans, span{prefix.Addr(), lastOf(prefix)})
	}
	slices.SortFunc(n.spans, func(a, b span) int { return a.from.Compare(b.from) })
	n.spans = merged(n.spans)
	return n
}

// parseNetwork reads a network, an address, or an address in its network
// ("10.0.0.5/8" is 10.0.0.0/8). IPv4 written as IPv6 is IPv4.
func parseNetwork(text string) (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return prefix, false
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), true
}

// lastOf is the last address of a masked prefix.
func lastOf(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(bytes) // of a length that it came in
	return last
}

// merged joins sorted spans that overlap. IPv4 sorts before IPv6 and the two
// never overlap.
func merged(sorted []span) []span {
	var out []span
	for _, s := range sorted {
		if last := len(out) - 1; last >= 0 && s.from.Compare(out[last].to) <= 0 {
			if s.to.Compare(out[last].to) > 0 {
				out[last].to = s.to
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// Wrong are the entries that are no networks, in words.
func (n *Networks) Wrong() []string {
	if n == nil {
		return nil
	}
	return n.wrong
}

// Holds reports whether an address is in one of the networks; the zero address
// is in none. IPv4 written as IPv6 is IPv4, and a zone counts for nothing.
func (n *Networks) Holds(addr netip.Addr) bool {
	if n == nil || !addr.IsValid() {
		return false
	}
	addr = addr.Unmap().WithZone("")
	after := sort.Search(len(n.spans), func(i int) bool { return n.spans[i].from.Compare(addr) > 0 })
	return after > 0 && addr.Compare(n.spans[after-1].to) <= 0
}
