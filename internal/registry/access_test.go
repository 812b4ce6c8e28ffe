package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/memory"
	orasremote "oras.land/oras-go/v2/registry/remote"
	orasauth "oras.land/oras-go/v2/registry/remote/auth"

	"github.com/slipway-paas/slipway/internal/platform"
)

// people are the world's users: vera views blog, dora deploys it, root is an
// administrator, otto has to do with shop alone.
func people(t *testing.T) *world {
	w := newWorld(t)
	w.roles["vera blog"], w.roles["dora blog"], w.roles["otto shop"] = platform.RoleViewer, platform.RoleDeployer, platform.RoleOwner
	return w
}

// token asks for one by GET.
func (w *world) token(user string, scopes ...string) string {
	w.t.Helper()
	query := url.Values{"service": {"slipway"}, "scope": scopes}
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+"/token?"+query.Encode(), http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	r.SetBasicAuth(user, user+"-secret")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	var body struct {
		Token     string
		ExpiresIn int `json:"expires_in"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || answer.StatusCode != 200 || body.ExpiresIn != 300 {
		w.t.Fatalf("token of %s: %s %v %+v", user, answer.Status, err, body)
	}
	return body.Token
}

func TestWhoHasNoTokenIsToldWhereToGetOne(t *testing.T) {
	w := people(t)
	host := strings.TrimPrefix(w.url, "http://")
	for _, c := range []struct{ method, path, scope string }{
		{"GET", "/v2/", ""},
		{"GET", "/v2/blog/manifests/latest", `,scope="repository:blog:pull"`},
		{"PUT", "/v2/blog/side/manifests/latest", `,scope="repository:blog/side:pull,push"`},
		{"POST", "/v2/blog/blobs/uploads/", `,scope="repository:blog:pull,push"`},
		{"DELETE", "/v2/blog/manifests/latest", `,scope="repository:blog:delete"`},
		{"GET", "/v2/_catalog", `,scope="registry:catalog:*"`},
		{"GET", "/", ""},
	} {
		a := w.must(401, c.method, c.path, nil, "Authorization", "")
		want := `Bearer realm="http://` + host + `/token",service="slipway"` + c.scope
		if got := a.header.Get("WWW-Authenticate"); got != want || a.code() != "UNAUTHORIZED" {
			t.Errorf("%s %s: %s, want %s; %s", c.method, c.path, got, want, a.body)
		}
	}
}

func TestNobodyGetsInWithACredentialThatIsNotRight(t *testing.T) {
	w := people(t)
	basic := func(user, secret string) string {
		r := httptest.NewRequest("GET", "/", http.NoBody)
		r.SetBasicAuth(user, secret)
		return r.Header.Get("Authorization")
	}
	for name, credential := range map[string]string{
		"wrong password": basic("slipway", "wrong"), "wrong name": basic("root", password), "no password": basic("slipway", ""),
		"a user at the door": basic("dora", "dora-secret"), "no token": "Bearer x", "an empty token": "Bearer ", "a token unsigned": "Bearer e30.",
		"a token of another": "Bearer " + w.token("dora") + "x", "half a token": "Bearer " + strings.Split(w.token("dora"), ".")[0],
	} {
		for _, at := range []string{"GET /v2/", "GET /v2/_catalog", "POST /v2/blog/blobs/uploads/", "PUT /v2/blog/manifests/x", "GET /"} {
			method, path, _ := strings.Cut(at, " ")
			w.must(401, method, path, nil, "Authorization", credential)
			_ = name
		}
	}
	for name, credential := range map[string]string{"nobody": "", "wrong": basic("dora", "wrong"), "no such": basic("eve", "x")} {
		if a := w.must(401, "GET", "/token", nil, "Authorization", credential); !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s: %v", name, a.header)
		}
	}
	if a := w.must(429, "GET", "/token", nil, "Authorization", basic("dora", "throttled")); a.code() != "TOOMANYREQUESTS" {
		t.Errorf("throttled: %s", a.body)
	}
	w.must(405, "PUT", "/token", nil)
	w.must(400, "GET", "/token?scope="+strings.Repeat("repository:a:pull+", 20), nil, "Authorization", basic("dora", "dora-secret"))
}

func TestRolesOfAnAppAreRightsToItsRepositories(t *testing.T) {
	w := people(t)
	manifest := w.image("blog", nil, "layer")
	w.put("blog", "latest", manifest)
	w.put("blog/side", "latest", w.image("blog/side", nil, "layer"))
	for _, c := range []struct {
		user                     string
		pull, push, del, catalog int
	}{
		{"vera", 200, 403, 403, 403},
		{"dora", 200, 202, 404, 403},
		{"root", 200, 202, 404, 200},
		{"otto", 403, 403, 403, 403},
	} {
		for _, repo := range []string{"blog", "blog/side"} {
			bearer := "Bearer " + w.token(c.user, "repository:"+repo+":pull,push,delete", "registry:catalog:*")
			w.must(200, "GET", "/v2/", nil, "Authorization", bearer)
			w.must(c.pull, "GET", "/v2/"+repo+"/manifests/latest", nil, "Authorization", bearer)
			w.must(c.pull, "GET", "/v2/"+repo+"/tags/list", nil, "Authorization", bearer)
			w.must(c.pull, "GET", "/v2/"+repo+"/referrers/"+digestOf(manifest), nil, "Authorization", bearer)
			w.must(c.pull, "GET", "/v2/"+repo+"/blobs/"+digestOf([]byte("layer")), nil, "Authorization", bearer)
			w.must(c.push, "POST", "/v2/"+repo+"/blobs/uploads/", nil, "Authorization", bearer)
			w.must(c.del, "DELETE", "/v2/"+repo+"/manifests/none", nil, "Authorization", bearer)
			w.must(c.catalog, "GET", "/v2/_catalog", nil, "Authorization", bearer)
		}
	}
	bearer := "Bearer " + w.token("root", "repository:nosuch:push", "repository:slipway/stack:pull,push")
	if a := w.must(404, "POST", "/v2/nosuch/blobs/uploads/", nil, "Authorization", bearer); a.code() != "NAME_UNKNOWN" {
		t.Errorf("no such app: %s", a.body)
	}
	w.must(403, "POST", "/v2/slipway/stack/blobs/uploads/", nil, "Authorization", bearer)
	w.must(404, "GET", "/v2/slipway/stack/manifests/x", nil, "Authorization", bearer)
}

func TestATokenIsForWhatItWasAskedForAndForFiveMinutesOnly(t *testing.T) {
	w := people(t)
	w.blob("blog", "layer")
	pull := "Bearer " + w.token("dora", "repository:blog:pull")
	a := w.must(401, "POST", "/v2/blog/blobs/uploads/", nil, "Authorization", pull)
	if !strings.Contains(a.header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
		t.Errorf("challenge: %v", a.header)
	}
	w.must(401, "GET", "/v2/blog/side/tags/list", nil, "Authorization", pull)
	w.must(200, "HEAD", "/v2/blog/blobs/"+digestOf([]byte("layer")), nil, "Authorization", pull)

	// Roles are asked for anew: who loses one needs no waiting for the token.
	w.change(func() { delete(w.roles, "dora blog") })
	w.must(403, "HEAD", "/v2/blog/blobs/"+digestOf([]byte("layer")), nil, "Authorization", pull)
}

func TestABlobIsMountedOnlyFromWhereOneMayRead(t *testing.T) {
	w := people(t)
	digest := w.blob("blog", "of blog alone")
	w.roles["dora shop"] = platform.RoleDeployer
	mount := "/v2/shop/blobs/uploads/?mount=" + digest + "&from=blog"
	otto := "Bearer " + w.token("otto", "repository:shop:pull,push", "repository:blog:pull")
	w.must(202, "POST", mount, nil, "Authorization", otto)
	w.must(202, "POST", mount, nil, "Authorization", "Bearer "+w.token("dora", "repository:shop:pull,push")) // not asked for
	w.must(404, "HEAD", "/v2/shop/blobs/"+digest, nil)
	w.must(201, "POST", mount, nil, "Authorization", "Bearer "+w.token("dora", "repository:shop:pull,push", "repository:blog:pull"))
	w.must(200, "HEAD", "/v2/shop/blobs/"+digest, nil)
}

func TestATokenIsHadByPostAsOAuthHasIt(t *testing.T) {
	w := people(t)
	post := func(form url.Values) answer {
		return w.do("POST", "/token", []byte(form.Encode()), "Content-Type", "application/x-www-form-urlencoded", "Authorization", "")
	}
	form := url.Values{"grant_type": {"password"}, "username": {"dora"}, "password": {"dora-secret"}, "service": {"slipway"}, "scope": {"repository:blog:pull,push"}, "client_id": {"test"}}
	a := post(form)
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(a.body, &body); err != nil || a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	w.must(202, "POST", "/v2/blog/blobs/uploads/", nil, "Authorization", "Bearer "+body.AccessToken)
	form.Set("password", "wrong")
	if a := post(form); a.status != 401 {
		t.Errorf("wrong password: %d %s", a.status, a.body)
	}
	if a := w.do("POST", "/token", bytes.Repeat([]byte("a=b&"), 1<<16), "Content-Type", "application/x-www-form-urlencoded"); a.status != 400 {
		t.Errorf("a large form: %d", a.status)
	}
}

func TestThePlatformsOwnPartsAreAskedForTheirCredentialAtTheirSocket(t *testing.T) {
	w := people(t)
	inside := httptest.NewServer(w.registry.Internal())
	defer inside.Close()
	a := w.must(401, "GET", inside.URL+"/v2/", nil, "Authorization", "")
	if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("challenge: %v", a.header)
	}
	w.must(200, "GET", inside.URL+"/v2/_catalog", nil)
}

func TestWhatAReleaseRunsCannotBeDeletedNorItsNameTaken(t *testing.T) {
	w := people(t)
	child := w.image("blog", nil, "layer")
	w.put("blog", "", child)
	index := encode(t, object{"schemaVersion": 2, "mediaType": indexType, "manifests": []object{describe(manifestType, string(child))}})
	digest := w.put("blog", "mine", index)
	w.images = []string{"blog@" + digest}
	w.releases["blog 3"] = "blog@" + digest
	bearer := "Bearer " + w.token("dora", "repository:blog:pull,push,delete")
	for _, ref := range []string{digest, digestOf(child)} {
		if a := w.must(403, "DELETE", "/v2/blog/manifests/"+ref, nil, "Authorization", bearer); !strings.Contains(string(a.body), "a release of blog runs") {
			t.Errorf("deleted: %s", a.body)
		}
	}
	w.must(403, "PUT", "/v2/blog/manifests/v3", child, "Authorization", bearer, "Content-Type", manifestType)
	a := w.must(200, "GET", "/v2/blog/manifests/v3", nil, "Authorization", bearer)
	if a.header.Get("Docker-Content-Digest") != digest {
		t.Errorf("v3: %v", a.header)
	}
	w.must(404, "GET", "/v2/blog/manifests/v4", nil, "Authorization", bearer)
	w.must(202, "DELETE", "/v2/blog/manifests/mine", nil, "Authorization", bearer)
}

// The clients people use.

func TestCraneLogsInPushesPullsAndDeletes(t *testing.T) {
	w := people(t)
	host := strings.TrimPrefix(w.url, "http://")
	image, err := random.Image(1<<20, 3)
	if err != nil {
		t.Fatal(err)
	}
	as := func(user string) []crane.Option {
		return []crane.Option{crane.WithAuth(&authn.Basic{Username: user, Password: user + "-secret"}), crane.Insecure, crane.WithContext(t.Context())}
	}
	at := host + "/blog/side:one"
	if err := crane.Push(image, at, as("vera")...); err == nil || !strings.Contains(err.Error(), "DENIED") {
		t.Errorf("pushed by a viewer: %v", err)
	}
	if err := crane.Push(image, at, as("dora")...); err != nil {
		t.Fatal(err)
	}
	pulled, err := crane.Pull(at, as("vera")...)
	if err == nil {
		err = validate.Image(pulled)
	}
	if err != nil {
		t.Errorf("pulled by a viewer: %v", err)
	}
	if _, err := crane.Pull(at, as("otto")...); err == nil {
		t.Error("pulled by a stranger")
	}
	if _, err := crane.Pull(at, crane.Insecure); err == nil {
		t.Error("pulled by nobody")
	}
	if err := crane.Copy(at, host+"/blog:copied", as("dora")...); err != nil { // mounts
		t.Error(err)
	}
	if err := crane.Delete(host+"/blog:copied", as("dora")...); err != nil {
		t.Error(err)
	}
	if repos, err := crane.Catalog(host, as("root")...); err != nil || len(repos) == 0 {
		t.Errorf("catalog: %v %v", repos, err)
	}
	internal, err := name.NewRepository(host+"/blog", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	// As builders and nodes do, with the platform's own credential.
	if err := remote.Write(internal.Tag("built"), image, remote.WithAuth(&authn.Basic{Username: "slipway", Password: password})); err != nil {
		t.Error(err)
	}
}

func TestOrasAttachesAndFindsReferrers(t *testing.T) {
	w := people(t)
	repo, err := orasremote.NewRepository(strings.TrimPrefix(w.url, "http://") + "/blog")
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	repo.Client = &orasauth.Client{Credential: orasauth.StaticCredential(repo.Reference.Registry, orasauth.Credential{Username: "dora", Password: "dora-secret"})}
	subject := w.image("blog", nil, "layer")
	about := ocispec.Descriptor{MediaType: manifestType, Digest: "", Size: int64(len(subject))}
	if err := json.Unmarshal([]byte(`"`+w.put("blog", "latest", subject)+`"`), &about.Digest); err != nil {
		t.Fatal(err)
	}
	store := memory.New()
	layer, err := oras.PushBytes(t.Context(), store, "application/spdx+json", []byte(`{"spdxVersion":"SPDX-2.3"}`))
	if err != nil {
		t.Fatal(err)
	}
	made, err := oras.PackManifest(t.Context(), store, oras.PackManifestVersion1_1, "application/spdx+json", oras.PackManifestOptions{Subject: &about, Layers: []ocispec.Descriptor{layer}})
	if err != nil {
		t.Fatal(err)
	}
	if err := oras.CopyGraph(t.Context(), store, repo, made, oras.DefaultCopyGraphOptions); err != nil {
		t.Fatal(err)
	}
	found := 0
	err = repo.Referrers(t.Context(), about, "application/spdx+json", func(referrers []ocispec.Descriptor) error {
		for _, r := range referrers {
			if r.Digest == made.Digest {
				found++
			}
		}
		return nil
	})
	if err != nil || found != 1 {
		t.Errorf("found %d, %v", found, err)
	}
	if err := repo.Tags(t.Context(), "", func(tags []string) error {
		if len(tags) != 1 { // the API was used, not the tag schema
			t.Errorf("tags: %v", tags)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// run runs a program that must succeed, or must not.
func run(t *testing.T, succeeds bool, words ...string) string {
	t.Helper()
	output, err := exec.CommandContext(context.WithoutCancel(t.Context()), words[0], words[1:]...).CombinedOutput()
	if (err == nil) != succeeds {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, output)
	}
	return string(output)
}

func TestSkopeoLogsInCopiesInspectsAndDeletes(t *testing.T) {
	if _, err := exec.LookPath("skopeo"); err != nil {
		t.Skip("skopeo is not installed")
	}
	w := people(t)
	host := strings.TrimPrefix(w.url, "http://")
	w.put("blog", "latest", w.image("blog", nil, "layer"))
	auth := "--authfile=" + filepath.Join(t.TempDir(), "auth.json")
	run(t, false, "skopeo", "login", "--tls-verify=false", auth, "-u", "dora", "-p", "wrong", host)
	run(t, true, "skopeo", "login", "--tls-verify=false", auth, "-u", "dora", "-p", "dora-secret", host)
	run(t, true, "skopeo", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", auth, "docker://"+host+"/blog:latest", "docker://"+host+"/blog/side:copy")
	if tags := run(t, true, "skopeo", "list-tags", "--tls-verify=false", auth, "docker://"+host+"/blog/side"); !strings.Contains(tags, `"copy"`) {
		t.Errorf("tags: %s", tags)
	}
	run(t, false, "skopeo", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", auth, "docker://"+host+"/blog:latest", "docker://"+host+"/shop:stolen")
	run(t, true, "skopeo", "delete", "--tls-verify=false", auth, "docker://"+host+"/blog/side:copy")
	w.must(404, "GET", "/v2/blog/side/manifests/copy", nil)
}

func TestDockerLogsIn(t *testing.T) {
	docker, err := exec.LookPath("docker")
	if err != nil {
		t.Skip("docker is not installed")
	}
	w := people(t)
	host := strings.TrimPrefix(w.url, "http://")
	config := t.TempDir()
	run(t, false, docker, "--config", config, "login", "-u", "dora", "-p", "wrong", host)
	if said := run(t, true, docker, "--config", config, "login", "-u", "dora", "-p", "dora-secret", host); !strings.Contains(said, "Login Succeeded") {
		t.Errorf("docker login: %s", said)
	}
}
