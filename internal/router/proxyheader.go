package router

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
)

// proxyHeader says who a connection is from, in the PROXY protocol
// (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt), version 1 or
// 2; nothing for another version.
func proxyHeader(version int, conn net.Conn) []byte {
	return proxyLine(version, addrOf(conn.RemoteAddr()), addrOf(conn.LocalAddr()))
}

// proxyLine is proxyHeader for a connection from one address to another.
func proxyLine(version int, from, to netip.AddrPort) []byte {
	known := from.IsValid() && to.IsValid() && from.Addr().Is4() == to.Addr().Is4()
	switch {
	case version == 1 && !known:
		return []byte("PROXY UNKNOWN\r\n")
	case version == 1:
		family := "TCP4"
		if from.Addr().Is6() {
			family = "TCP6"
		}
		return fmt.Appendf(nil, "PROXY %s %s %s %d %d\r\n", family, from.Addr(), to.Addr(), from.Port(), to.Port())
	case version == 2:
		return proxyHeader2(from, to, known)
	}
	return nil
}

func proxyHeader2(from, to netip.AddrPort, known bool) []byte {
	header := []byte("\r\n\r\n\x00\r\nQUIT\n\x21") // version 2, PROXY
	if !known {
		return append(header, 0x00, 0, 0) // unspecified, no addresses
	}
	family := byte(0x11) // TCP over IPv4
	if from.Addr().Is6() {
		family = 0x21
	}
	var body []byte
	body = append(append(body, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	body = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(body, from.Port()), to.Port())
	return append(binary.BigEndian.AppendUint16(append(header, family), uint16(len(body))), body...)
}

// addrOf is a TCP address, IPv4 written as IPv6 as IPv4; the zero one is none.
func addrOf(addr net.Addr) netip.AddrPort {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
