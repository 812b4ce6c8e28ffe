package attach_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/slipway-paas/slipway/internal/attach"
	"github.com/slipway-paas/slipway/internal/leaktest"
	"github.com/slipway-paas/slipway/internal/platform"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

type command func(context.Context, platform.IO) (int, error)

// dial connects to a server that serves run; served gets what Serve returned.
func dial(t *testing.T, open attach.Open, run command) (conn *websocket.Conn, served <-chan error) {
	t.Helper()
	done := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			done <- err
			return
		}
		done <- attach.Serve(context.Background(), conn, open, run)
	}))
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() { server.Close(); client.CloseIdleConnections() })
	conn, _, err := websocket.Dial(t.Context(), server.URL, &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	return conn, done
}

func TestEverythingArrivesInOrderBeforeTheExit(t *testing.T) {
	input := bytes.Repeat([]byte("the quick brown fox\n"), 200_000) // 4 MB, many windows
	conn, served := dial(t, attach.Open{}, func(_ context.Context, stream platform.IO) (int, error) {
		if _, err := io.Copy(stream.Stdout, stream.Stdin); err != nil {
			return 1, err
		}
		_, err := io.WriteString(stream.Stderr, "done")
		return 7, err
	})
	var out, errs bytes.Buffer
	exit, err := attach.Join(t.Context(), conn, platform.IO{Stdin: bytes.NewReader(input), Stdout: &out, Stderr: &errs})
	if err != nil || exit != 7 {
		t.Fatalf("Join = %d, %v", exit, err)
	}
	if !bytes.Equal(out.Bytes(), input) || errs.String() != "done" {
		t.Errorf("got %d bytes of output and %q, want %d and \"done\"", out.Len(), errs.String(), len(input))
	}
	if err := <-served; err != nil {
		t.Errorf("Serve = %v", err)
	}
}

func TestACommandWithoutStdinSeesItsEnd(t *testing.T) {
	conn, _ := dial(t, attach.Open{}, func(_ context.Context, stream platform.IO) (int, error) {
		all, err := io.ReadAll(stream.Stdin)
		return len(all), err
	})
	if exit, err := attach.Join(t.Context(), conn, platform.IO{}); exit != 0 || err != nil {
		t.Errorf("Join = %d, %v", exit, err)
	}
}

func TestSignalsAndSizesOvertakeInputNobodyReads(t *testing.T) {
	signals := make(chan string, 1)
	resize := make(chan platform.WindowSize, 1)
	open := attach.Open{Terminal: true, Term: "xterm", Size: platform.WindowSize{Rows: 24, Cols: 80}}
	var first, second platform.WindowSize
	var term string
	conn, _ := dial(t, open, func(_ context.Context, stream platform.IO) (int, error) {
		first, term = stream.Terminal.Size, stream.Terminal.Term
		second = <-stream.Terminal.Resize
		return len(<-stream.Signals), nil
	})
	endless := io.MultiReader(bytes.NewReader(make([]byte, 2*attach.Window)), readerFunc(func([]byte) (int, error) {
		return 0, io.EOF
	}))
	resize <- platform.WindowSize{Rows: 50, Cols: 132}
	signals <- "INT"
	exit, err := attach.Join(t.Context(), conn, platform.IO{
		Stdin: endless, Stdout: io.Discard, Signals: signals, Terminal: &platform.Terminal{Resize: resize},
	})
	if exit != 3 || err != nil {
		t.Errorf("Join = %d, %v", exit, err)
	}
	if first != open.Size || term != "xterm" || second != (platform.WindowSize{Rows: 50, Cols: 132}) {
		t.Errorf("sizes %v, %v, term %q", first, second, term)
	}
}

func TestTheCommandEndsWhenItsAskerLeaves(t *testing.T) {
	conn, served := dial(t, attach.Open{}, func(ctx context.Context, stream platform.IO) (int, error) {
		_, _ = io.WriteString(stream.Stdout, "here")
		<-ctx.Done()
		return 0, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	leave := writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
	if _, err := attach.Join(ctx, conn, platform.IO{Stdout: leave}); !errors.Is(err, context.Canceled) {
		t.Errorf("Join = %v", err)
	}
	if err := <-served; !errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("Serve = %v", err)
	}
}

func TestWritesBlockWhileTheAskerConsumesNothing(t *testing.T) {
	written := make(chan struct{})
	conn, _ := dial(t, attach.Open{}, func(_ context.Context, stream platform.IO) (int, error) {
		_, err := stream.Stdout.Write(make([]byte, attach.Window))
		if err == nil {
			_, err = stream.Stdout.Write(make([]byte, attach.Window))
		}
		close(written)
		return 0, err
	})
	total, late := 0, false
	slow := writerFunc(func(p []byte) (int, error) {
		if total == 0 { // what is held back cannot have been written yet
			select {
			case <-written:
				late = true
			default:
			}
		}
		total += len(p)
		return len(p), nil
	})
	if _, err := attach.Join(t.Context(), conn, platform.IO{Stdout: slow}); err != nil {
		t.Fatal(err)
	}
	if late || total != 2*attach.Window {
		t.Errorf("wrote %d bytes, without waiting: %v", total, late)
	}
}

func TestAFailureKeepsItsKindAndWords(t *testing.T) {
	conn, _ := dial(t, attach.Open{}, func(context.Context, platform.IO) (int, error) {
		return 0, &platform.NotFoundError{Kind: "image", ID: "blog"}
	})
	_, err := attach.Join(t.Context(), conn, platform.IO{})
	if !errors.Is(err, platform.ErrNotFound) || err.Error() != `no image "blog"` {
		t.Errorf("Join = %v", err)
	}
}

func TestABrokenConnectionIsNotAnExit(t *testing.T) {
	var conn *websocket.Conn
	gone := make(chan struct{})
	conn, _ = dial(t, attach.Open{}, func(ctx context.Context, stream platform.IO) (int, error) {
		_, _ = io.WriteString(stream.Stdout, "last words")
		<-ctx.Done()
		close(gone)
		return 0, nil
	})
	cut := writerFunc(func(p []byte) (int, error) { go conn.CloseNow(); return len(p), nil })
	if _, err := attach.Join(t.Context(), conn, platform.IO{Stdout: cut}); !errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("Join = %v", err)
	}
	<-gone
}

func TestRuleBreakersAreHungUpOn(t *testing.T) {
	for name, message := range map[string]string{
		"unknown channel": "\x09hello",
		"bad control":     "\x03{",
		"stray credit":    `` + "\x03" + `{"credit":1}`,
		"wrong direction": "\x01output of the asker",
		"too long":        "\x00" + strings.Repeat("x", 1<<20),
	} {
		conn, served := dial(t, attach.Open{}, func(ctx context.Context, _ platform.IO) (int, error) {
			<-ctx.Done()
			return 0, nil
		})
		_ = conn.Write(t.Context(), websocket.MessageBinary, []byte(message))
		if err := <-served; err == nil {
			t.Errorf("%s: served to the end", name)
		}
		conn.CloseNow()
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
