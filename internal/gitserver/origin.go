package gitserver

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// origin is the address a request comes from: the peer's, or the last one that
// this machine's own edge names, which comes over a unix socket and has no
// address. Earlier ones are the client's claim.
func origin(r *http.Request) string {
	peer := hostOf(r.RemoteAddr)
	if _, err := netip.ParseAddr(peer); err == nil {
		return peer
	}
	named := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	if last, err := netip.ParseAddr(strings.TrimSpace(named[len(named)-1])); err == nil {
		return last.String()
	}
	return peer
}

// hostOf is an address without its port.
func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}
