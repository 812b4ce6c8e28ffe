package contract_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// startMirror is a registry that stands for docker.io: deis/portless:1 is an
// image that exposes nothing, private/… is for nobody, and all else is missing.
func startMirror(t *testing.T) (option string) {
	t.Helper()
	images := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v2/private/") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	image, err := random.Image(1024, 1)
	must(t, err)
	config, err := image.ConfigFile()
	must(t, err)
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	image, err = mutate.ConfigFile(image, config)
	must(t, err)
	tag, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://")+"/deis/portless:1", name.Insecure)
	must(t, err)
	must(t, remote.Write(tag, image))
	return "SLIPWAY_REGISTRY_MIRRORS=docker.io=" + server.URL + ",docker.io=only"
}
