package router

import (
	"log/slog"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// told is a handler that counts its events.
type told int

func (h *told) event(*loop, uint32) { *h++ }
func (h *told) tick(*loop)          {}
func (h *told) shut(*loop)          {}

func TestAnEventOfADescriptorThatHasClosedIsNotToldToItsNextOwner(t *testing.T) {
	l, err := newLoop(New(slog.New(slog.DiscardHandler), Options{Loops: 1}))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	pipe := make([]int, 2)
	if err := unix.Pipe2(pipe, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	var first, second told
	if err := l.register(pipe[1], &first, edges); err != nil {
		t.Fatal(err)
	}
	events := make([]unix.EpollEvent, 1)
	if n := rawEpollWait(l.epoll, events, 0); n != 1 {
		t.Fatalf("%d events", n)
	}
	l.release(pipe[1])
	if err := l.register(pipe[1], &second, edges); err != nil {
		t.Fatal(err)
	}
	l.dispatch(events)
	if rawEpollWait(l.epoll, events, 0) == 1 {
		l.dispatch(events)
	}
	if first != 0 || second != 1 {
		t.Errorf("the first owner was told %d times, the second %d times; want 0 and 1", first, second)
	}
}

func TestALoopThatIsToldOfAConnectionTakesItHoweverLateItIs(t *testing.T) {
	l, err := newLoop(New(slog.New(slog.DiscardHandler), Options{Loops: 1}))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	fd, err := duplicate(ln.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	door := &loopListener{Listener: ln, fd: fd, loop: l, done: make(chan struct{})}
	if err := door.listen(l); err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	door.take(l, 0) // its turn was over before it began
	if taken := l.clients.Load(); taken != 1 {
		t.Errorf("%d were taken", taken)
	}
	l.close()
}
