package router

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxHost is the longest host name (RFC 1035) with room for a port.
const maxHost = 253 + 6

// normalHost is the name a Host header stands for: lower case, without port
// and without the final dot. It reports false for what is no name or address.
func normalHost(raw string) (string, bool) {
	if raw == "" || len(raw) > maxHost {
		return "", false
	}
	host, ok := withoutPort(raw)
	host = strings.TrimSuffix(host, ".")
	if !ok || host == "" || host[0] == '.' {
		return "", false
	}
	lower := true
	for i := range len(host) {
		switch c := host[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '.', c == ':':
		case c >= 'A' && c <= 'Z':
			lower = false
		default:
			return "", false
		}
	}
	if !lower {
		host = strings.ToLower(host)
	}
	return host, true
}

// withoutPort takes the port, if any, off a Host header, and the brackets off an
// IPv6 address (RFC 3986, 3.2.2 and 3.2.3). It reports false for what apps might
// read in another way: a port that is no number, and colons that are in no
// address.
func withoutPort(raw string) (host string, ok bool) {
	if inner, bracketed := strings.CutPrefix(raw, "["); bracketed {
		host, port, closed := strings.Cut(inner, "]")
		return host, closed && isIPv6(host) && (port == "" || port[0] == ':' && isPort(port[1:]))
	}
	host, port, _ := strings.Cut(raw, ":")
	if isPort(port) {
		return host, true
	}
	return raw, isIPv6(raw)
}

// isPort reports whether text is a port's number, or nothing, which is the usual one.
func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return text == "" || err == nil && text[0] != '+'
}

func isIPv6(text string) bool {
	addr, err := netip.ParseAddr(text)
	return err == nil && addr.Is6() && addr.Zone() == ""
}

// bareHost is an address without its port, as text.
func bareHost(addr netip.AddrPort) string { return addr.Addr().WithZone("").String() }

// portOf is the port of a Host header, if it has one.
func portOf(hostport []byte) []byte {
	colon := bytes.LastIndexByte(hostport, ':')
	if colon < 0 || bytes.IndexByte(hostport[:colon], ':') >= 0 && hostport[colon-1] != ']' {
		return nil // without, or an IPv6 address without brackets
	}
	if bytes.IndexByte(hostport[colon:], ']') >= 0 {
		return nil
	}
	return hostport[colon+1:]
}

// anyHost is the pattern of every host that nobody else has.
const anyHost = "*"

// normalPattern is normalHost for the hosts of a route, which may begin with
// "*.", or be anyHost.
func normalPattern(pattern string) (string, bool) {
	if pattern == anyHost {
		return anyHost, true
	}
	if suffix, ok := strings.CutPrefix(pattern, "*."); ok {
		host, ok := normalHost(suffix)
		return "*." + host, ok
	}
	return normalHost(pattern)
}

// normalPatterns are the normal forms of patterns, sorted and each once, and
// what is wrong with the others.
func normalPatterns(patterns []string) (normal, wrong []string) {
	for _, pattern := range patterns {
		if host, ok := normalPattern(pattern); ok {
			normal = append(normal, host)
		} else {
			wrong = append(wrong, fmt.Sprintf("%q is no host name", pattern))
		}
	}
	slices.Sort(normal)
	return slices.Compact(normal), wrong
}
