package registry_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/registry"
)

const password = "correct horse battery staple"

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
)

// world is a registry behind a real door, and who may do what in it.
type world struct {
	t        *testing.T
	dir      string
	registry *registry.Registry
	url      string

	mu       sync.Mutex
	roles    map[string]platform.Role // "ann blog": deployer
	admins   map[string]bool
	apps     []string
	images   []string
	releases map[string]string // "blog 3": blog@sha256:…
	quotas   map[string]int64
	wrong    int // secrets that were nobody's
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, dir: filepath.Join(t.TempDir(), "registry"), roles: map[string]platform.Role{}, admins: map[string]bool{"root": true},
		apps: []string{"blog", "shop"}, releases: map[string]string{}, quotas: map[string]int64{},
	}
	w.open()
	return w
}

// open starts the registry again, as after a crash.
func (w *world) open() {
	w.t.Helper()
	r, err := registry.New(slog.New(slog.DiscardHandler), registry.Options{
		Dir: w.dir, User: "slipway", Password: password, Grace: time.Hour,
		Login: w.login, May: w.may, Release: w.release, Named: w.named, Quota: w.quota,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	server := httptest.NewServer(r)
	w.t.Cleanup(server.Close)
	w.registry, w.url = r, server.URL
}

// login takes "<user>-secret" for everybody who has a role or is an administrator.
func (w *world) login(_ context.Context, username, secret, _ string) (platform.Caller, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if secret == "throttled" {
		return platform.Caller{}, &platform.UserError{Kind: platform.ErrUnavailable, Message: "Too many failed logins."}
	}
	if username == "" || secret != username+"-secret" {
		w.wrong++
		return platform.Caller{}, platform.ErrUnauthenticated
	}
	return platform.Caller{User: username, Admin: w.admins[username]}, nil
}

func (w *world) may(_ context.Context, caller platform.Caller, app string, need platform.Role) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, known := range w.apps {
		if known == app {
			if caller.Admin || w.roles[caller.User+" "+app].Covers(need) {
				return nil
			}
			return platform.ErrForbidden
		}
	}
	return platform.ErrNotFound
}

func (w *world) release(_ context.Context, app string, version int) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if image := w.releases[fmt.Sprint(app, " ", version)]; image != "" {
		return image, nil
	}
	return "", platform.ErrNotFound
}

func (w *world) named(context.Context) (registry.Named, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return registry.Named{Apps: append([]string{}, w.apps...), Images: append([]string{}, w.images...)}, nil
}

func (w *world) quota(_ context.Context, app string) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.quotas[app], nil
}

// change runs f while nobody asks.
func (w *world) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// answer is what came back, whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// code is the first error code of a body.
func (a answer) code() string {
	var body struct {
		Errors []struct{ Code, Message string }
	}
	_ = json.Unmarshal(a.body, &body)
	if len(body.Errors) == 0 {
		return ""
	}
	return body.Errors[0].Code
}

// do sends a request with the platform's credential, unless headers say
// another. path may be a whole URL or begin with a slash.
func (w *world) do(method, path string, body []byte, headers ...string) answer {
	w.t.Helper()
	at := path
	if strings.HasPrefix(path, "/") {
		at = w.url + path
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, at, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.SetBasicAuth("slipway", password)
	for i := 0; i+1 < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, text}
}

// must is do where another status ends the test.
func (w *world) must(status int, method, path string, body []byte, headers ...string) answer {
	w.t.Helper()
	a := w.do(method, path, body, headers...)
	if a.status != status {
		w.t.Fatalf("%s %s: %d %s, want %d", method, path, a.status, a.body, status)
	}
	return a
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// blob sends one the short way and returns its digest.
func (w *world) blob(repo, content string, headers ...string) string {
	w.t.Helper()
	digest := digestOf([]byte(content))
	begun := w.must(202, "POST", "/v2/"+repo+"/blobs/uploads/", nil, headers...)
	w.must(201, "PUT", w.with(begun.header.Get("Location"), "digest", digest), []byte(content), headers...)
	return digest
}

// with adds a parameter to a location.
func (w *world) with(location, name, value string) string {
	w.t.Helper()
	at, err := url.Parse(location)
	if err != nil {
		w.t.Fatal(err)
	}
	query := at.Query()
	query.Set(name, value)
	at.RawQuery = query.Encode()
	return at.String()
}

type object = map[string]any

func describe(mediaType string, content string) object {
	return object{"mediaType": mediaType, "digest": digestOf([]byte(content)), "size": len(content)}
}

// image is a manifest over a config and layers of the given contents, which it
// sends; more goes on top of it.
func (w *world) image(repo string, more object, layers ...string) []byte {
	w.t.Helper()
	w.blob(repo, "{}")
	listed := []object{}
	for _, layer := range layers {
		w.blob(repo, layer)
		listed = append(listed, describe("application/vnd.oci.image.layer.v1.tar", layer))
	}
	m := object{"schemaVersion": 2, "mediaType": manifestType, "config": describe("application/vnd.oci.image.config.v1+json", "{}"), "layers": listed}
	maps.Copy(m, more)
	return encode(w.t, m)
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// put pushes a manifest and returns its digest.
func (w *world) put(repo, ref string, manifest []byte) string {
	w.t.Helper()
	digest := digestOf(manifest)
	if ref == "" {
		ref = digest
	}
	var kind struct{ MediaType string }
	_ = json.Unmarshal(manifest, &kind)
	w.must(201, "PUT", "/v2/"+repo+"/manifests/"+ref, manifest, "Content-Type", kind.MediaType)
	return digest
}

// age makes all that is stored two days old, or what match says of it.
func (w *world) age(match func(path string) bool) {
	w.t.Helper()
	old := time.Now().Add(-48 * time.Hour)
	err := filepath.WalkDir(w.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || match != nil && !match(path) {
			return err
		}
		return os.Chtimes(path, old, old)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// referring are the digests the API says refer to one.
func (w *world) referring(repo, digest, query string) []string {
	w.t.Helper()
	a := w.must(200, "GET", "/v2/"+repo+"/referrers/"+digest+query, nil)
	var index struct {
		MediaType string
		Manifests []struct{ Digest string }
	}
	if err := json.Unmarshal(a.body, &index); err != nil || index.MediaType != indexType {
		w.t.Fatalf("no index: %v %s", err, a.body)
	}
	found := []string{}
	for _, m := range index.Manifests {
		found = append(found, m.Digest)
	}
	return found
}
