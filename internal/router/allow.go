package router

import (
	"net/netip"
	"strings"

	"github.com/slipway-paas/slipway/internal/match"
)

// allowed reports whether a client may come in, who may when nobody is named.
// One whose address cannot be read may only then.
func allowed(n *match.Networks, client string) bool {
	if n == nil {
		return true
	}
	addr, err := netip.ParseAddr(client)
	return err == nil && n.Holds(addr)
}

// bareAddress is the address that a proxy wrote into X-Forwarded-For, without
// the port, the brackets and the IPv6 form of IPv4 that some write with it.
// What is no address stays as it is.
func bareAddress(hop string) string {
	hop = strings.TrimSpace(hop)
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(hop, "["), "]"))
	if err != nil {
		with, err := netip.ParseAddrPort(hop)
		if err != nil {
			return hop
		}
		addr = with.Addr()
	}
	return addr.Unmap().String()
}
