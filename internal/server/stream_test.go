package server_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/slipway-paas/slipway/internal/attach"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/server"
)

// dial opens an attached command of the user.
func (d *door) dial(user, path string) (*websocket.Conn, *http.Response, error) {
	header := http.Header{"Authorization": {"token " + d.tokens[user]}}
	return websocket.Dial(d.t.Context(), "ws"+strings.TrimPrefix(d.url, "http")+path, &websocket.DialOptions{HTTPHeader: header})
}

func TestStreamsOfWhomTheAppIsNoLongerSharedWithEnd(t *testing.T) {
	d := open(t)
	server.Recheck(d.web.Config.Handler, time.Millisecond)
	d.expect("bob", "POST", "/v2/apps/blog/perms/", `{"username":"carol"}`, 201, "")
	followed := d.do("carol", "GET", "/v2/apps/blog/logs?follow=true", "")
	conn, _, err := d.dial("carol", "/v2/apps/blog/run?command=cat")
	if err != nil {
		t.Fatal(err)
	}
	d.desk.follow <- platform.LogLine{At: born, App: "blog", Source: platform.LogBuild, Text: "still there"}
	d.expect("bob", "DELETE", "/v2/apps/blog/perms/carol", "", 204, "")
	if text, err := io.ReadAll(followed.Body); err != nil || !strings.Contains(string(text), "still there") {
		t.Errorf("the log ended with %q, %v", text, err)
	}
	never, hold := io.Pipe() // a command that waits for input
	defer hold.Close()
	var out bytes.Buffer
	if exit, err := attach.Join(t.Context(), conn, platform.IO{Stdin: never, Stdout: &out, Stderr: &out}); err == nil {
		t.Errorf("the command ended by itself with %d: %s", exit, &out)
	}
}

func TestAUserHoldsOnlySoManyStreamsOpen(t *testing.T) {
	d := open(t)
	d.expect("bob", "POST", "/v2/apps/blog/perms/", `{"username":"carol"}`, 201, "")
	for range server.MaxCommands {
		conn, _, err := d.dial("bob", "/v2/apps/blog/run?command=cat")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseNow()
	}
	if _, answer, err := d.dial("bob", "/v2/apps/blog/run?command=cat"); err == nil || answer.StatusCode != http.StatusTooManyRequests {
		t.Error("one more was opened", err)
	}
	d.expect("bob", "POST", "/v2/apps/blog/run", `{"command":"true"}`, 429, "")
	d.expect("carol", "POST", "/v2/apps/blog/run", `{"command":"true"}`, 200, "")
	for range server.MaxFollows {
		if got := d.do("bob", "GET", "/v2/apps/blog/logs?follow=true", ""); got.StatusCode != http.StatusOK {
			t.Fatal(got.Status)
		}
	}
	d.expect("bob", "GET", "/v2/apps/blog/logs?follow=true", "", 429, "")
	d.expect("bob", "GET", "/v2/apps/blog/logs", "", 204, "")
	close(d.desk.follow)
}
