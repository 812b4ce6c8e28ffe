package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/slipway-paas/slipway/internal/auth"
	"github.com/slipway-paas/slipway/internal/blobs"
	"github.com/slipway-paas/slipway/internal/controller"
	"github.com/slipway-paas/slipway/internal/fleet"
	"github.com/slipway-paas/slipway/internal/images"
	"github.com/slipway-paas/slipway/internal/logs"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/scheduler/local"
	"github.com/slipway-paas/slipway/internal/secret"
	"github.com/slipway-paas/slipway/internal/store"
)

// openStreet is a door onto the real controller with everything behind it but
// a node: what is asked for is written down, and nothing runs.
func openStreet(t *testing.T) *door {
	t.Helper()
	log, dir := slog.New(slog.DiscardHandler), t.TempDir()
	db, err := store.Open(t.Context(), log, "sqlite://"+dir+"/slipway.db", secret.New())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	bucket, err := blobs.Open(t.Context(), "file://"+dir+"/blobs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bucket.Close() })
	lines, err := logs.Open(log, logs.Options{Dir: dir + "/logs"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lines.Close() })
	nodes, err := fleet.Open(log, fleet.Options{Dir: dir + "/fleet", Logs: lines})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nodes.Close() })
	scheduler := local.New(log, nodes)
	t.Cleanup(func() { scheduler.Close() })
	closed, err := images.ParseHosts([]string{"docker.io=http://127.0.0.1:1", "docker.io=only"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	shelf := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, 0))))
	t.Cleanup(shelf.Close)
	puller, err := images.New(images.Options{Hosts: closed, Registry: strings.TrimPrefix(shelf.URL, "http://")})
	if err != nil {
		t.Fatal(err)
	}
	desk := controller.New(log, controller.Parts{Store: db, Blobs: bucket, Images: puller, Scheduler: scheduler, Fleet: nodes, Logs: lines},
		controller.Options{Reserved: []string{"slipway"}, TCPPorts: controller.PortRange{First: 30000, Last: 30099}})
	t.Cleanup(desk.Close)
	users := auth.New(log, db, auth.Options{Registration: auth.RegistrationEnabled})
	node := httptest.NewServer(nodes.Handler())
	ctx, leave := context.WithCancel(context.Background())
	left := make(chan struct{})
	go func() {
		defer close(left)
		idleNode(ctx, node.URL)
	}()
	t.Cleanup(func() { leave(); <-left; node.Close() })
	d := openAt(t, desk, users)
	d.database = dir + "/slipway.db"
	return d
}

// idleNode agrees with every state it is told and runs nothing, until ctx ends.
func idleNode(ctx context.Context, url string) {
	epoch, state := "", platform.NodeState{}
	ask := func(method, path string, in any) (*http.Response, error) {
		var body io.Reader // a GET has none: with one unread, its end is not noticed
		if in != nil {
			data, err := json.Marshal(in)
			if err != nil {
				return nil, err
			}
			body = bytes.NewReader(data)
		}
		request, err := http.NewRequestWithContext(ctx, method, url+path, body)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Slipway-Epoch", epoch)
		answer, err := http.DefaultClient.Do(request)
		if err == nil {
			epoch = answer.Header.Get("Slipway-Epoch")
		}
		return answer, err
	}
	for ctx.Err() == nil {
		if answer, err := ask("POST", "/node/v1/report", platform.NodeReport{Node: "idle", Acked: state.Version, Full: true}); err == nil {
			answer.Body.Close()
		}
		answer, err := ask("GET", fmt.Sprintf("/node/v1/state?node=idle&since=%d", state.Version), nil)
		if err != nil {
			continue
		}
		_ = json.NewDecoder(answer.Body).Decode(&state) // 204 has none, and changes nothing
		answer.Body.Close()
	}
}

func TestTheRealDeskSpeaksTheContract(t *testing.T) {
	d := openStreet(t)
	d.expect("bob", "POST", "/v2/apps/", `{"id":"blog"}`, 400, `{"id":["Application with this id already exists."]}`)
	d.expect("bob", "POST", "/v2/apps/", `{"id":"slipway"}`, 400, `{"id":["slipway is a reserved name."]}`)
	d.expect("bob", "POST", "/v2/apps/", ``, 201, "")
	d.expect("carol", "GET", "/v2/apps/blog/", "", 403, "")
	d.expect("carol", "GET", "/v2/apps/nope/", "", 404, `"No App matches the given query."`)
	d.expect("carol", "POST", "/v2/apps/blog/config/", `{"values":1}`, 403, "")

	const config = "/v2/apps/blog/config/"
	d.expect("bob", "POST", config, `{}`, 409, `{"detail":"bob changed nothing - release stopped"}`)
	d.expect("bob", "POST", config, `{"values":{"B":"2","A":"1"},"memory":{"web":"64M"}}`, 201, "")
	d.expect("bob", "POST", config, `{"values":{"GHOST":null}}`, 422, `{"detail":"GHOST does not exist under values"}`)
	d.expect("bob", "POST", config, `{"healthcheck":{"web/cmd":{"livenessProbe":{"tcpSocket":{"port":1}}}}}`, 201, "")
	d.expect("bob", "POST", config, `{"healthcheck":{"web/cmd":{"livenessProbe":{"tcpSocket":{"port":1}}}}}`, 409, "")
	releases := d.expect("bob", "GET", "/v2/apps/blog/releases/", "", 200, "")
	for _, part := range []string{`"count":3`, `"summary":"bob added A, B and bob changed limits for memory"`, `"build":null`, `"summary":"bob created initial release"`} {
		if !strings.Contains(releases, part) {
			t.Errorf("no %s in %s", part, releases)
		}
	}
	d.expect("bob", "POST", "/v2/apps/blog/releases/rollback/", `{"version":1}`, 400, `{"detail":"Cannot roll back to initial release."}`)
	d.expect("bob", "POST", "/v2/apps/blog/releases/rollback/", `{"version":9}`, 400, `{"detail":"Release matching query does not exist."}`)
	d.expect("bob", "POST", "/v2/apps/blog/releases/rollback/", `{}`, 201, `{"version":4}`)

	d.expect("bob", "POST", "/v2/apps/blog/scale/", `{"web":1}`, 400, `{"detail":"No build associated with this release"}`)
	d.expect("bob", "POST", "/v2/apps/blog/scale/", `{}`, 204, "")
	d.expect("bob", "POST", "/v2/apps/blog/run", `{"command":"true"}`, 400, `{"detail":"No build associated with this release to run this command"}`)
	d.expect("bob", "GET", "/v2/apps/blog/pods/", "", 200, `{"results":[],"count":0}`)
	d.expect("bob", "POST", "/v2/apps/blog/pods/restart/", "", 200, `[]`)

	d.expect("bob", "POST", "/v2/apps/blog/domains/", `{"domain":"домена.ru."}`, 201, "")
	d.expect("bob", "POST", "/v2/apps/blog/domains/", `{"domain":"xn--80ahd1agd.ru"}`, 400, `{"domain":["Domain is already in use by another application"]}`)
	d.expect("bob", "POST", "/v2/apps/blog/domains/", `{"domain":"10.0.0.1"}`, 400, `{"domain":["Hostname does not look valid."]}`)
	d.expect("bob", "DELETE", "/v2/apps/blog/domains/%D0%B4%D0%BE%D0%BC%D0%B5%D0%BD%D0%B0.ru", "", 204, "")
	d.expect("bob", "DELETE", "/v2/apps/blog/domains/x_y", "", 404, `"No Domain matches the given query."`)
	d.expect("bob", "POST", "/v2/apps/blog/settings/", `{"maintenance":"1"}`, 201, "")
	d.expect("bob", "POST", "/v2/apps/blog/settings/", `{"maintenance":true}`, 409, `{"detail":"bob changed nothing"}`)

	log := d.expect("bob", "GET", "/v2/apps/blog/logs", "", 200, "")
	if !strings.Contains(log, " deis[controller]: INFO bob created initial release\n") {
		t.Error(log)
	}
	d.expect("bob", "DELETE", "/v2/apps/blog/", "", 204, "")
	d.expect("bob", "GET", "/v2/apps/blog/", "", 404, "")
}

func TestRealUsersSpeakTheContract(t *testing.T) {
	d := openStreet(t)
	if body := d.expect("ada", "GET", "/v2/auth/whoami/", "", 200, ""); !strings.Contains(body, `"is_superuser":true,"is_staff":true`) {
		t.Error(body)
	}
	d.expect("bob", "GET", "/v2/users/", "", 403, `{"detail":"You do not have permission to perform this action."}`)
	if body := d.expect("ada", "GET", "/v2/users/?limit=1", "", 200, ""); !strings.Contains(body, `"count":3`) || !strings.Contains(body, `"username":"ada"`) {
		t.Error(body)
	}
	d.expect("", "POST", "/v2/auth/register/", `{"username":"bob","password":"secret"}`, 400, `{"username":["A user with that username already exists."]}`)
	d.expect("", "POST", "/v2/auth/login/", `{"username":"bob","password":"wrong"}`, 400, `{"non_field_errors":["Unable to log in with provided credentials."]}`)
	d.expect("", "GET", "/v2/", "", 401, `{"detail":"Invalid token."}`, "Authorization", "token "+strings.Repeat("0", 40))
	d.expect("bob", "POST", "/v2/auth/passwd/", `{"password":"wrong","new_password":"other"}`, 401, `{"detail":"Current password does not match"}`)
	d.expect("bob", "POST", "/v2/auth/passwd/", `{"username":"carol","new_password":"other"}`, 403, "")
	d.expect("ada", "POST", "/v2/auth/passwd/", `{"username":"zoe","new_password":"other"}`, 404, `"No User matches the given query."`)
	d.expect("ada", "POST", "/v2/auth/passwd/", `{"username":"bob","new_password":"other"}`, 200, `{"status":"password set"}`)
	d.expect("bob", "POST", "/v2/auth/tokens/", `{"username":"carol"}`, 403, "")
	d.expect("bob", "DELETE", "/v2/auth/cancel/", ``, 409, `{"detail":"bob still has applications assigned. Delete or transfer ownership"}`)

	d.expect("bob", "POST", "/v2/keys/", `{"id":"k","public":"ssh-rsa ???"}`, 400, `{"public":["Key contains invalid base64 chars"]}`)
	const public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIHTHHACSMAh1PoYqVMpdD7GTHS+UYLl8N8ZoS5KNbMG bob@laptop"
	if body := d.expect("bob", "POST", "/v2/keys/", `{"id":"bob@laptop","public":"`+public+`"}`, 201, ""); !strings.Contains(body, `"public":"`+public+`"`) {
		t.Error(body)
	}
	d.expect("carol", "POST", "/v2/keys/", `{"id":"other","public":"`+public+`"}`, 400, `{"public":["Public Key is already in use"]}`)
	d.expect("carol", "POST", "/v2/keys/", `{"id":"bob@laptop","public":"`+public+`"}`, 400, "")
	d.expect("carol", "GET", "/v2/keys/bob@laptop", "", 404, `"No Key matches the given query."`)
	d.expect("bob", "DELETE", "/v2/keys/bob%40laptop", "", 204, "")

	d.expect("ada", "POST", "/v2/auth/tokens/", `{"all":true}`, 200, `""`)
	d.expect("bob", "GET", "/v2/", "", 401, `{"detail":"Invalid token."}`)
}
