package node

import (
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-paas/slipway/internal/router"
)

// conversation is that of an older node with a newer one.
func conversation(t *testing.T) (from, to *net.UnixConn) {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialled, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close(); accepted.Close() })
	return accepted.(*net.UnixConn), dialled.(*net.UnixConn)
}

// passable is a connection that the older node has, and its other end.
func passable(t *testing.T) (some []router.Passed, client *os.File) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	client = os.NewFile(uintptr(pair[1]), "client")
	t.Cleanup(func() { client.Close() })
	return []router.Passed{{FD: pair[0], Client: netip.MustParseAddrPort("192.0.2.1:1")}}, client
}

func closePassed(some []router.Passed) {
	for _, p := range some {
		unix.Close(p.FD)
	}
}

func TestWhoWasStoppedFindsTheConnectionsTakenBack(t *testing.T) {
	from, to := conversation(t)
	some, client := passable(t)
	if err := passTo(from, some, time.Millisecond); err == nil {
		t.Fatal("somebody has them")
	}
	if late, err := takeFrom(to); err == nil {
		t.Error("both serve them")
		closePassed(late)
	}
	closePassed(some) // who has not taken them does not hold them either
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("somebody holds them: %v", err)
	}
}

func TestAConnectionIsNeverOfTwoNodesNorOfNone(t *testing.T) {
	passed := 0
	for n := range 500 {
		from, to := conversation(t)
		some, _ := passable(t)
		took := make(chan error, 1)
		go func() {
			there, err := takeFrom(to)
			closePassed(there)
			took <- err
		}()
		gave := passTo(from, some, time.Duration(n)*time.Microsecond)
		closePassed(some)
		from.Close() // as at the end of the older one: nothing that was not taken is taken any more
		if got := <-took; (got == nil) != (gave == nil) {
			t.Fatalf("the older one's: %v, the newer one's: %v", gave, got)
		}
		if gave == nil {
			passed++
		}
		to.Close()
	}
	t.Logf("%d of 500 passed", passed)
}

func TestWhatADeadNodeHasPassedIsTaken(t *testing.T) {
	from, to := conversation(t)
	some, client := passable(t)
	message := []byte(`{"clients":["192.0.2.1:1"]}`)
	if _, _, err := from.WriteMsgUnix(message, unix.UnixRights(some[0].FD), nil); err != nil {
		t.Fatal(err)
	}
	closePassed(some)
	from.Close()
	there, err := takeFrom(to)
	if err != nil || len(there) != 1 {
		t.Fatalf("it has %v, %v", there, err)
	}
	if _, err := unix.Write(there[0].FD, []byte("x")); err != nil {
		t.Error(err)
	}
	closePassed(there)
	if said, err := io.ReadAll(client); err != nil || string(said) != "x" {
		t.Errorf("the client got %q, %v", said, err)
	}
}

func TestWhatIsHandedOverAndIsNoListenerIsLetGo(t *testing.T) {
	from, to := conversation(t)
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := tryLock(path)
	if err != nil || lock == nil {
		t.Fatal(err)
	}
	if err := switchProtocols(from, "handover"); err != nil {
		t.Fatal(err)
	}
	message := []byte(`{"listeners":["http :1"]}`)
	if _, _, err := from.WriteMsgUnix(message, unix.UnixRights(int(lock.Fd()), int(lock.Fd())), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := receiveEstate(t.Context(), to); err == nil {
		t.Fatal("a file is listened at")
	}
	lock.Close() // of the older node, which dies
	again, err := tryLock(path)
	if err != nil || again == nil {
		t.Fatal("nobody has the lock, and nobody gets it", err)
	}
	again.Close()
}

func TestAListenerThatIsKeptStaysWhenItIsClosed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fd, ok, err := sameSocket(ln)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	ln.Close()
	if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens != 1 {
		t.Errorf("it is %d, %v", listens, err)
	}
	unix.Close(fd)
	if _, ok, err := sameSocket(ln); ok || err != nil {
		t.Errorf("one that is closed: %v, %v", ok, err)
	}
}
