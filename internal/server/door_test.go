package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/doctor"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/server"
)

// door is a real HTTP server with ada, an administrator, bob, who owns blog,
// and carol, a stranger.
type door struct {
	t    *testing.T
	web  *httptest.Server
	url  string
	desk *memoryDesk
	log  bytes.Buffer // of the server: read it when the server is closed

	tokens map[string]string
	// database is the file of a real store.
	database string
}

// logged closes the door and returns what was logged.
func (d *door) logged() string {
	d.web.Close()
	return d.log.String()
}

func open(t *testing.T) *door {
	t.Helper()
	desk := newMemoryDesk()
	d := openAt(t, desk, newMemoryUsers())
	d.desk = desk
	return d
}

// builderKey is what a builder shows at these doors.
const builderKey = "the builder's key"

func openAt(t *testing.T, desk server.Desk, users server.Users) *door {
	t.Helper()
	return openWith(t, desk, users, builderKey)
}

func openWith(t *testing.T, desk server.Desk, users server.Users, key string) *door {
	t.Helper()
	d := &door{t: t, tokens: map[string]string{}}
	examine := func(context.Context) []doctor.Finding {
		return []doctor.Finding{{Name: "git", Status: doctor.OK, Text: "git version 2.39"}}
	}
	log := slog.New(slog.NewTextHandler(&d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	handler := server.New(log, desk, users, examine, server.Options{
		Version: "1.2.3", Domain: "localhost", APIURL: "http://slipway.localhost:8080",
		GitSSH: "ssh://git@localhost:2222", GitHTTP: "http://git.localhost:8080", EdgeHTTPPort: 8080, Engine: "local", BuilderKey: key,
		EdgeStatus: func(_ context.Context, app string) (platform.EdgeStatus, error) {
			return platform.EdgeStatus{
				Processes: []platform.EdgeProcess{{Process: "web", Minute: platform.EdgeWindow{Requests: 3, P50: 1_500_000}}},
				Gates:     []platform.EdgeGate{{Process: "web", Mode: "on", Level: 200}},
				Shed:      []platform.EdgeShed{{Class: "bulk", Reason: "overload", Requests: 2}},
			}, nil
		},
		Metrics: func(context.Context) (string, error) { return "slipway_requests_total 7\n", nil },
		Runtime: func() platform.RuntimeInfo {
			return platform.RuntimeInfo{Name: "process", Isolation: platform.IsolationSandbox}
		},
	})
	web := httptest.NewUnstartedServer(nil)
	web.Config = server.NewHTTP(slog.New(slog.DiscardHandler), handler)
	web.Start()
	t.Cleanup(web.Close)
	d.web, d.url = web, web.URL
	for _, name := range []string{"ada", "bob", "carol"} {
		d.register(name)
	}
	d.expect("bob", "POST", "/v2/apps/", `{"id":"blog"}`, 201, "")
	return d
}

func (d *door) register(name string) {
	d.t.Helper()
	d.expect("", "POST", "/v2/auth/register/", `{"username":"`+name+`","password":"secret","email":""}`, 201, "")
	d.login(name)
}

func (d *door) login(name string) {
	d.t.Helper()
	var answer struct{ Token string }
	body := d.expect("", "POST", "/v2/auth/login/", `{"username":"`+name+`","password":"secret"}`, 200, "")
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		d.t.Fatal(err)
	}
	d.tokens[name] = answer.Token
}

func (d *door) do(user, method, path, body string, headers ...string) *http.Response {
	d.t.Helper()
	request, err := http.NewRequest(method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if user != "" {
		request.Header.Set("Authorization", "token "+d.tokens[user])
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { response.Body.Close() })
	return response
}

// read empties and closes the body, so that the connection is used again.
func read(response *http.Response) []byte {
	data, _ := io.ReadAll(response.Body) // what broke off was not sent
	response.Body.Close()
	return data
}

// status reads and forgets the body, so that the connection is used again.
func (d *door) status(user, method, path, body string) int {
	d.t.Helper()
	response := d.do(user, method, path, body)
	data := read(response)
	d.checkDescribed(method, path, response.StatusCode, response.Header.Get("Content-Type"), data)
	return response.StatusCode
}

// expect compares the whole body, unless want is empty.
func (d *door) expect(user, method, path, body string, status int, want string, headers ...string) string {
	d.t.Helper()
	response := d.do(user, method, path, body, headers...)
	data, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	if response.StatusCode != status || want != "" && string(data) != want {
		d.t.Errorf("%s %s %s: got %d %s\nwant %d %s", method, path, body, response.StatusCode, data, status, want)
	}
	d.checkDescribed(method, path, response.StatusCode, response.Header.Get("Content-Type"), data)
	return string(data)
}
