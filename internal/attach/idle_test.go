package attach_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/slipway-paas/slipway/internal/attach"
	"github.com/slipway-paas/slipway/internal/platform"
)

// wire is a network of one connection in memory, on which time is the test's.
type wire struct {
	ends   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newWire() *wire { return &wire{ends: make(chan net.Conn), closed: make(chan struct{})} }

func (w *wire) Accept() (net.Conn, error) {
	select {
	case conn := <-w.ends:
		return conn, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

func (w *wire) Close() error   { w.once.Do(func() { close(w.closed) }); return nil }
func (w *wire) Addr() net.Addr { return &net.UnixAddr{} }

// buffered takes what is written as a kernel does, whether it is read or not.
type buffered struct {
	net.Conn
	out    chan []byte
	closed chan struct{}
	once   sync.Once
}

func newBuffered(conn net.Conn) *buffered {
	b := &buffered{Conn: conn, out: make(chan []byte, 1024), closed: make(chan struct{})}
	go func() {
		for {
			select {
			case p := <-b.out:
				if _, err := b.Conn.Write(p); err != nil {
					return
				}
			case <-b.closed:
				return
			}
		}
	}()
	return b
}

func (b *buffered) Write(p []byte) (int, error) {
	select {
	case b.out <- bytes.Clone(p):
		return len(p), nil
	case <-b.closed:
		return 0, net.ErrClosed
	}
}

func (b *buffered) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Conn.Close()
}

// box is between the two ends, and forgets a connection on which nothing moves,
// as those of networks do. A deaf one swallows what it is given.
type box struct {
	net.Conn
	idle *time.Timer
	mu   sync.Mutex
	deaf bool
}

const forgetful = time.Minute

func newBox(conn net.Conn) *box {
	return &box{Conn: conn, idle: time.AfterFunc(forgetful, func() { conn.Close() })}
}

func (b *box) Write(p []byte) (int, error) {
	b.mu.Lock()
	deaf := b.deaf
	b.mu.Unlock()
	if deaf {
		return len(p), nil
	}
	b.idle.Reset(forgetful)
	return b.Conn.Write(p)
}

func (b *box) deafen() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deaf = true
	b.idle.Stop()
}

// through joins stream with run through a box, until the returned end is called.
func through(t *testing.T, run command) (conn *websocket.Conn, between *box, served chan error, end func()) {
	t.Helper()
	w, served := newWire(), make(chan error, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(answer, r, nil)
		if err == nil {
			err = attach.Serve(context.Background(), conn, attach.Open{}, run)
		}
		served <- err
	})}
	serving := make(chan struct{})
	go func() { defer close(serving); _ = server.Serve(w) }()
	dial := func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		between = newBox(newBuffered(ours))
		w.ends <- newBuffered(theirs)
		return between, nil
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial}}
	conn, _, err := websocket.Dial(t.Context(), "http://far/", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	return conn, between, served, func() {
		between.idle.Stop()
		client.CloseIdleConnections()
		_ = server.Close()
		<-serving
	}
}

func TestACommandThatSaysNothingForHoursIsHeardAtItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, _, served, end := through(t, func(ctx context.Context, stream platform.IO) (int, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(6 * time.Hour):
			}
			_, err := stream.Stdout.Write(bytes.Repeat([]byte("x"), 100_000))
			return 7, err
		})
		defer end()
		var out bytes.Buffer
		exit, err := attach.Join(t.Context(), conn, platform.IO{Stdout: &out})
		if exit != 7 || err != nil || out.Len() != 100_000 {
			t.Errorf("Join = %d, %v with %d bytes", exit, err, out.Len())
		}
		if err := <-served; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
}

func TestACommandWhoseAskerFellSilentEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := make(chan struct{})
		conn, between, served, end := through(t, func(ctx context.Context, _ platform.IO) (int, error) {
			close(began)
			<-ctx.Done()
			return 0, ctx.Err()
		})
		defer end()
		silent, leave := io.Pipe()
		defer leave.Close()
		joined := make(chan error, 1)
		go func() {
			_, err := attach.Join(t.Context(), conn, platform.IO{Stdin: silent})
			joined <- err
		}()
		<-began
		between.deafen() // as a laptop that was closed
		begun := time.Now()
		if err := <-served; !errors.Is(err, platform.ErrUnavailable) || time.Since(begun) > 2*time.Minute {
			t.Errorf("Serve = %v after %s", err, time.Since(begun))
		}
		if err := <-joined; !errors.Is(err, platform.ErrUnavailable) {
			t.Errorf("Join = %v", err)
		}
	})
}
