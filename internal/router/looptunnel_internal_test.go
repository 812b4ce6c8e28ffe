package router

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// pair is a connection to itself that takes much, its ends in order.
func pair(t *testing.T) (near, far int) {
	t.Helper()
	both, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(both[0]); unix.Close(both[1]) })
	for _, fd := range both {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<20); err != nil {
			t.Fatal(err)
		}
	}
	return both[0], both[1]
}

func TestATunnelThatBreaksOffHoldsNothingInTheBufferOfAll(t *testing.T) {
	l, _ := still(t, 0)
	j := &joint{loop: l}
	client, fromClient := pair(t)
	app, toApp := pair(t)
	j.client = limb{fd: client, of: j, other: &j.app, readable: true}
	j.app = limb{fd: app, of: j, other: &j.client}
	var said, got []byte
	fresh := make([]byte, slabSize)
	chacha := rand.NewChaCha8([32]byte{1})
	// More is always there, as with a client that is faster than the loop.
	for more := true; more; {
		chacha.Read(fresh)
		n, err := unix.Write(fromClient, fresh)
		more = err == nil && len(said) < 64*slabSize
		said = append(said, fresh[:max(n, 0)]...)
	}
	room := make([]byte, 64*slabSize)
	for range 1000 {
		j.client.readable = true
		j.client.carry(l)
		clear(l.common()) // others have their turn
		n, _ := unix.Read(toApp, room)
		if got = append(got, room[:max(n, 0)]...); len(got) >= len(said) {
			break
		}
	}
	if len(said) <= maxPieces*slabSize || len(l.again) == 0 {
		t.Fatalf("%d bytes fit, too few to break off", len(said))
	}
	if !bytes.Equal(got, said) {
		t.Errorf("the app got %d bytes of %d, and not the client's", len(got), len(said))
	}
}
