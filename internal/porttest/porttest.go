// Package porttest hands ports to tests that start programs which cannot be
// handed a listener: ports of no other test on this machine, and of no connection.
package porttest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"

	"golang.org/x/sys/unix"
)

// The kernel gives connections of its own ports from 32768, the platform gives
// instances those from 20000.
const first, last = 10000, 19999

// Free returns the first of n ports in a row that nobody listens on. No other
// process that asks here gets one of them while this one lives, nor does this
// one again. Safe for concurrent use.
func Free(n int) (int, error) {
	for range 1000 {
		at := first + rand.IntN(last-first+2-n)
		if claimAll(at, n) {
			return at, nil
		}
	}
	return 0, fmt.Errorf("there are no %d free ports from %d to %d", n, first, last)
}

func claimAll(at, n int) bool {
	for port := at; port < at+n; port++ {
		if !claim(port) || !free(port) {
			return false // what was claimed of them is lost, and there are many
		}
	}
	return true
}

// claim takes a name that the kernel gives to one process, and takes back when
// that ends, however it does.
func claim(port int) bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: fmt.Sprintf("@slipway-test-port-%d", port)}); err != nil {
		_ = unix.Close(fd)
		return false
	}
	return true
}

func free(port int) bool {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	udp, err := net.ListenPacket("udp", address)
	if err == nil {
		err = udp.Close()
	}
	return errors.Join(err, tcp.Close()) == nil
}
