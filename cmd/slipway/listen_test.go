package main

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func TestADoorIsOfPlainTCP(t *testing.T) {
	ln, err := listen("--http", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	spoken := 0
	if failed := raw.Control(func(fd uintptr) { spoken, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL) }); failed != nil || err != nil {
		t.Fatal(failed, err)
	}
	if spoken != unix.IPPROTO_TCP {
		t.Errorf("what --http opens speaks protocol %d, not TCP", spoken)
	}
}
