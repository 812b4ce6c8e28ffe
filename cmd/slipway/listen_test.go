package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/platform"
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

func TestADoorThatIsTakenIsAConflictThatNamesItsHolder(t *testing.T) {
	ln, err := listen("--http", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, err = listen("--api", ln.Addr().String())
	want := fmt.Sprintf("--api %s is taken by", ln.Addr())
	if !errors.Is(err, platform.ErrConflict) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Errorf("got %v", err)
	}
}
