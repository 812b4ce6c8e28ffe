package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOnlyTheEdgeOfThisMachineSpeaksForOthers(t *testing.T) {
	for _, c := range []struct{ peer, forwarded, proto, from, scheme string }{
		{"192.0.2.1:1234", "198.51.100.1", "https", "192.0.2.1", "http"},
		{"127.0.0.1:1234", "", "", "127.0.0.1", "http"},
		{"127.0.0.1:1234", "198.51.100.1", "https", "127.0.0.1", "http"}, // an app, maybe
		{"[::1]:1234", "2001:db8::1", "HTTPS", "::1", "http"},
		{"@", "10.0.0.1, 198.51.100.1", "https", "198.51.100.1", "https"},
		{"@", "2001:db8::1", "HTTPS", "2001:db8::1", "https"},
		{"@", "nonsense\x00", "ftp", "@", "http"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		r.Header.Set("X-Forwarded-For", c.forwarded)
		r.Header.Set("X-Forwarded-Proto", c.proto)
		if got := remote(r); got != c.from {
			t.Errorf("%+v: from %s", c, got)
		}
		if got := (&call{r: r}).scheme(); got != c.scheme {
			t.Errorf("%+v: scheme %s", c, got)
		}
	}
}

// pipes is a listener of one connection in memory.
type pipes struct{ conns chan net.Conn }

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func TestABodyThatDoesNotComeEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		web := NewHTTP(log, New(log, nil, nil, nil, Options{}))
		listener := pipes{make(chan net.Conn, 1)}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = web.Serve(listener)
		}()
		client, serving := net.Pipe()
		listener.conns <- serving
		began := time.Now()
		go func() {
			_, _ = io.WriteString(client, "POST /v2/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
		}()
		answer, _ := io.ReadAll(client)
		if !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") || time.Since(began) != bodyTimeout {
			t.Errorf("after %s: %s", time.Since(began), answer)
		}
		client.Close()
		close(listener.conns)
		<-done
		_ = web.Shutdown(context.Background())
	})
}
