package router

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// What a header of the PROXY protocol may be long
// (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt, 2.1 and 2.2).
const (
	maxProxy1 = 107
	maxProxy2 = 16 + 2048 // addresses, and what some proxies add
	minProxy  = 15        // of both versions: more may be read before its version is known
)

var (
	errProxyHeader  = errors.New("no header of the PROXY protocol, or one that breaks its rules")
	proxySignature2 = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

// parseProxyHeader reads a header of the PROXY protocol, version 1 or 2, from
// the start of buf. need is how many bytes buf must have for it to say more; 0
// when the header is whole. from is the client; invalid when the proxy speaks
// for itself or of no TCP connection.
func parseProxyHeader(buf []byte) (from netip.AddrPort, need int, err error) {
	if len(buf) < minProxy {
		return from, minProxy, nil
	}
	if bytes.HasPrefix(buf, proxySignature2) {
		return parseProxy2(buf)
	}
	if !bytes.HasPrefix(buf, []byte("PROXY ")) {
		return from, 0, errProxyHeader
	}
	end := bytes.IndexByte(buf, '\n')
	switch {
	case end < 0 && len(buf) < maxProxy1:
		return from, len(buf) + 1, nil
	case end < 0 || end >= maxProxy1 || buf[end-1] != '\r' || end+1 != len(buf):
		return from, 0, errProxyHeader
	}
	from, err = parseProxy1(string(buf[len("PROXY ") : end-1]))
	return from, 0, err
}

// parseProxy1 reads what is between "PROXY " and the line's end.
func parseProxy1(text string) (from netip.AddrPort, err error) {
	if text == "UNKNOWN" || strings.HasPrefix(text, "UNKNOWN ") {
		return from, nil
	}
	words := strings.Split(text, " ")
	if len(words) != 5 || words[0] != "TCP4" && words[0] != "TCP6" {
		return from, errProxyHeader
	}
	from, ok := proxyAddr(words[1], words[3], words[0] == "TCP4")
	if _, too := proxyAddr(words[2], words[4], words[0] == "TCP4"); !ok || !too {
		return netip.AddrPort{}, errProxyHeader
	}
	return from, nil
}

func proxyAddr(host, port string, four bool) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" || addr.Is4() != four {
		return netip.AddrPort{}, false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || len(port) > 1 && port[0] == '0' || port[0] == '+' {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), true
}

func parseProxy2(buf []byte) (from netip.AddrPort, need int, err error) {
	if len(buf) < 16 {
		return from, 16, nil
	}
	length := 16 + int(binary.BigEndian.Uint16(buf[14:]))
	command, family := buf[12], buf[13]
	switch {
	case command != 0x20 && command != 0x21, length > maxProxy2, len(buf) > length:
		return from, 0, errProxyHeader
	case len(buf) < length:
		return from, length, nil
	case command == 0x20: // LOCAL: the proxy itself asks
		return from, 0, nil
	}
	size := 0
	switch family {
	case 0x11:
		size = 4
	case 0x21:
		size = 16
	default: // no TCP connection
		return from, 0, nil
	}
	body := buf[16:]
	if len(body) < 2*size+4 {
		return from, 0, errProxyHeader
	}
	addr, _ := netip.AddrFromSlice(body[:size])
	return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(body[2*size:])), 0, nil
}

// readProxyHeader reads a header and no byte more.
func readProxyHeader(conn io.Reader) (netip.AddrPort, error) {
	buf := make([]byte, 0, maxProxy1)
	for {
		from, need, err := parseProxyHeader(buf)
		if need == 0 || err != nil {
			return from, err
		}
		more := make([]byte, need-len(buf))
		if _, err := io.ReadFull(conn, more); err != nil {
			return from, err
		}
		buf = append(buf, more...)
	}
}
