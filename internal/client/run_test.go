package client_test

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
	"github.com/slipway-paas/slipway/internal/client"
	"github.com/slipway-paas/slipway/internal/platform"
)

// upper is a command that shouts its input and exits with 3.
func upper(_ context.Context, stream platform.IO) (int, error) {
	text, err := io.ReadAll(stream.Stdin)
	if err != nil {
		return 0, err
	}
	_, err = stream.Stdout.Write(bytes.ToUpper(text))
	return 3, err
}

// runs joins every request to upper and notes what was asked.
func runs(t *testing.T, asked *string) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		*asked = r.Header.Get("Authorization") + " " + r.RequestURI
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		_ = attach.Serve(r.Context(), conn, attach.Open{}, upper)
	}
}

func TestARunIsJoinedToItsCommand(t *testing.T) {
	var asked string
	c := serve(t, runs(t, &asked))
	var out bytes.Buffer
	exit, err := c.Attach(t.Context(), "blog", "tr a-z A-Z", platform.IO{Stdin: strings.NewReader("hello"), Stdout: &out})
	if err != nil || exit != 3 || out.String() != "HELLO" {
		t.Fatalf("got %d, %v, %q", exit, err, out.String())
	}
	if asked != "token 0123456789abcdef /v2/apps/blog/run?command=tr+a-z+A-Z" {
		t.Fatalf("asked %s", asked)
	}
}

func TestARunOverTLSSpeaksHTTP1(t *testing.T) {
	var asked string
	server := httptest.NewUnstartedServer(runs(t, &asked))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	c := dial(t, client.Options{URL: server.URL, Insecure: true})
	var out bytes.Buffer
	exit, err := c.Attach(t.Context(), "blog", "sh", platform.IO{
		Stdin: strings.NewReader("hello"), Stdout: &out,
		Terminal: &platform.Terminal{Term: "xterm", Size: platform.WindowSize{Rows: 50, Cols: 132}},
	})
	if err != nil || exit != 3 || out.String() != "HELLO" {
		t.Fatalf("got %d, %v, %q", exit, err, out.String())
	}
	if asked != " /v2/apps/blog/run?cols=132&command=sh&rows=50&term=xterm&tty=1" {
		t.Fatalf("asked %s", asked)
	}
}

func TestARunThatIsRefusedSaysWhy(t *testing.T) {
	const why = "No build associated with this release to run this command"
	c := serve(t, answers(400, "application/json", `{"detail":"`+why+`"}`))
	_, err := c.Attach(t.Context(), "blog", "sh", platform.IO{})
	if !errors.Is(err, platform.ErrInvalid) || err.Error() != why {
		t.Fatalf("got %v", err)
	}
}
