package client_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-paas/slipway/internal/api"
	"github.com/slipway-paas/slipway/internal/client"
	"github.com/slipway-paas/slipway/internal/platform"
)

// serve answers every request with handler and returns a client of it.
func serve(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return dial(t, client.Options{URL: server.URL, Token: "0123456789abcdef"})
}

func dial(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answers(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header()[api.HeaderAPIVersion] = []string{api.APIVersion}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestWhatAUserTypesForAPlatformIsRead(t *testing.T) {
	for typed, want := range map[string]string{
		"http://slipway.localhost:8080/": "http://slipway.localhost:8080",
		"slipway.example.com":            "https://slipway.example.com",
		" slipway.localhost:8080 ":       "http://slipway.localhost:8080",
		"localhost:8000":                 "http://localhost:8000",
		"127.0.0.1:8000":                 "http://127.0.0.1:8000",
		"[::1]:8000":                     "http://[::1]:8000",
		"https://example.com/paas/?a=b#": "https://example.com/paas",
		"notlocalhost:1":                 "https://notlocalhost:1",
	} {
		u, err := client.ParseURL(typed)
		if err != nil || u.String() != want {
			t.Errorf("%q: got %v, %v; want %s", typed, u, err, want)
		}
	}
	for _, typed := range []string{"", "http://", "ftp://example.com", "https://bob:secret@example.com", "http://a b", "https://:80"} {
		_, err := client.ParseURL(typed)
		if !errors.Is(err, platform.ErrInvalid) {
			t.Errorf("%q: got %v", typed, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error tells the password: %v", typed, err)
		}
	}
}

func TestNamesBelowLocalhostLeadToThisMachine(t *testing.T) {
	var host string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host = r.Host
		answers(200, "application/json", `{"username":"bob"}`)(w, r)
	}))
	defer server.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	c := dial(t, client.Options{URL: "http://slipway.blog.localhost:" + port})
	user, err := c.WhoAmI(t.Context())
	if err != nil || user.Username != "bob" || host != "slipway.blog.localhost:"+port {
		t.Fatalf("got %+v, %v, host %s", user, err, host)
	}
}

func TestEveryRequestSaysWhoAsks(t *testing.T) {
	var got http.Header
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		answers(200, "application/json", `[]`)(w, r)
	})
	if _, err := c.Restart(t.Context(), "blog", "", ""); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Authorization": "token 0123456789abcdef", "User-Agent": "slipway", "Content-Type": "application/json"} {
		if got.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Get(name), want)
		}
	}
}

func TestEveryVerbAsksAsTheContractSays(t *testing.T) {
	var asked string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = strings.TrimSpace(r.Method + " " + r.RequestURI + " " + string(body))
		switch {
		case strings.HasSuffix(r.URL.Path, "/restart/"), r.URL.Path == "/v2/doctor":
			answers(200, "application/json", `[]`)(w, r)
		case r.Method == http.MethodDelete, strings.HasSuffix(r.URL.Path, "/scale/"):
			w.WriteHeader(http.StatusNoContent)
		default:
			answers(201, "application/json", `{}`)(w, r)
		}
	})
	ctx, on, value := t.Context(), true, "1"
	ignore := func(_ any, err error) error { return err }
	for want, verb := range map[string]func() error{
		`GET /v2/auth/whoami/`: func() error { return ignore(c.WhoAmI(ctx)) },
		`POST /v2/auth/register/ {"username":"bob","password":"p"}`: func() error {
			return ignore(c.Register(ctx, api.Register{Username: "bob", Password: "p"}))
		},
		`POST /v2/auth/login/ {"username":"bob","password":"p"}`: func() error { return ignore(c.Login(ctx, "bob", "p")) },
		`POST /v2/auth/passwd/ {"password":"p","new_password":"q"}`: func() error {
			return c.ChangePassword(ctx, api.Passwd{Password: "p", NewPassword: "q"})
		},
		`GET /v2/apps/blog/`:                       func() error { return ignore(c.App(ctx, "blog")) },
		`POST /v2/apps/ {"id":"blog"}`:             func() error { return ignore(c.CreateApp(ctx, "blog")) },
		`POST /v2/apps/ {}`:                        func() error { return ignore(c.CreateApp(ctx, "")) },
		`DELETE /v2/apps/blog/`:                    func() error { return c.DestroyApp(ctx, "blog") },
		`POST /v2/apps/blog/scale/ {"web":2}`:      func() error { return c.Scale(ctx, "blog", api.Scale{"web": 2}) },
		`POST /v2/apps/blog/run {"command":"env"}`: func() error { return ignore(c.Run(ctx, "blog", "env")) },
		`GET /v2/apps/blog/config/`:                func() error { return ignore(c.Config(ctx, "blog")) },
		`POST /v2/apps/blog/config/ {"values":{"A":"1","B":null}}`: func() error {
			return ignore(c.SetConfig(ctx, "blog", api.ConfigPatch{Values: map[string]*string{"A": &value, "B": nil}}))
		},
		`POST /v2/apps/blog/settings/ {"maintenance":true}`: func() error {
			return ignore(c.SetSettings(ctx, "blog", api.SettingsPatch{Maintenance: &on}))
		},
		`GET /v2/apps/blog/settings/`:                         func() error { return ignore(c.Settings(ctx, "blog")) },
		`GET /v2/apps/blog/releases/v3/`:                      func() error { return ignore(c.Release(ctx, "blog", 3)) },
		`POST /v2/apps/blog/releases/rollback/ {"version":2}`: func() error { return ignore(c.Rollback(ctx, "blog", 2)) },
		`POST /v2/apps/blog/releases/rollback/ {}`:            func() error { return ignore(c.Rollback(ctx, "blog", 0)) },
		`GET /v2/apps/blog/pods/`:                             func() error { return ignore(c.Pods(ctx, "blog", "", "")) },
		`GET /v2/apps/blog/pods/web/`:                         func() error { return ignore(c.Pods(ctx, "blog", "web", "")) },
		`POST /v2/apps/blog/pods/any/blog-web-1-x/restart/`: func() error {
			return ignore(c.Restart(ctx, "blog", "", "blog-web-1-x"))
		},
		`POST /v2/apps/blog/domains/ {"domain":"www.foo.com"}`: func() error {
			return ignore(c.AddDomain(ctx, "blog", "www.foo.com"))
		},
		`DELETE /v2/apps/blog/domains/%2A.foo.com`: func() error { return c.RemoveDomain(ctx, "blog", "*.foo.com") },
		`POST /v2/keys/ {"id":"bob@laptop","public":"ssh-ed25519 AAAA"}`: func() error {
			return ignore(c.AddKey(ctx, "bob@laptop", "ssh-ed25519 AAAA"))
		},
		`DELETE /v2/keys/bob@laptop%2F1`: func() error { return c.RemoveKey(ctx, "bob@laptop/1") },
		`GET /v2/platform`:               func() error { return ignore(c.Platform(ctx)) },
		`GET /v2/doctor`:                 func() error { return ignore(c.Doctor(ctx)) },
		`GET /v2/metrics`:                func() error { return ignore(c.Metrics(ctx)) },
		`GET /v2/apps/blog/logs?follow=true&log_lines=5&process=web&source=app`: func() error {
			stream, err := c.Logs(ctx, "blog", api.LogQuery{Lines: 5, Follow: true, Process: "web", Source: "app"})
			return errors.Join(err, stream.Close())
		},
	} {
		if err := verb(); err != nil {
			t.Errorf("%s: %v", want, err)
		}
		if asked != want {
			t.Errorf("asked %s\nwant  %s", asked, want)
		}
	}
}

func TestARefusalKeepsItsKindAndItsWords(t *testing.T) {
	const forbidden = "You do not have permission to perform this action."
	for _, c := range []struct {
		status     int
		kind, body string
		is         error
		text       string
	}{
		{400, "application/json", `{"id":["Application with this id already exists."]}`, platform.ErrInvalid, "id: Application with this id already exists."},
		{401, "application/json", `{"detail":"Invalid token."}`, platform.ErrUnauthenticated, "Invalid token."},
		{403, "application/json", `{"detail":"` + forbidden + `"}`, platform.ErrForbidden, forbidden},
		{404, "application/json", `"No App matches the given query."`, platform.ErrNotFound, "No App matches the given query."},
		{409, "application/json", `{"detail":"bob changed nothing"}`, platform.ErrConflict, "bob changed nothing"},
		{422, "application/json", `{"detail":"A does not exist under values"}`, platform.ErrUnprocessable, "A does not exist under values"},
		{502, "text/html; charset=utf-8", `<html>nginx</html>`, platform.ErrUnavailable, "Bad Gateway"},
		{503, "application/json", `{"detail":"(scale): no room"}`, platform.ErrUnavailable, "(scale): no room"},
	} {
		_, err := serve(t, answers(c.status, c.kind, c.body)).App(t.Context(), "blog")
		if !errors.Is(err, c.is) || err.Error() != c.text {
			t.Errorf("%d %s: got %v", c.status, c.body, err)
		}
		var refused *client.Error
		if !errors.As(err, &refused) || refused.Answer.Status != c.status || refused.Path != "/v2/apps/blog/" {
			t.Errorf("%d: got %#v", c.status, err)
		}
	}
}

func TestAWrongPasswordIsNobody(t *testing.T) {
	c := serve(t, answers(400, "application/json", `{"non_field_errors":["Unable to log in with provided credentials."]}`))
	_, err := c.Login(t.Context(), "bob", "guess")
	if !errors.Is(err, platform.ErrUnauthenticated) || err.Error() != "Unable to log in with provided credentials." {
		t.Fatalf("got %v", err)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	asked := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "https://elsewhere.example/", http.StatusMovedPermanently)
	})
	_, err := c.CreateApp(t.Context(), "blog")
	var stranger *client.NotPlatformError
	if !errors.As(err, &stranger) || !strings.Contains(err.Error(), "https://elsewhere.example/") || asked != 1 {
		t.Fatalf("got %v after %d requests", err, asked)
	}
}

func TestALongListIsFetchedWhole(t *testing.T) {
	const total = 250
	var asked []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		from := map[string]int{"": 0, "100": 100, "200": 200}[r.URL.Query().Get("offset")]
		page := api.List[api.App]{Count: total}
		for i := from; i < min(from+100, total); i++ {
			page.Results = append(page.Results, api.App{ID: "a"})
		}
		_ = json.NewEncoder(w).Encode(page)
	})
	apps, count, err := c.Apps(t.Context(), 0)
	if err != nil || len(apps) != total || count != total {
		t.Fatalf("got %d of %d, %v", len(apps), count, err)
	}
	if diff := cmp.Diff([]string{"limit=100", "limit=100&offset=100", "limit=100&offset=200"}, asked); diff != "" {
		t.Fatal(diff)
	}
	apps, count, err = c.Apps(t.Context(), 7)
	if err != nil || len(apps) != 7 || count != total {
		t.Fatalf("got %d of %d, %v", len(apps), count, err)
	}
}

func TestAnEmptyListIsNotNil(t *testing.T) {
	apps, _, err := serve(t, answers(200, "application/json", `{"count":0,"next":null,"previous":null,"results":[]}`)).Apps(t.Context(), 0)
	if err != nil || apps == nil || len(apps) != 0 {
		t.Fatalf("got %#v, %v", apps, err)
	}
}

func TestCheckTellsAPlatformFromOthers(t *testing.T) {
	anonymous := answers(401, "application/json", `{"detail":"Authentication credentials were not provided."}`)
	if err := serve(t, anonymous).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	var stranger *client.NotPlatformError
	err := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }).Check(t.Context())
	if !errors.As(err, &stranger) {
		t.Fatalf("got %v", err)
	}
	_, err = serve(t, answers(200, "text/html", `<html>hello</html>`)).WhoAmI(t.Context())
	if !errors.As(err, &stranger) {
		t.Fatalf("got %v", err)
	}
}

func TestAPlatformThatIsAwayIsUnavailable(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	err := dial(t, client.Options{URL: server.URL}).Check(t.Context())
	var away *client.ConnectError
	if !errors.As(err, &away) || !errors.Is(err, platform.ErrUnavailable) || !strings.Contains(err.Error(), "connection refused") {
		t.Fatalf("got %v", err)
	}
}

func TestWhoeverGivesUpGetsTheirOwnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	if _, err := c.App(ctx, "blog"); !errors.Is(err, context.Canceled) || errors.Is(err, platform.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
}

func TestAnAppThatSaidNothingIsAnEmptyStream(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	stream, err := c.Logs(t.Context(), "blog", api.LogQuery{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if text, err := io.ReadAll(stream); len(text) != 0 || err != nil {
		t.Fatalf("got %q, %v", text, err)
	}
}

func TestACAFileIsTrusted(t *testing.T) {
	server := httptest.NewTLSServer(answers(200, "application/json", `{"username":"bob"}`))
	defer server.Close()
	if _, err := dial(t, client.Options{URL: server.URL}).WhoAmI(t.Context()); !errors.Is(err, platform.ErrUnavailable) {
		t.Fatalf("an unknown authority: got %v", err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, client.Options{URL: server.URL, CAFile: file}).WhoAmI(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client.New(client.Options{URL: server.URL, CAFile: file}); !errors.Is(err, platform.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
}
