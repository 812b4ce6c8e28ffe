package images_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	outside "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/slipway-paas/slipway/internal/images"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/registry"
)

const (
	password = "correct horse battery staple"
	secret   = "hunter22-hunter22" // of an app; nobody but its registry may see it
)

// place is the platform's own registry and what a pull is told.
type place struct {
	t       *testing.T
	dir     string // of the registry
	own     string // host:port of the registry
	story   bytes.Buffer
	options images.Options
}

func open(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, dir: filepath.Join(t.TempDir(), "registry")}
	handler, err := registry.New(slog.New(slog.DiscardHandler), registry.Options{Dir: p.dir, User: "slipway", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	p.own = serve(t, handler)
	p.options = images.Options{Registry: p.own, User: "slipway", Password: password, Silence: 2 * time.Minute}
	return p
}

// serve answers on a port of the loopback interface.
func serve(t *testing.T, handler http.Handler) (host string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// elsewhere is a registry of somebody else.
func elsewhere() http.Handler {
	return outside.New(outside.Logger(slog.NewLogLogger(slog.DiscardHandler, 0)))
}

// mirrors has the platform ask the hosts, and nobody else, for docker.io.
func (p *place) mirrors(hosts ...string) *place {
	p.t.Helper()
	var texts []string
	for _, host := range hosts {
		texts = append(texts, "docker.io=http://"+host)
	}
	var err error
	if p.options.Hosts, err = images.ParseHosts(append(texts, "docker.io=only"), nil, nil); err != nil {
		p.t.Fatal(err)
	}
	return p
}

func (p *place) pull(ref string, credentials ...images.Credentials) (platform.Image, error) {
	p.t.Helper()
	puller, err := images.New(p.options)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(puller.Close)
	request := images.Request{Reference: ref, Into: "blog", Output: &p.story}
	if len(credentials) > 0 {
		request.Credentials = credentials[0]
	}
	image, err := puller.Pull(p.t.Context(), request)
	for _, text := range []string{p.story.String(), textOf(err)} {
		if strings.Contains(text, secret) || strings.Contains(text, password) {
			p.t.Errorf("a password is told: %s", text)
		}
	}
	return image, err
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// refuses checks that a pull fails with words for the user, and that nothing
// in the platform's registry is named.
func (p *place) refuses(ref, says string, credentials ...images.Credentials) {
	p.t.Helper()
	image, err := p.pull(ref, credentials...)
	if err == nil || !strings.Contains(err.Error(), says) {
		p.t.Errorf("%s: %+v, %v; want %q", ref, image, err, says)
		return
	}
	if user, field := new(platform.UserError), new(platform.FieldError); !asAny(err, &user, &field) {
		p.t.Errorf("%s: %v is not for the user", ref, err)
	}
	p.namesNothing()
}

// namesNothing fails when the platform's registry has a manifest, or bytes of
// an upload that was given up.
func (p *place) namesNothing() {
	p.t.Helper()
	err := filepath.WalkDir(p.dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && (strings.Contains(path, "/_manifests/") || strings.Contains(path, "/_uploads/") && entry.Name() == "data") {
			p.t.Errorf("the registry has %s", strings.TrimPrefix(path, p.dir))
		}
		return err
	})
	if err != nil {
		p.t.Error(err)
	}
}

// has reads the image from the platform's registry and checks every byte of it.
func (p *place) has(ref string) v1.Image {
	p.t.Helper()
	digest, err := name.NewDigest(p.own+"/"+ref, name.Insecure)
	if err != nil {
		p.t.Fatal(err)
	}
	image, err := remote.Image(digest, remote.WithAuth(&authn.Basic{Username: "slipway", Password: password}))
	if err != nil {
		p.t.Fatal(err)
	}
	if err := validate.Image(image); err != nil {
		p.t.Error(err)
	}
	return image
}

// makeImage is an image for this machine with some layers of noise.
func makeImage(t *testing.T, layers int64, change ...func(*v1.ConfigFile)) v1.Image {
	t.Helper()
	image, err := random.Image(64<<10, layers)
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	for _, c := range change {
		c(file)
	}
	if image, err = mutate.ConfigFile(image, file); err != nil {
		t.Fatal(err)
	}
	return image
}

// put gives a registry an image, or an index, by the name.
func put(t *testing.T, host, ref string, image remote.Taggable, options ...remote.Option) {
	t.Helper()
	tag, err := name.ParseReference(host+"/"+ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	switch thing := image.(type) {
	case v1.Image:
		err = remote.Write(tag, thing, options...)
	case v1.ImageIndex:
		err = remote.WriteIndex(tag, thing, options...)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func digestOf(t *testing.T, image interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// lines of JSON for hostile registries.
func jsonOf(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func hostOf(t *testing.T, server *httptest.Server) string {
	t.Helper()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}
