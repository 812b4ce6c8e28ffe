package controller_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/logs"
)

// awaitLine blocks until the app's log has a line with that text.
func (p *place) awaitLine(app, text string) {
	p.t.Helper()
	for line := range p.logs.Follow(p.t.Context(), app, logs.Filter{Lines: 1000}) {
		if strings.Contains(line.Text, text) {
			return
		}
	}
	p.t.Fatalf("the log of %s ended without %q", app, text)
}

func TestEveryNewReleaseIsToldSignedAndInOrder(t *testing.T) {
	const secret = "between you and me"
	told := make(chan *http.Request, 10)
	var receiver *httptest.Server
	receiver = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		r.URL.Scheme, r.URL.Host = "http", strings.TrimPrefix(receiver.URL, "http://")
		told <- r
	}))
	t.Cleanup(receiver.Close)
	p := open(t, controller.Options{
		DeployHookURLs: []string{receiver.URL + "/hook?team=a%20b", "ftp://nobody"}, DeployHookSecret: secret, DeployTimeout: unrun.DeployTimeout,
	})
	ann := p.user("ann")
	p.app(ann, "blog")
	key := "KEY"
	if _, err := p.SetConfig(t.Context(), ann, "blog", controller.ConfigPatch{Values: map[string]*string{"A": &key}}); err != nil {
		t.Fatal(err)
	}
	p.publish("deis/example:1", "8000")
	p.CreateBuild(t.Context(), ann, "blog", controller.NewBuild{Image: "deis/example:1", SHA: "abcdef12"})
	for _, want := range []string{
		"app=blog&release=v1&release_summary=ann+created+initial+release&sha=&user=ann",
		"app=blog&release=v2&release_summary=ann+added+A&sha=&user=ann",
		"app=blog&release=v3&release_summary=ann+deployed+abcdef1&sha=abcdef12&user=ann",
	} {
		r := <-told
		if r.Method != http.MethodPost || r.URL.RawQuery != "team=a%20b&"+want || r.ContentLength != 0 {
			t.Errorf("told %s %s with %d bytes, want %s", r.Method, r.URL, r.ContentLength, want)
		}
		mac := hmac.New(sha1.New, []byte(secret))
		mac.Write([]byte(r.URL.String()))
		if got := r.Header.Get("Authorization"); got != hex.EncodeToString(mac.Sum(nil)) {
			t.Errorf("%s is signed %q", r.URL, got)
		}
	}
	p.awaitLine("blog", "Deploy hook sent to "+receiver.URL+"/hook")
}

func TestAHookThatRedirectsOrFailsIsToldWithoutItsSecrets(t *testing.T) {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/elsewhere":
			t.Error("the redirect was followed")
		case "/redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(receiver.Close)
	withPassword := strings.Replace(receiver.URL, "http://", "http://user:hunter2@", 1)
	p := open(t, controller.Options{DeployHookURLs: []string{withPassword + "/redirect?token=hunter2", withPassword + "/no?token=hunter2"}})
	p.app(p.user("ann"), "blog")
	p.awaitLine("blog", "An error occurred while sending the deploy hook to "+receiver.URL+"/redirect: it answered 307")
	p.awaitLine("blog", "An error occurred while sending the deploy hook to "+receiver.URL+"/no: it answered 403")
	if text := p.logged("blog"); strings.Contains(text, "hunter2") {
		t.Errorf("the log tells the password:\n%s", text)
	}
}

func TestAHookThatIsDownForAMomentIsToldInTheEnd(t *testing.T) {
	calls := make(chan struct{}, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls <- struct{}{}; len(calls) < 2 {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(receiver.Close)
	p := open(t, controller.Options{DeployHookURLs: []string{receiver.URL}})
	p.app(p.user("ann"), "blog")
	p.awaitLine("blog", "Deploy hook sent to "+receiver.URL)
	if len(calls) != 2 {
		t.Errorf("%d attempts", len(calls))
	}
}

func TestOnlyWebAddressesAreHooks(t *testing.T) {
	for _, text := range []string{"", "example.com", "ftp://example.com", "http://", "file:///etc/passwd", "http://user:hunter2@ex ample.com"} {
		if err := controller.CheckDeployHookURL(text); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"http://example.com", "https://user:pw@example.com:8443/x?y=z"} {
		if err := controller.CheckDeployHookURL(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}
