package buildpack_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/slipway-paas/slipway/internal/builder/buildpack"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/stack"
)

var credential = remote.WithAuth(&authn.Basic{Username: "slipway", Password: password})

// stackImage pushes a stack of two layers, as Docker makes them.
func (s *street) stackImage(t *testing.T) string {
	t.Helper()
	var layers []v1.Layer
	for range 2 {
		layer, err := random.Layer(1<<20, types.DockerLayer)
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, layer)
	}
	image, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: rootFS(t, image), Config: v1.Config{
		Entrypoint: []string{"/never"}, User: "root", Cmd: []string{"never"},
		Env:    []string{"PATH=/opt/bin:/bin", "JAVA_HOME=/opt/java", "HOME=/root"},
		Labels: map[string]string{"io.slipway.slug": "7", "maintainer": "somebody"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(s.ref(t, "stack@"+digest.String()), image, credential); err != nil {
		t.Fatal(err)
	}
	return "stack@" + digest.String()
}

func rootFS(t *testing.T, image v1.Image) v1.RootFS {
	t.Helper()
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return file.RootFS
}

func (s *street) ref(t *testing.T, image string) name.Digest {
	t.Helper()
	ref, err := name.NewDigest(s.registry+"/"+image, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func (s *street) manifests(t *testing.T, image string) (v1.Image, *v1.ConfigFile, *v1.Manifest) {
	t.Helper()
	pulled, err := remote.Image(s.ref(t, image), credential)
	if err != nil {
		t.Fatal(err)
	}
	config, err := pulled.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := pulled.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	return pulled, config, manifest
}

func TestASlugIsLaidOnTheStackAndTheStackIsNotSentAgain(t *testing.T) {
	below := ""
	var uploads sync.Map
	s := open(t, func(o *buildpack.Options) {
		o.Stack = func(context.Context) (string, error) { return below, nil }
		o.RegistryAddr = through(t, o.RegistryAddr, func(r *http.Request) {
			if r.Method == http.MethodPatch || r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/uploads/") {
				uploads.Store(r.URL.Query().Get("digest"), true)
			}
		})
	})
	tree := commit(t, map[string]string{"Procfile": "web: ./serve\nworker: ./work\n", "serve": "#!/bin/sh\n"})
	bare, _ := s.build(t, tree, nil)
	below = s.stackImage(t)
	uploads.Clear()
	result, _ := s.build(t, tree, nil)
	if bare.Stack != "" || result.Stack != below {
		t.Errorf("the results name the stacks %q and %q", bare.Stack, result.Stack)
	}

	_, stackConfig, stackManifest := s.manifests(t, below)
	_, _, bareManifest := s.manifests(t, bare.Image)
	image, config, manifest := s.manifests(t, result.Image)
	if len(manifest.Layers) != 3 || manifest.Layers[2].Digest != bareManifest.Layers[0].Digest || manifest.Layers[0].Digest != stackManifest.Layers[0].Digest {
		t.Fatalf("layers %v: want the stack's two, then the slug's", manifest.Layers)
	}
	for _, layer := range stackManifest.Layers {
		if _, sent := uploads.Load(layer.Digest.String()); sent {
			t.Errorf("layer %s of the stack was sent again", layer.Digest)
		}
	}
	if manifest.MediaType != types.OCIManifestSchema1 || manifest.Layers[0].MediaType != types.OCILayer {
		t.Errorf("%s with layers of %s", manifest.MediaType, manifest.Layers[0].MediaType)
	}
	if !slices.Equal(config.RootFS.DiffIDs[:2], stackConfig.RootFS.DiffIDs) {
		t.Error("its diff ids are not the stack's")
	}
	c := config.Config
	if !slices.Equal(c.Entrypoint, []string{"/slipway/launch"}) || !slices.Equal(c.Cmd, []string{"./serve"}) || c.WorkingDir != "/app" || c.User != "1000:1000" {
		t.Errorf("%v %v in %s as %s", c.Entrypoint, c.Cmd, c.WorkingDir, c.User)
	}
	if want := []string{"HOME=/app", "JAVA_HOME=/opt/java", "PATH=/opt/bin:/bin"}; !slices.Equal(c.Env, want) {
		t.Errorf("environment %q, want %q", c.Env, want)
	}
	if want := map[string]string{
		platform.LabelSlug: "1", platform.LabelStack: below, "maintainer": "somebody",
		stack.LabelApp: "blog", stack.LabelProcesses: `{"web":"./serve","worker":"./work"}`,
	}; !maps.Equal(c.Labels, want) {
		t.Errorf("labels %v, want %v", c.Labels, want)
	}
	slug, err := stack.Split(image)
	if err != nil || len(slug.Layers) != 1 || slug.App != "blog" || slug.Processes["worker"] != "./work" {
		t.Errorf("it is split into %+v, %v", slug, err)
	}
	if again, _ := s.build(t, tree, nil); again.Image != result.Image {
		t.Errorf("%s and %s for the same tree on the same stack", result.Image, again.Image)
	}
}

func TestAStackThatIsGoneSaysSo(t *testing.T) {
	s := open(t, func(o *buildpack.Options) {
		o.Stack = func(context.Context) (string, error) { return "stack@sha256:" + strings.Repeat("0", 64), nil }
	})
	err, _ := s.fail(t, commit(t, map[string]string{"Procfile": "web: ./serve\n"}), nil)
	if !strings.Contains(err.Message, "stack") {
		t.Error(err)
	}
}

// through is the address of a way to the registry on which requests are seen.
func through(t *testing.T, address string, see func(*http.Request)) string {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		see(r)
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}
