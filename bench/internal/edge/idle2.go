package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
)

// ask2 is how a connection of HTTP/2 begins that asks for / (RFC 9113, 3.4;
// RFC 7541, appendix A): the preface, empty SETTINGS, and one block.
var ask2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" +
	"\x00\x00" + string(rune(5+len(host))) + "\x01\x05\x00\x00\x00\x01" + "\x82\x84\x87\x01" + string(rune(len(host))) + host

// idle2 is a connection of HTTP/2 that was answered once.
func idle2(p proxy) (net.Conn, error) {
	secure := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, ServerName: host, NextProtos: []string{"h2"}}} //nolint:gosec // its own certificate
	conn, err := secure.DialContext(context.Background(), "tcp", p.secure)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, ask2); err != nil {
		return nil, err
	}
	for {
		var head [9]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return nil, err
		}
		size := int64(binary.BigEndian.Uint32(head[:4]) >> 8)
		kind, ends := head[3], head[4]&1 != 0
		if _, err := io.CopyN(io.Discard, conn, size); err != nil {
			return nil, err
		}
		if kind <= 1 && ends { // DATA or HEADERS
			_, err := io.WriteString(conn, "\x00\x00\x00\x04\x01\x00\x00\x00\x00") // its settings are well
			return conn, err
		}
	}
}
