package cli_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-paas/slipway/internal/api"
)

// slow is a platform whose deploys take until the test ends. It has taken a
// change when its release is in the list.
type slow struct {
	*httptest.Server
	mu       sync.Mutex
	releases []string // newest first
	refuse   string   // what a change is answered instead, after others' release
	others   string   // a release that stands before the refusal
	got      []string
	left     chan struct{} // a client that has not waited
}

func newSlow(t *testing.T) *slow {
	t.Helper()
	s := &slow{releases: []string{`{"version":3,"owner":"bob","summary":"bob added A"}`}, left: make(chan struct{}, 8)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *slow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header()[api.HeaderAPIVersion] = []string{api.APIVersion}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.URL.Path == "/v2/auth/whoami/":
		_, _ = io.WriteString(w, `{"username":"bob"}`)
	case r.URL.Path == "/v2/apps/blog/":
		_, _ = io.WriteString(w, `{"id":"blog","structure":{"web":2}}`)
	case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/pods/"):
		names := []string{`{"name":"blog-web-0123456789-abcde","state":"up","type":"web"}`}
		if len(s.got) > 0 {
			names = append(names, `{"name":"blog-web-0123456789-fghij","state":"starting","type":"web"}`)
		}
		_, _ = io.WriteString(w, `{"count":1,"results":[`+strings.Join(names, ",")+`]}`)
	case r.Method == http.MethodGet:
		_ = json.NewEncoder(w).Encode(map[string]any{"count": len(s.releases), "results": []json.RawMessage{json.RawMessage(s.releases[0])}})
	default:
		s.got = append(s.got, r.URL.Path+" "+string(body))
		s.change(w, r)
	}
}

// change is taken, and never done; or refused. The lock is held.
func (s *slow) change(w http.ResponseWriter, r *http.Request) {
	if s.refuse != "" {
		s.releases = append([]string{s.others}, s.releases...)
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, s.refuse)
		return
	}
	s.releases = append([]string{`{"version":4,"owner":"bob","summary":"bob changed A and rolled back to v2","state":"deploying"}`}, s.releases...)
	s.mu.Unlock()
	<-r.Context().Done()
	s.left <- struct{}{}
	s.mu.Lock()
}

func TestWhoDoesNotWaitIsToldWhatWasAccepted(t *testing.T) {
	for line, want := range map[string]string{
		"config set A=1 --no-wait":               "Setting A on blog… accepted as v4: see slipway releases info v4 -a blog\n",
		"config set A=1 --wait=false":            "Setting A on blog… accepted as v4: see slipway releases info v4 -a blog\n",
		"rollback v2 --no-wait":                  "Rolling back blog to v2… accepted as v4: see slipway releases info v4 -a blog\n",
		"scale web=2 --no-wait":                  "Scaling blog to web=2… accepted\n",
		"restart web --no-wait":                  "Restarting web of blog… accepted\n",
		"lifecycle unset pre-stop web --no-wait": "Unsetting pre-stop of web on blog… accepted as v4: see slipway releases info v4 -a blog\n",
	} {
		s := newSlow(t)
		u := at(t, &contract{Server: s.Server})
		u.env = append(u.env, "SLIPWAY_APP=blog")
		if got := u.types(strings.Fields(line)...); got.exit != 0 || got.stderr != want {
			t.Errorf("%s: got %+v", line, got)
		}
		<-s.left // it has sent the change, whole, and gone
		if len(s.got) != 1 {
			t.Errorf("%s: sent %v", line, s.got)
		}
	}
}

func TestTheReleaseOfAnotherIsNotTakenForOnesOwn(t *testing.T) {
	for _, others := range []string{
		`{"version":4,"owner":"carol","summary":"carol added A"}`,
		`{"version":4,"owner":"bob","summary":"bob deployed 1234567"}`,
		`{"version":4,"owner":"bob","summary":"bob added A"}`,
	} {
		s := newSlow(t)
		s.others, s.refuse = others, `{"detail":"Deployment for blog-web is already in progress"}`
		at(t, &contract{Server: s.Server}).types("config", "set", "A=1", "--no-wait", "-a", "blog").want(t, 5, "", `
Setting A on blog… failed
Error: Deployment for blog-web is already in progress
Wait for the other change; follow it with: slipway logs -f
`)
	}
}

func TestAReleaseIsAnsweredWithItsReceiptAndNoValues(t *testing.T) {
	c := whole(t)
	got := worker(t, c).types("config", "set", "DEBUG=hunter2", "--json")
	var release api.Release
	if err := json.Unmarshal([]byte(got.stdout), &release); err != nil || release.Version != 3 || release.Config != "c2" {
		t.Fatalf("got %+v, %v", got, err)
	}
}
