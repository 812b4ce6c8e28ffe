package router_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/router"
)

// socket is a WebSocket to an app that says first and then waits for its end.
func (e *edge) socket(first string, upgraded time.Duration) (conn net.Conn, rd *bufio.Reader, instance string) {
	e.t.Helper()
	addr := backend(e.t, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n%s", first)
		_, _ = io.Copy(io.Discard, rw)
	})
	rt := route("blog", 1, addr)
	rt.Edge.Timeouts.Upgraded = upgraded
	e.SetRoute("blog", rt)
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(hangs))
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	rd = bufio.NewReader(conn)
	if res, err := http.ReadResponse(rd, nil); err != nil || res.StatusCode != 101 {
		e.t.Fatal(res, err)
	}
	got := make([]byte, len(first))
	if _, err := io.ReadFull(rd, got); err != nil || string(got) != first {
		e.t.Fatalf("got %q, %v", got, err)
	}
	return conn, rd, "at-" + addr
}

const farewell = "\x88\x02\x03\xe9" // a close frame with 1001

func TestAWebSocketIsToldThatItEndsOnceItsTimeIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		sent, want string
		upgraded   time.Duration
	}{
		"by its app's own time":           {"\x81\x05hello", farewell, time.Millisecond},
		"when the instance's time is":     {"\x81\x05hello\x81\x7e\x00\x03abc", farewell, 0},
		"but not in the middle of a word": {"\x81\x05hel", "", time.Millisecond},
		"nor of a word's length":          {"\x81\x05hello\x81\x7e\x00", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := serve(t, router.Options{})
			conn, rd, instance := e.socket(c.sent, c.upgraded)
			ctx := t.Context()
			if c.upgraded == 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Millisecond)
				defer cancel()
			}
			drained := make(chan error, 1)
			go func() { drained <- e.Drain(ctx, instance, 0) }()
			got := make([]byte, len(c.want))
			if _, err := io.ReadFull(rd, got); err != nil || string(got) != c.want {
				t.Errorf("got %q, %v", got, err)
			}
			if c.want != "" {
				conn.Close() // as who was told does
			}
			if err := <-drained; err != nil {
				t.Error(err)
			}
			if n := e.InFlight(instance); n != 0 {
				t.Errorf("%d are left", n)
			}
		})
	}
}

func TestAWebSocketThatDoesNotListenIsClosed(t *testing.T) {
	e := serve(t, router.Options{})
	_, rd, instance := e.socket("\x81\x05hello", time.Millisecond)
	if err := e.Drain(t.Context(), instance, 0); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(rd); string(rest) != farewell || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestRequestsHaveNoMoreTimeBecauseWebSocketsHave(t *testing.T) {
	e := serve(t, router.Options{})
	hang, came := make(chan struct{}), make(chan struct{})
	slow := backend(t, func(http.ResponseWriter, *http.Request) { close(came); <-hang })
	t.Cleanup(func() { close(hang) })
	rt := route("blog", 1, slow)
	rt.Edge.Timeouts.Upgraded = time.Hour
	e.SetRoute("blog", rt)
	visitor := client(t)
	go func() { _, _ = fetch(visitor, e.request("GET", "blog.test", "/", nil)) }() // ends with the backend
	<-came
	if err := e.Drain(t.Context(), "at-"+slow, time.Millisecond); err == nil {
		t.Error("it was drained with a request open")
	}
}

func TestAWebSocketThatHasMoreTimeThanRequestsIsWaitedFor(t *testing.T) {
	e := serve(t, router.Options{})
	conn, _, instance := e.socket("\x81\x05hello", time.Hour)
	drained := make(chan error, 1)
	go func() { drained <- e.Drain(t.Context(), instance, time.Millisecond) }()
	fmt.Fprint(conn, "\x81\x80\x00\x00\x00\x00") // it goes on meanwhile
	select {
	case err := <-drained:
		t.Errorf("it was not waited for: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	conn.Close()
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestWhoStopsWaitingForADrainCutsNobodyOff(t *testing.T) {
	e := serve(t, router.Options{})
	conn, _, instance := e.socket("\x81\x05hello", 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Drain(ctx, instance, 0); err == nil {
		t.Error("it was drained")
	}
	if n := e.InFlight(instance); n != 1 {
		t.Errorf("%d are left", n)
	}
	conn.Close()
}

func TestAWebSocketIsToldThatItsRouterEnds(t *testing.T) {
	e := serve(t, router.Options{})
	conn, rd, _ := e.socket("\x81\x05hello", 0)
	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan error, 1)
	go func() { drained <- e.Drained(ctx) }()
	fmt.Fprint(conn, "\x81\x80\x00\x00\x00\x00") // it goes on meanwhile
	cancel()
	got, err := io.ReadAll(rd) // who goes on may be reset then
	if string(got) != farewell || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %q, %v", got, err)
	}
	if err := <-drained; err == nil {
		t.Error("nothing was cut off")
	}
}
