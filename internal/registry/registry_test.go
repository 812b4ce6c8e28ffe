package registry_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/slipway-paas/slipway/internal/registry"
)

const password = "correct horse battery staple"

func start(t *testing.T, dir string) *httptest.Server {
	t.Helper()
	handler, err := registry.New(slog.New(slog.DiscardHandler), registry.Options{Dir: dir, User: "slipway", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func repository(t *testing.T, server *httptest.Server) name.Repository {
	t.Helper()
	repo, err := name.NewRepository(strings.TrimPrefix(server.URL, "http://")+"/blog", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func as(user, password string) remote.Option {
	return remote.WithAuth(&authn.Basic{Username: user, Password: password})
}

func TestAnImageIsPulledAsItWasPushedAfterARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "registry")
	image, err := random.Image(1<<20, 2)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repository(t, start(t, dir)).Digest(digest.String()), image, as("slipway", password)); err != nil {
		t.Fatal(err)
	}

	ref := repository(t, start(t, dir)).Digest(digest.String())
	pulled, err := remote.Image(ref, as("slipway", password))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(pulled); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is not private: %v %v", info.Mode(), err)
	}
}

func TestAManifestCanBeDeleted(t *testing.T) {
	image, err := random.Image(1024, 1)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	ref := repository(t, start(t, t.TempDir())).Digest(digest.String())
	if err := remote.Write(ref, image, as("slipway", password)); err != nil {
		t.Fatal(err)
	}
	if err := remote.Delete(ref, as("slipway", password)); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Head(ref, as("slipway", password)); err == nil {
		t.Error("the manifest is still there")
	}
}

func TestNobodyWithoutTheCredentialReadsOrWrites(t *testing.T) {
	server := start(t, t.TempDir())
	for _, credential := range []struct{ user, password string }{{"", ""}, {"slipway", ""}, {"slipway", "wrong"}, {"", password}, {"root", password}} {
		for _, request := range []struct{ method, path string }{
			{"GET", "/v2/"},
			{"GET", "/v2/_catalog"},
			{"POST", "/v2/blog/blobs/uploads/"},
			{"PUT", "/v2/blog/manifests/latest"},
			{"DELETE", "/v2/blog/manifests/sha256:" + strings.Repeat("0", 64)},
			{"GET", "/"},
		} {
			r, err := http.NewRequestWithContext(t.Context(), request.method, server.URL+request.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if credential.user+credential.password != "" {
				r.SetBasicAuth(credential.user, credential.password)
			}
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(answer.Header.Get("WWW-Authenticate"), "Basic ") {
				t.Errorf("%s %s as %q: %s", request.method, request.path, credential.user, answer.Status)
			}
		}
	}
}

func TestNewNamesWhatIsWrongWithItsOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]registry.Options{
		"relative directory": {Dir: "x", User: "u", Password: password},
		"no user":            {Dir: t.TempDir(), Password: password},
		"weak password":      {Dir: t.TempDir(), User: "u", Password: "1234"},
		"a file":             {Dir: file, User: "u", Password: password},
	} {
		if _, err := registry.New(slog.New(slog.DiscardHandler), o); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), o.Password) {
			t.Errorf("%s: the error tells the password: %v", name, err)
		}
	}
}
